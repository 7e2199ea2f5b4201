package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/md5" // #nosec G501 -- CRAM-MD5, which must be refused
	"encoding/hex"
	"slices"
	"testing"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/mailclient"
)

// TestAttack18_Cache: with Dovecot's cache switched on, an answer is good for
// nothing but its own question.
func TestAttack18_Cache(t *testing.T) {
	eachHostile(t, func(t *testing.T, w *world) {
		user := w.user("main password")
		app := w.app(user, account.IMAP)
		for range 2 {
			w.at(mailclient.OK, user, app, mailclient.IMAP)
			w.at(mailclient.Refused, user, app, mailclient.POP3, mailclient.Sieve, mailclient.SMTP)
		}
		w.want(mailclient.OK, user, "main password")
		w.revoke(user, app)
		w.at(mailclient.Refused, user, app, mailclient.IMAP)
		w.twoFactor(user)
		w.want(mailclient.Refused, user, "main password")
	})
}

// at complains about an app password with another outcome at some services.
func (w *world) at(want mailclient.Outcome, user string, app desk.CreatedAppPassword, services ...mailclient.Service) {
	w.t.Helper()
	for _, s := range services {
		if r := w.login(s, mailclient.MechPlain, user, reveal(app.Password)); r.Outcome != want {
			w.t.Errorf("%s: %s, want %v", s, r.Text, want)
		}
	}
}

// TestAttack18_CacheLua23: a Lua passdb of Dovecot 2.3 without a cache_key has the
// key %u, so a cache that is switched on against all advice mixes up passwords. It
// refuses too much, then, and lets nobody in.
func TestAttack18_CacheLua23(t *testing.T) {
	t.Parallel()
	o := doors[1].options(t)
	o.Dovecot.Extra = cache
	w := fresh(t, o)
	users := []string{w.user("main password"), w.user("main password")}
	apps := []desk.CreatedAppPassword{w.app(users[0], account.IMAP), w.app(users[1], account.IMAP)}
	w.at(mailclient.OK, users[0], apps[0], mailclient.IMAP)
	w.at(mailclient.OK, users[1], apps[1], mailclient.IMAP)
	w.at(mailclient.Refused, users[0], apps[0], mailclient.POP3, mailclient.Sieve, mailclient.SMTP)
	w.at(mailclient.Refused, users[0], apps[1], mailclient.IMAP)
	w.revoke(users[1], apps[1])
	w.at(mailclient.Refused, users[1], apps[1], mailclient.IMAP)
}

// cramMD5 is RFC 2195, which shows the server no password.
type cramMD5 struct{ user, password string }

func (cramMD5) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c cramMD5) Next(challenge []byte) ([]byte, error) {
	mac := hmac.New(md5.New, []byte(c.password))
	_, _ = mac.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}

// TestAttack38_CRAMMD5: our configuration does not offer it; where somebody
// switches it on all the same, it lets nobody in, although the passdb behind ours
// has the password in clear.
func TestAttack38_CRAMMD5(t *testing.T) {
	eachHostile(t, func(t *testing.T, w *world) {
		plain, enrolled := w.user(laterPassword), w.twoFactor(w.user(laterPassword))
		for _, s := range mailclient.Services {
			for _, user := range []string{plain, enrolled, "nobody@example.test"} {
				if w.cram(s, user).Outcome == mailclient.OK {
					t.Errorf("%s: %s got in by CRAM-MD5", s, user)
				}
			}
		}
	})
}

func (w *world) cram(s mailclient.Service, user string) mailclient.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c, err := mailclient.Dial(ctx, w.target(s))
	must(w.t, err)
	defer func() { _ = c.Close() }()
	if mechs, err := c.Mechanisms(ctx); err != nil || !slices.Contains(mechs, "CRAM-MD5") {
		w.t.Errorf("%s: the test is void: offered %v, %v", s, mechs, err)
	}
	r, err := c.Authenticate(ctx, cramMD5{user, laterPassword})
	must(w.t, err)
	return r
}

// TestAttack38_Offered: with our files every service offers PLAIN and LOGIN only.
func TestAttack38_Offered(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		for _, s := range mailclient.Services {
			c, err := mailclient.Dial(t.Context(), w.target(s))
			must(t, err)
			mechs, err := c.Mechanisms(t.Context())
			_ = c.Close()
			if slices.Sort(mechs); err != nil || !slices.Equal(mechs, []string{"LOGIN", "PLAIN"}) {
				t.Errorf("%s offers %v, %v", s, mechs, err)
			}
		}
	})
}
