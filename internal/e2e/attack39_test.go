package e2e

import (
	"strings"
	"testing"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
)

// TestAttack39_OtherNames: an alias, another spelling, a name in another domain
// are the same account, with the same second factor, at every door.
func TestAttack39_OtherNames(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("main password")
		local, _, _ := strings.Cut(user, "@")
		alias := "zz-" + local + "@other.test" // of several addresses the first in the alphabet is the name
		w.put(user, "mail", []byte(user), []byte(alias))
		w.twoFactor(user)
		app := reveal(w.app(user).Password)
		began := w.now()
		w.want(mailclient.OK, user, app)
		id := w.last(began, user, effect.Login).Account
		for _, name := range []string{alias, strings.ToUpper(user), strings.ToUpper(alias), local + "@Example.TEST"} {
			for password, want := range map[string]login.Reason{app: "", "main password": login.AppPasswordRequired} {
				began := w.now()
				r := w.login(mailclient.IMAP, mailclient.MechPlain, name, password)
				e := w.last(began, user, effect.Login)
				if (r.Outcome == mailclient.OK) != (want == "") || e.Reason != string(want) || e.Account != id || e.Domain != "example.test" {
					t.Errorf("%s: %s; %+v", name, r.Text, e)
				}
			}
		}
	})
}
