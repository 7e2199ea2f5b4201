package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/dovecotauth"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// askingDovecot are the options of a site whose main passwords are in its own passdb,
// which Postern asks: "dovecot" always, "next" for webmail only.
func askingDovecot(t *testing.T, d door, how string) mailtest.Options {
	t.Helper()
	o := d.options(t)
	o.Dovecot.Door = string(d.version) + "-lua-own-passdb.conf"
	o.Dovecot.Passdb, o.Dovecot.MainPassword, o.Dovecot.Policy = ownPassdb[d.version], true, true
	if d.version == mailtest.V24 { // as the guide advises for slow hashes
		o.Dovecot.Passdb = strings.Replace(o.Dovecot.Passdb, "{\n", "{\n use_worker = yes\n", 1)
	}
	o.Settings["login"] = map[string]any{"main_password": how, "max_binds": 4}
	return o
}

// eachAskingDovecot runs a test at such a site of every Dovecot.
func eachAskingDovecot(t *testing.T, how string, f func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f(t, fresh(t, askingDovecot(t, d, how)))
		})
	}
}

// blowfish is a line of a passwd-file with a hash that OpenLDAP does not know.
func blowfish(t *testing.T, user, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	must(t, err)
	return user + ":{BLF-CRYPT}" + string(hash)
}

// TestDovecotChecksMainPasswords: the matrix of a site whose directory cannot check
// main passwords. Users notice nothing of who does, and hear why theirs is refused.
func TestDovecotChecksMainPasswords(t *testing.T) {
	eachAskingDovecot(t, "dovecot", func(t *testing.T, w *world) {
		plain, enrolled, closed := w.user("directory's"), w.twoFactor(w.user("directory's")), w.user("directory's")
		unlisted, stranger := w.user("directory's"), "stranger@example.test"
		w.disable(closed)
		app := reveal(w.app(enrolled).Password)
		w.know(blowfish(t, plain, "file's"), blowfish(t, enrolled, "file's"), blowfish(t, closed, "file's"), blowfish(t, stranger, "file's"))
		began := w.now()
		for _, s := range mailclient.Services {
			for _, m := range []mailclient.Mech{mailclient.MechPlain, mailclient.MechLogin} {
				if r := w.login(s, m, plain, "file's"); r.Outcome != mailclient.OK {
					t.Errorf("%s %s: %s", s, m, r.Text)
				}
			}
		}
		w.want(mailclient.OK, enrolled, app)
		for user, reason := range map[string]login.Reason{
			plain: login.WrongPassword, unlisted: login.WrongPassword, closed: login.AccountDisabled, stranger: login.UnknownUser,
		} {
			password := map[bool]string{true: "directory's", false: "file's"}[user == plain || user == unlisted]
			before := w.now()
			for range 2 {
				w.want(mailclient.Refused, user, password)
			}
			if user != stranger {
				w.wantReason(before, user, reason)
			}
			w.onceEach(before, user)
		}
		w.onlyOnePassword(enrolled, "file's")
		for _, e := range w.since(began, "") {
			if e.Service == login.PrivateService {
				t.Errorf("Postern's own question is in the audit log: %+v", e)
			}
		}
		if w.binds(plain) > 0 {
			t.Error("the directory was asked to bind")
		}
	})
}

// onceEach: one wrong password is one event and no more, whatever Dovecot asks behind.
func (w *world) onceEach(m mark, user string) {
	w.t.Helper()
	sessions := make(map[string]int)
	for _, e := range w.since(m, user) {
		if e.Action == effect.Login && e.Session != "" {
			sessions[e.Session]++
		}
	}
	for id, n := range sessions {
		if n != 1 {
			w.t.Errorf("%s: %d events of session %s", user, n, id)
		}
	}
}

// onlyOnePassword: with a second factor the main password is refused, and after the
// first time the user reads why.
func (w *world) onlyOnePassword(user, password string) {
	w.t.Helper()
	began := w.now()
	w.want(mailclient.Refused, user, password)
	w.wantReason(began, user, login.AppPasswordRequired)
	if r := w.login(mailclient.IMAP, mailclient.MechPlain, user, password); r.Outcome != mailclient.Refused || !strings.Contains(r.Text, mailtest.HelpURL) {
		w.t.Errorf("%s is not told: %s", user, r.Text)
	}
}

