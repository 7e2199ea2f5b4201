package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// member makes a user with a password and an app password in a domain, beside those
// of all other tests.
func (w *world) member(domain string) (user, app string) {
	w.t.Helper()
	user = fmt.Sprintf("t%d@%s", users.Add(1), domain)
	must(w.t, w.Slapd.AddUser(user, "main password", nil))
	return user, reveal(w.app(user).Password)
}

// policy changes one by posternctl.
func (w *world) policy(args ...string) {
	w.t.Helper()
	_, err := w.Posternctl(w.t.Context(), append([]string{"policy"}, args...)...)
	must(w.t, err)
}

// becomes waits until the running daemon's answer about a credential has that
// reason, "" for being let in.
func (w *world) becomes(user, password string, want login.Reason) {
	w.t.Helper()
	began := time.Now()
	eventually(w.t, fmt.Sprintf("%s: reason %q", user, want), func() bool {
		m := w.now()
		v := w.ask(user, password)
		return w.last(m, user, "login").Reason == string(want) && (v.word == "granted") == (want == "")
	})
	w.t.Logf("%s: %q after %v", user, want, time.Since(began).Round(time.Millisecond))
}

// TestA1_PolicyReachesRunningDaemons: what an administrator sets for a domain, a
// class or an account decides at every door within seconds, for its accounts alone.
func TestA1_PolicyReachesRunningDaemons(t *testing.T) {
	mailtest.Long(t)
	eachDoor(t, func(t *testing.T, w *world) {
		domain, class := fmt.Sprintf("d%d.test", users.Add(1)), fmt.Sprintf("c%d", users.Add(1))
		user, app := w.member(strings.ToUpper(domain[:1]) + domain[1:])
		exempt, exemptApp := w.member(domain)
		classed, classedApp := w.member(domain)
		other, otherApp := w.member("x" + domain)
		_, err := w.Posternctl(t.Context(), "user", "class", classed, class)
		must(t, err)

		w.policy("set", "class", class, "app_passwords=true")
		w.policy("set", "user", exempt, "app_passwords=true", "twofactor=optional")
		w.policy("set", "domain", domain, "app_passwords=false", "twofactor=mandatory")
		w.becomes(user, app, login.AppPasswordsForbidden)
		w.want(mailclient.Refused, user, app)
		w.want(mailclient.Refused, user, "main password")
		w.want(mailclient.OK, classed, classedApp)
		w.want(mailclient.Refused, classed, "main password")
		w.want(mailclient.OK, exempt, exemptApp)
		w.want(mailclient.OK, exempt, "main password")
		w.want(mailclient.OK, other, otherApp)
		w.want(mailclient.OK, other, "main password")

		// An entry that cannot be read is not one that sets nothing.
		entry := "cn=domain " + domain + "," + mailtest.PosternBase
		must(t, w.Slapd.SetAttr(entry, "posternPolicy", `{"app_passwords":true`))
		w.becomes(user, app, login.PolicyUnreadable)
		for name, password := range map[string]string{user: "main password", exempt: exemptApp, classed: classedApp} {
			if r := w.login(mailclient.IMAP, mailclient.MechPlain, name, password); r.Outcome == mailclient.OK {
				t.Errorf("%s got in by a policy that cannot be read", name)
			}
		}
		w.want(mailclient.OK, other, otherApp)
		w.policy("unset", "domain", domain, "--all")
		w.becomes(user, app, "")
		w.want(mailclient.OK, user, "main password")
	})
}

// TestAttack39_LaxerDomainByAlias: an address in a laxer domain does not bring that
// domain's policy.
func TestAttack39_LaxerDomainByAlias(t *testing.T) {
	mailtest.Long(t)
	eachDoor(t, func(t *testing.T, w *world) {
		strict, lax := fmt.Sprintf("a%d.test", users.Add(1)), fmt.Sprintf("lax%d.test", users.Add(1))
		user, app := w.member(strict)
		alias := "zz@" + lax // of several addresses the first in the alphabet is the name
		w.put(user, "mail", []byte(user), []byte(alias))
		w.policy("set", "domain", strict, "app_passwords=false", "twofactor=mandatory")
		w.policy("set", "domain", lax, "app_passwords=true", "twofactor=off")
		w.becomes(user, app, login.AppPasswordsForbidden)
		for _, name := range []string{alias, strings.ToUpper(alias), strings.ToUpper(user)} {
			for _, password := range []string{app, "main password"} {
				m := w.now()
				if r := w.login(mailclient.IMAP, mailclient.MechPlain, name, password); r.Outcome != mailclient.Refused {
					t.Errorf("%s: %s", name, r.Text)
				}
				if e := w.last(m, user, "login"); e.Domain != strict {
					t.Errorf("%s: %+v", name, e)
				}
			}
		}
	})
}
