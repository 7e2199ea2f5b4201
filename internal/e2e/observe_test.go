package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// observing are the settings of a site that observes example.test until a date.
func observing(until time.Time) mailtest.Settings {
	return mailtest.Settings{"login.observe": {`"example.test"`: until}}
}

// stranger makes a user with 2FA outside of the domain that is observed.
func (w *world) stranger(password string) string {
	w.t.Helper()
	mail := strings.Replace(w.user("unused"), "@example.test", "@other.test", 1)
	must(w.t, w.Slapd.AddUser(mail, password, nil))
	return w.twoFactor(mail)
}

// TestE10_Observe: until its deadline nothing is refused in an observed domain, on
// no service, by neither of the auth policy's questions, and what would have been
// is in the report. After it, and all the time in another domain, it is refused.
func TestE10_Observe(t *testing.T) {
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Settings = observing(time.Now().AddDate(1, 0, 0))
			o.Dovecot.Policy = true
			w := fresh(t, o)
			user, other, silent := w.twoFactor(w.user("main password")), w.stranger("main password"), w.twoFactor(w.user("main password"))
			w.want(mailclient.OK, silent, reveal(w.app(silent).Password))
			w.observed(user)
			w.want(mailclient.Refused, user, "wrong")
			w.want(mailclient.Refused, other, "main password")
			w.wantReport(user, other, silent)

			must(t, w.Reconfigure(observing(time.Now().Add(-time.Minute))))
			must(t, w.Policyserver.Restart(t.Context()))
			w.nowhere(user, "main password")
			if r := w.login(mailclient.IMAP, mailclient.MechPlain, user, "main password"); !strings.Contains(r.Text, "app password") {
				t.Errorf("after the deadline: %s", r.Text)
			}
		})
	}
}

// observed logs in on every service, which is noted as what it is.
func (w *world) observed(user string) {
	w.t.Helper()
	m := w.now()
	for _, s := range mailclient.Services {
		if r := w.login(s, mailclient.MechPlain, user, "main password"); r.Outcome != mailclient.OK {
			w.t.Errorf("%s, observed: %s", s, r.Text)
		}
	}
	for _, e := range w.since(m, user) {
		if e.Action != effect.Login || e.Outcome != "granted" || e.Reason != string(login.Observed) {
			w.t.Errorf("audit: %+v", e)
		}
	}
}

// wantReport waits until the report has a user's logins, then looks for others'.
func (w *world) wantReport(user, other, silent string) {
	w.t.Helper()
	var r report
	eventually(w.t, "the report lists every service", func() bool {
		r = w.report("--domain", "example.test", "--since", "1h")
		return len(r.services(user)) >= len(mailclient.Services)-1 // Postfix's SMTP is submission, too
	})
	for _, u := range r.Uses {
		if u.User == user && (u.Address != "127.0.0.1" || u.Hours != 1 || time.Since(u.Last) > time.Hour) {
			w.t.Errorf("%+v", u)
		}
	}
	if !r.services(user)["imap"] || !r.services(user)["smtp"] {
		w.t.Errorf("services %v", r.services(user))
	}
	if len(r.services(other)) > 0 || len(r.services(silent)) > 0 {
		w.t.Errorf("another domain's user, or one with an app password, is in the report: %+v", r)
	}
	eventually(w.t, "the other domain's refusal is in its report", func() bool {
		return w.report("--domain", "other.test").services(other)["imap"]
	})
}

// report is what posternctl report main-password prints.
type report struct {
	Uses []struct {
		User, Service, Address, Program string
		Last                            time.Time
		Hours                           int
	}
}

func (w *world) report(args ...string) (r report) {
	w.t.Helper()
	out, err := w.Posternctl(w.t.Context(), append([]string{"--json", "report", "main-password"}, args...)...)
	must(w.t, err)
	must(w.t, json.Unmarshal([]byte(out), &r))
	return r
}

func (r report) services(user string) map[string]bool {
	all := map[string]bool{}
	for _, u := range r.Uses {
		if u.User == user {
			all[u.Service] = true
		}
	}
	return all
}

// TestE10_Program: a mail program that says its name is in the report by it.
func TestE10_Program(t *testing.T) {
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Settings = observing(time.Now().AddDate(1, 0, 0))
			o.Dovecot.Extra = "imap_id_retain = yes\n"
			w := fresh(t, o)
			user := w.twoFactor(w.user("main password"))
			c, err := mailclient.Dial(t.Context(), w.target(mailclient.IMAP))
			must(t, err)
			defer func() { _ = c.Close() }()
			_, err = c.Command(t.Context(), `ID ("name" "Old Mail" "version" "3")`)
			must(t, err)
			r, err := c.Native(t.Context(), user, "main password")
			must(t, err)
			if r.Outcome != mailclient.OK {
				t.Fatalf("observed: %s", r.Text)
			}
			eventually(t, "the report names the program", func() bool {
				r := w.report()
				return len(r.Uses) == 1 && strings.Contains(r.Uses[0].Program, "Old Mail")
			})
		})
	}
}

// TestE10_OwnPassdb: where the site's own passdb checks main passwords, the auth
// policy's second question notes them.
func TestE10_OwnPassdb(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Settings = mailtest.Settings{"login": next["login"], "login.observe": observing(time.Now().AddDate(1, 0, 0))["login.observe"]}
			o.Dovecot.Door = string(d.version) + "-lua-own-passdb.conf"
			o.Dovecot.Passdb, o.Dovecot.Policy = ownPassdb[d.version], true
			w := fresh(t, o)
			user, other := w.twoFactor(w.user("unused")), w.stranger("unused")
			w.know(user+":{PLAIN}file's", other+":{PLAIN}file's")
			w.want(mailclient.OK, user, "file's")
			w.want(mailclient.Refused, other, "file's")
			eventually(t, "the report lists it", func() bool { return w.report().services(user)["imap"] })
			must(t, w.Reconfigure(observing(time.Now().Add(-time.Minute))))
			must(t, w.Policyserver.Restart(t.Context()))
			w.want(mailclient.Refused, user, "file's")
		})
	}
}