// TestAttack15_OwnPassdbAway: a passdb that cannot answer, and a Dovecot that is gone,
// are never "wrong password".
func TestAttack15_OwnPassdbAway(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			var status atomic.Int64
			status.Store(http.StatusOK)
			o := askingDovecot(t, d, "dovecot")
			o.Postfix = nil
			luaPassdb(t, &o, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
			w := fresh(t, o)
			user := w.user("directory's")
			app := reveal(w.app(user).Password)
			w.want(mailclient.OK, user, "any")
			status.Store(http.StatusServiceUnavailable)
			for range 2 {
				began := w.now()
				w.want(mailclient.Temporary, user, "any")
				w.wantReason(began, user, login.PassdbDown)
			}
			w.want(mailclient.OK, user, app)
			status.Store(http.StatusForbidden)
			w.want(mailclient.Refused, user, "another")
			status.Store(http.StatusOK)
			w.want(mailclient.OK, user, "any")
			w.Dovecot.Shutdown()
			if v := w.ask(user, "any"); v.word != "unavailable" {
				t.Errorf("without a Dovecot: %s", v.line)
			}
			must(t, w.Dovecot.Restart(t.Context()))
			w.want(mailclient.OK, user, "any")
		})
	}
}

// TestWebmailAsksDovecot: webmail's first step, where main_password = "next" leaves the
// mail doors to Dovecot.
func TestWebmailAsksDovecot(t *testing.T) {
	eachAskingDovecot(t, "next", func(t *testing.T, w *world) {
		plain, enrolled, closed, unlisted := w.user("directory's"), w.twoFactor(w.user("directory's")), w.user("directory's"), w.user("directory's")
		w.disable(closed)
		w.know(blowfish(t, plain, "file's"), blowfish(t, enrolled, "file's"), blowfish(t, closed, "file's"), blowfish(t, "stranger@example.test", "file's"))
		gate := w.gate()
		want := func(user, password string, o account.Outcome, reason login.Reason) {
			t.Helper()
			d := gate.Main(t.Context(), login.Attempt{User: user, Password: account.SecretString(password), Service: login.Webmail,
				Client: netip.MustParseAddr("192.0.2.7")})
			if d.Outcome != o || d.Reason != reason {
				t.Errorf("%s: %s %s, want %s %s", user, d.Outcome, d.Reason, o, reason)
			}
		}
		want(plain, "file's", account.Granted, "")
		want(strings.ToUpper(plain), "file's", account.Granted, "")
		want(enrolled, "file's", account.Granted, "") // the second factor is the next step
		want(plain, "directory's", account.Denied, login.WrongPassword)
		want(unlisted, "file's", account.Denied, login.WrongPassword)
		want(closed, "file's", account.Denied, login.AccountDisabled)
		want("stranger@example.test", "file's", account.Denied, login.UnknownUser)
		want(plain, "", account.Denied, login.EmptyPassword)
		w.want(mailclient.OK, plain, "file's")
		w.want(mailclient.Refused, enrolled, "file's")
		w.Policyserver.Kill() // nobody says any more that Postern asks
		want(plain, "file's", account.Unavailable, login.PassdbDown)
		must(t, w.Policyserver.Restart(t.Context()))
		want(plain, "file's", account.Granted, "")
		w.Dovecot.Shutdown()
		want(plain, "file's", account.Unavailable, login.PassdbDown)
		want(plain, "another", account.Unavailable, login.PassdbDown)
	})
}

// gate is a webhook's.
func (w *world) gate() *login.Gate {
	w.t.Helper()
	cfg, err := app.Load(w.Path)
	must(w.t, err)
	settings, err := cfg.LoginSettings()
	must(w.t, err)
	store, ring, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor)
	must(w.t, err)
	g := login.New(login.Parts{Store: store, Prover: ring, Recorder: effect.Discard{}, Now: time.Now,
		Check: cfg.PasswordCheck(ring, func(err error) { w.t.Log(err) })}, settings)
	w.t.Cleanup(func() { g.Close(context.Background()); store.Close() })
	return g
}

// TestAttack08_PrivateServiceOfDovecot: who can reach an auth socket of Dovecot's, and
// names the service of Postern's own questions, learns nothing by it about passwords.
func TestAttack08_PrivateServiceOfDovecot(t *testing.T) {
	eachAskingDovecot(t, "dovecot", func(t *testing.T, w *world) {
		plain, enrolled := w.user("directory's"), w.twoFactor(w.user("directory's"))
		w.know(blowfish(t, plain, "file's"), blowfish(t, enrolled, "file's"))
		thief := dovecotauth.New(dovecotauth.Config{Socket: w.Dovecot.AuthSocket(), Service: string(login.PrivateService)})
		t.Cleanup(thief.Close)
		began := w.now()
		for _, session := range []string{"s1", "postern.tkq1a.aaaaaaaa.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA"} {
			for user, password := range map[string]string{plain: "file's", enrolled: "another", "nobody@example.test": "x"} {
				err := thief.Authenticate(t.Context(), user, account.SecretString(password), session+user)
				if !errors.Is(err, dovecotauth.ErrUnavailable) {
					t.Errorf("%s with %s: %v", user, password, err)
				}
			}
		}
		w.wantReason(began, plain, login.Unproven)
		if v := w.ask(plain, "file's", "service", "postern-main", "session", "s1"); v.word != "unavailable" {
			t.Errorf("/verify: %s", v.line)
		}
		w.want(mailclient.OK, plain, "file's")
		w.want(mailclient.Refused, plain, "another")
	})
}

