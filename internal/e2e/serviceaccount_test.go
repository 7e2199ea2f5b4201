package e2e

import (
	"fmt"
	"testing"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
)

// TestA19_ScannerSendsAndDoesNothingElse: the commands of docs/policy.md make a scanner's
// account, whose app password sends mail from its network and opens nothing else; the
// main password opens no door.
func TestA19_ScannerSendsAndDoesNothingElse(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		const password = "main of the scanner"
		scanner, class := w.user(password), fmt.Sprintf("machines%d", users.Add(1))
		// Other tests forbid app passwords in domains: a class that needs them says so.
		w.ctl("policy", "set", "class", class, "service_account=true", "app_passwords=true")
		w.ctl("user", "class", scanner, class)
		w.becomes(scanner, password, login.AppPasswordRequired)
		here := w.ctlField("password", "app-password", "create", scanner, "--name", "2nd floor", "--services", "submission", "--networks", "127.0.0.0/8")
		elsewhere := w.ctlField("password", "app-password", "create", scanner, "--name", "3rd floor", "--services", "submission", "--networks", "192.0.2.16/28")

		for _, s := range mailclient.Services {
			sends := account.ParseService(string(s)) == account.SMTP
			for _, c := range []struct {
				password string
				in       bool
				reason   login.Reason
			}{
				{here, sends, login.WrongService}, {elsewhere, false, login.WrongNetwork}, {password, false, login.AppPasswordRequired},
			} {
				if !sends && c.reason == login.WrongNetwork {
					continue // wrong in two ways
				}
				want := mailclient.Refused
				if c.in {
					want, c.reason = mailclient.OK, ""
				}
				began := w.now()
				if r := w.login(s, mailclient.MechPlain, scanner, c.password); r.Outcome != want {
					t.Errorf("%s by %.8s…: %v (%s), want %v", s, c.password, r.Outcome, r.Text, want)
				}
				if e := w.last(began, scanner, effect.Login); e.Reason != string(c.reason) {
					t.Errorf("%s by %.8s…: audited %q, want %q", s, c.password, e.Reason, c.reason)
				}
			}
		}
	})
}
