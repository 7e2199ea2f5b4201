package login_test

import (
	"testing"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/login"
)

// A main password opens DAV for nobody, with a second factor or without: it is not even
// looked at (E5), whoever else may know it.
func TestE5_MainPasswordNeverOpensDAV(t *testing.T) {
	for name, settings := range map[string]login.Settings{
		"the directory's": {}, "another passdb's": {MainElsewhere: true, UnknownElsewhere: true},
	} {
		for _, enrolled := range []bool{false, true} {
			p := newPerson(t)
			p.state.Enrolled = enrolled
			p.app(t, factor.AppPassword{Services: []account.Service{account.DAV}}, nil)
			for _, password := range []string{mainPassword, wrongMain} {
				w := newWorld(t, p.build(t), p.ring, settings)
				a := imap("alice@example.test", password)
				a.Service = account.DAV
				w.expect(t, a, want{account.Denied, login.AppPasswordOnly, 0})
				if w.dir.finds != 0 {
					t.Errorf("%s, 2FA %t: was looked up", name, enrolled)
				}
			}
		}
	}
}

// An app password for DAV opens DAV and no mail; what is nearly one goes nowhere.
func TestE5_AppPasswordForDAV(t *testing.T) {
	p := newPerson(t)
	password := p.app(t, factor.AppPassword{Services: []account.Service{account.DAV}}, nil)
	acct := p.build(t)
	for service, wanted := range map[account.Service]want{
		account.DAV:  {account.Granted, "", 0},
		account.IMAP: {account.Denied, login.WrongService, 0},
		account.SMTP: {account.Denied, login.WrongService, 0},
	} {
		a := imap("alice@example.test", password)
		a.Service = service
		newWorld(t, acct, p.ring, login.Settings{}).expect(t, a, wanted)
	}
	near := imap("alice@example.test", password+"x")
	near.Service = account.DAV
	newWorld(t, acct, p.ring, login.Settings{}).expect(t, near, want{account.Denied, login.NearMiss, 0})
}
