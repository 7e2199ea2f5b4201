package e2e

import (
	"testing"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
)

// TestA17_BypassOnEveryService: a bypass opens every service by the main password, which
// is audited as such, and nothing once it is over (FEATURES A17).
func TestA17_BypassOnEveryService(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		const password = "main of the director"
		user := w.twoFactor(w.user(password))
		everywhere := func(want mailclient.Outcome, password string, reason login.Reason) {
			t.Helper()
			for _, s := range mailclient.Services {
				began := w.now()
				if r := w.login(s, mailclient.MechPlain, user, password); r.Outcome != want {
					t.Errorf("%s: %v (%s), want %v", s, r.Outcome, r.Text, want)
				}
				if e := w.last(began, user, effect.Login); e.Reason != string(reason) || e.Service != account.ParseService(string(s)) {
					t.Errorf("%s: audited %q for %s, want %q", s, e.Reason, e.Service, reason)
				}
			}
		}
		everywhere(mailclient.Refused, password, login.AppPasswordRequired)
		w.ctl("bypass", user, "--for", "1h", "--reason", "lost the phone")
		everywhere(mailclient.OK, password, login.Bypassed)
		everywhere(mailclient.Refused, "wrong horse", login.WrongPassword)
		w.ctl("bypass", user, "--end")
		everywhere(mailclient.Refused, password, login.AppPasswordRequired)
	})
}

// TestA17_BypassEndsLiveSessions: what a mail program has open by a bypass ends with it;
// another account's sessions go on.
func TestA17_BypassEndsLiveSessions(t *testing.T) {
	eachEnding(t, func(t *testing.T, w *world, _ door) {
		const password = "main of the director"
		user, other := w.twoFactor(w.user(password)), w.user("main of the other")
		w.ctl("bypass", user, "--for", "1h", "--reason", "lost the phone")
		open, others := w.open(mailclient.IMAP, user, password), w.open(mailclient.IMAP, other, "main of the other")
		w.ctl("bypass", user, "--end")
		open.ends()
		others.goesOn()
		w.want(mailclient.Refused, user, password)
	})
}