// TestAttack19_PasswdbBeforePosterns: by mistake the site's passdb stands before
// Postern's. Its word is good for Postern's own question, and for nobody else's.
func TestAttack19_PassdbBeforePosterns(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := askingDovecot(t, d, "dovecot")
			o.Dovecot.Before, o.Dovecot.Passdb = o.Dovecot.Passdb, ""
			w := fresh(t, o)
			plain, enrolled := w.user("directory's"), w.twoFactor(w.user("directory's"))
			w.know(blowfish(t, plain, "file's"), blowfish(t, enrolled, "file's"))
			w.want(mailclient.OK, plain, "file's")
			w.nowhere(enrolled, "file's")
			thief := dovecotauth.New(dovecotauth.Config{Socket: w.Dovecot.AuthSocket(), Service: string(login.PrivateService)})
			t.Cleanup(thief.Close)
			if err := thief.Authenticate(t.Context(), enrolled, account.SecretString("file's"), "s1"); err == nil {
				t.Error("the second net let a stranger's question through")
			}
		})
	}
}

// TestWrongPasswordIsHeardAtOnce: Dovecot keeps who guesses waiting, not Postern, whose
// places would be taken by it.
func TestWrongPasswordIsHeardAtOnce(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := askingDovecot(t, d, "dovecot")
			o.Postfix, o.Dovecot.ShippedDelays, o.Dovecot.Extra = nil, true, "auth_failure_delay = 100s\n"
			w := fresh(t, o)
			user := w.user("directory's")
			w.know(blowfish(t, user, "file's"))
			for i := range 5 {
				if v := w.ask(user, fmt.Sprintf("wrong %d", i)); v.word != "denied" {
					t.Errorf("wrong: %s", v.line)
				}
			}
			if v := w.ask(user, "file's"); v.word != "granted" {
				t.Errorf("right: %s", v.line)
			}
		})
	}
}

// webPassdb is a site's own passdb that asks an HTTP service.
const webPassdb = `local client
function script_init(args)
  client = args and dovecot.http.client { request_timeout = "100s" } or dovecot.http.client { request_timeout_msecs = 100000 }
  return 0
end
function auth_password_verify(req, pass)
  local request = client:request { url = "@URL@", method = "POST" }
  request:set_payload("x")
  local status = request:submit():status()
  if status == 200 then
    return dovecot.auth.PASSDB_RESULT_OK, {}
  elseif status == 403 then
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, ""
  end
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "no answer"
end
`

// luaPassdb makes that the site's passdb, with a service that answers as the test says.
func luaPassdb(t *testing.T, o *mailtest.Options, answer http.HandlerFunc) {
	t.Helper()
	web := httptest.NewServer(answer)
	t.Cleanup(web.Close)
	o.Dovecot.Files = map[string]string{"site.lua": strings.ReplaceAll(webPassdb, "@URL@", web.URL)}
	o.Dovecot.Passdb = map[mailtest.Version]string{
		mailtest.V23: "passdb {\n driver = lua\n args = file=@DIR@/site.lua blocking=yes\n}\n",
		mailtest.V24: "passdb site {\n driver = lua\n lua_file = @DIR@/site.lua\n}\n",
	}[o.Dovecot.Version]
}

// TestAttack41_SlowPassdb: while the site's own passdb hangs, with as many questions as
// it may have and in the very workers that Postern's passdb needs, app passwords are as
// fast as ever. It measures time, so no other test runs beside it.
func TestAttack41_SlowPassdb(t *testing.T) {
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			p := &slowBinds{places: 4, release: make(chan struct{})}
			var now, most atomic.Int64
			o := askingDovecot(t, d, "dovecot")
			o.Postfix = nil
			luaPassdb(t, &o, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				p.held.Add(1)
				most.Store(max(now.Add(1), most.Load()))
				select {
				case <-p.release:
				case <-r.Context().Done(): // after a minute, Dovecot kills the worker
				}
				now.Add(-1)
			})
			p.besiege(fresh(t, o))
			if n := most.Load(); n > p.places {
				t.Errorf("%d questions at once", n)
			}
		})
	}
}
