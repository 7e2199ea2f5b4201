package main

import (
	"net/http"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// ATTACKS 36: a thief has the main password and a code, or more than that, when the help
// desk changes the password. Whatever began with the old one has ended, also what was
// only half done; sign-ins with the new one go on.
func TestAttack36_HelpDeskChangesThePassword(t *testing.T) {
	w := inhabit(t, mailtest.New(t, mailtest.Options{Slapd: mailtest.SlapdOptions{Lockout: true}, Webmail: &mailtest.WebmailOptions{}}))
	user, totp := w.twoFactor()
	w.oldPassword(user)
	thief := w.signIn(user, totp)
	trusted := w.begin(user, mailtest.Password)
	w.exchange(thief.trust(trusted), "granted", trusted)
	half, almost := w.begin(user, mailtest.Password), w.begin(user, mailtest.Password)
	page := w.get(w.browser(), http.StatusOK, half.URL)
	b := w.browser()
	code := w.submit(b, http.StatusSeeOther, w.get(b, http.StatusOK, almost.URL), "sign-in", "code", thief.code()).Location()
	w.call("renew", "granted", hooktest.Fields{"grant": thief.grant})

	must(t, w.Slapd.SetAttr(user, "userPassword", mailtest.SSHA("the help desk's")))

	w.call("renew", "denied", hooktest.Fields{"grant": thief.grant})
	w.call("check", "denied", hooktest.Fields{"grant": thief.grant, "password": "the help desk's"})
	w.exchange(code, "denied", almost)
	if got, err := w.browser().Submit(t.Context(), page, "sign-in", "code", thief.code()); err != nil || got.Status == http.StatusSeeOther {
		t.Errorf("a code after the change: %v, %v", got, err)
	}
	w.call("login", "denied", w.start(user))
	begun := w.begin(user, "the help desk's")
	page = w.get(thief.b, http.StatusOK, begun.URL) // the device is not trusted any more
	back := w.submit(thief.b, http.StatusSeeOther, page, "sign-in", "code", thief.code()).Location()
	in := w.exchange(back, "granted", begun)
	w.call("renew", "granted", hooktest.Fields{"grant": in.Grant})
}

// begin is the first step with a password.
func (w *world) begin(user, password string) *hooktest.Answer {
	w.t.Helper()
	f := w.start(user)
	f["password"] = password
	return w.call("login", "second_factor", f)
}

// exchange redeems what the browser came back with.
func (w *world) exchange(back, result string, begun *hooktest.Answer) *hooktest.Answer {
	w.t.Helper()
	return w.call("exchange", result, hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
}

// trust answers a transaction and makes the browser a trusted device.
func (p *person) trust(begun *hooktest.Answer) string {
	p.t.Helper()
	page := p.get(p.b, http.StatusOK, begun.URL)
	return p.submit(p.b, http.StatusSeeOther, page, "sign-in", "code", p.code(), "trust", "yes").Location()
}

// oldPassword dates the last change back: slapd's own time has whole seconds, and two
// changes within one look like one. Only the control of draft-zeilenga-ldap-relax-03
// permits it.
func (w *world) oldPassword(user string) {
	w.t.Helper()
	c, err := w.Slapd.Root()
	must(w.t, err)
	req := ldap.NewModifyRequest(mailtest.UserDN(user), []ldap.Control{ldap.NewControlString("1.3.6.1.4.1.4203.666.5.12", true, "")})
	req.Replace("pwdChangedTime", []string{"20260101000000Z"})
	must(w.t, c.Modify(req))
}
