package e2e

import (
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// eachPolicy runs a test at a site of every door with the auth policy switched on.
func eachPolicy(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Dovecot.Policy = true
			f(t, inhabit(t, mailtest.Shared(t, d.name+" policy", o)))
		})
	}
}

// refused is how each service shows a refusal of the auth policy.
var refused = map[mailclient.Service]string{
	mailclient.IMAP:       "NO [ALERT] ",
	mailclient.POP3:       "-ERR [AUTH] ",
	mailclient.Sieve:      "NO ",
	mailclient.Submission: "535 5.7.8 ",
	mailclient.SMTP:       "535 5.7.8 ",
}

// TestE9_TheMailProgramIsToldWhy: from the second try on, on every service, and
// the directory is asked to bind only the first time.
func TestE9_TheMailProgramIsToldWhy(t *testing.T) {
	eachPolicy(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		before := w.binds(user)
		if r := w.login(mailclient.IMAP, mailclient.MechPlain, user, "main password"); r.Outcome != mailclient.Refused || strings.Contains(r.Text, "app password") {
			t.Errorf("first try: %s", r.Text)
		}
		for _, s := range mailclient.Services {
			for _, m := range []mailclient.Mech{mailclient.MechPlain, mailclient.MechLogin} {
				r := w.login(s, m, user, "main password")
				if r.Outcome != mailclient.Refused || !strings.Contains(r.Text, refused[s]) ||
					!strings.Contains(r.Text, "Create an app password at "+mailtest.HelpURL) {
					t.Errorf("%s %s: %s", s, m, r.Text)
				}
			}
		}
		if got := w.binds(user) - before; got > 1 {
			t.Errorf("%d binds", got)
		}
		eventually(t, "the tries are listed for the user", func() bool {
			a, err := w.desk.Store.Find(t.Context(), user)
			return err == nil && len(a.State.MainUses) > 1
		})
	})
}

// TestE1_PolicyOn: with the auth policy the doors let in and refuse as without.
func TestE1_PolicyOn(t *testing.T) {
	eachPolicy(t, func(t *testing.T, w *world) {
		plain := w.user("main password")
		w.want(mailclient.OK, plain, "main password")
		w.want(mailclient.Refused, plain, "wrong")
		user := w.twoFactor(w.user("main password"))
		app := w.app(user)
		w.want(mailclient.OK, user, reveal(app.Password))
		w.revoke(user, app)
		w.want(mailclient.Refused, user, reveal(app.Password))
	})
}

// TestAttack19_WithoutOurPassdb: somebody replaced our passdb by one that lets the
// main password in. The policy server's second question stops it.
func TestAttack19_WithoutOurPassdb(t *testing.T) {
	t.Parallel()
	for _, d := range []door{doors[0], doors[2]} {
		t.Run(string(d.version), func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			passdb := map[mailtest.Version]string{
				mailtest.V23: "passdb {\n driver = static\n args = password=" + laterPassword + "\n}\n",
				mailtest.V24: "passdb static {\n static_password = " + laterPassword + "\n}\n",
			}[d.version]
			o.Dovecot = &mailtest.DovecotOptions{Version: d.version, Passdb: passdb, Policy: true, Extra: "auth_mechanisms = plain login cram-md5\n"}
			w := fresh(t, o)
			plain := w.user("unused")
			w.want(mailclient.OK, plain, laterPassword)
			user := w.twoFactor(w.user("unused"))
			m := w.now()
			for _, s := range mailclient.Services {
				r := w.login(s, mailclient.MechPlain, user, laterPassword)
				if r.Outcome != mailclient.Refused || !strings.Contains(r.Text, "app password") {
					t.Errorf("%s: %s", s, r.Text)
				}
				if r := w.cram(s, user); r.Outcome != mailclient.Refused {
					t.Errorf("%s CRAM-MD5: %s", s, r.Text)
				}
			}
			if e := w.last(m, user, effect.Policy); e.Reason != string(login.AppPasswordRequired) {
				t.Errorf("audit: %+v", e)
			}
			if r := w.cram(mailclient.IMAP, plain); r.Outcome != mailclient.OK {
				t.Errorf("CRAM-MD5 without 2FA: %s", r.Text)
			}
		})
	}
}

// TestAttack09_PhoneWithAnOldPassword: a phone that keeps trying harms nobody
// behind the same address.
func TestAttack09_PhoneWithAnOldPassword(t *testing.T) {
	eachPolicy(t, func(t *testing.T, w *world) {
		phone, neighbour := w.twoFactor(w.user("main password")), w.user("main password")
		for range 20 {
			w.login(mailclient.IMAP, mailclient.MechPlain, phone, "main password")
		}
		began := time.Now()
		if r := w.login(mailclient.IMAP, mailclient.MechPlain, neighbour, "main password"); r.Outcome != mailclient.OK {
			t.Errorf("neighbour: %s", r.Text)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the neighbour waited %v", took)
		}
	})
}

// TestAttack15_PostfixSaysTryLater: SASL through Postfix has no temporary failure,
// so the refusal's text says it.
func TestAttack15_PostfixSaysTryLater(t *testing.T) {
	t.Parallel()
	o := doors[0].options(t)
	o.Dovecot.Policy = true
	w := fresh(t, o)
	user := w.user("main password")
	w.Slapd.Shutdown()
	w.login(mailclient.SMTP, mailclient.MechPlain, user, "main password")
	if r := w.login(mailclient.SMTP, mailclient.MechPlain, user, "main password"); !strings.Contains(r.Text, "try again later") {
		t.Errorf("%s", r.Text)
	}
	must(t, w.Slapd.Restart(t.Context()))
	eventually(t, "recovery", func() bool {
		return w.login(mailclient.SMTP, mailclient.MechPlain, user, "main password").Outcome == mailclient.OK
	})
}

// TestOwnPassdbWithPolicy: a site whose own passdb checks main passwords of users
// without 2FA keeps it, with the net behind.
func TestOwnPassdbWithPolicy(t *testing.T) {
	t.Parallel()
	for _, d := range []door{{"lua23", mailtest.V23, "2.3-lua-own-passdb.conf", ""}, {"lua24", mailtest.V24, "2.4-lua-own-passdb.conf", ""}} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Settings = mailtest.Settings{"login": {"main_password": "next", "unknown_user": "next"}}
			o.Dovecot.Policy = true
			o.Dovecot.Passdb, _, _ = strings.Cut(around[d.version].Passdb, "passdb masters")
			o.Dovecot.Passdb, _, _ = strings.Cut(o.Dovecot.Passdb, "passdb {\n driver = static\n args = password="+masterPassword)
			w := fresh(t, o)
			w.want(mailclient.OK, w.user("unused"), laterPassword)
			w.want(mailclient.OK, "nobody-known@example.test", laterPassword)
			user := w.twoFactor(w.user("unused"))
			w.want(mailclient.Refused, user, laterPassword)
			w.want(mailclient.OK, user, reveal(w.app(user, account.MailServices...).Password))
		})
	}
}
