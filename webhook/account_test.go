package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// ATTACKS 28: an app password neither signs in at webmail nor confirms anything in the
// settings, and is never sent to the directory.
func TestAttack28_AppPasswordAtHookAndPages(t *testing.T) {
	w := shared(t)
	user := w.user()
	app, err := w.desk.CreateAppPassword(t.Context(), operator, user, newApp)
	must(t, err)
	password := string(app.Password.Reveal())
	for _, typed := range []string{password, strings.ToUpper(password), strings.ReplaceAll(password, "-", " "), strings.ReplaceAll(password, "-", "")} {
		w.call("login", "denied", w.start(user).With("password", typed))
	}
	p := w.signIn(user, nil)
	w.call("check", "denied", hooktest.Fields{"grant": p.grant, "password": password})
	p.settings()
	ask := p.follow(w.get(p.b, http.StatusSeeOther, w.Webmail.PublicURL+"security/add"))
	w.submit(p.b, http.StatusUnprocessableEntity, ask, "security/confirm", "password", password)
	w.get(p.b, http.StatusSeeOther, w.Webmail.PublicURL+"security/add")
}

// disable disables an account in the directory, since yesterday.
func (w *world) disable(user string) {
	w.t.Helper()
	must(w.t, w.Slapd.SetAttr(user, "objectClass", "inetOrgPerson", "shadowAccount", "posternAccount"))
	must(w.t, w.Slapd.SetAttr(user, "shadowExpire", strconv.FormatInt(time.Now().Unix()/86400-1, 10)))
}

// ATTACKS 23: an account that an administrator disables gets no further, wherever it is.
func TestAttack23_DisabledInTheMiddle(t *testing.T) {
	w := shared(t)
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	p.settings()
	atPage := w.call("login", "second_factor", w.start(user))
	page := w.get(p.b, http.StatusOK, atPage.URL)
	atExchange := w.call("login", "second_factor", w.start(user))
	back := w.submit(p.b, http.StatusSeeOther, w.get(p.b, http.StatusOK, atExchange.URL), "sign-in", "code", p.code()).Location()
	newcomer := w.user()
	w.policy(newcomer, "twofactor=mandatory", "methods=totp")
	enrols := w.browser()
	codes := w.get(enrols, http.StatusOK, w.call("login", "enroll", w.start(newcomer)).URL)
	codes = w.submit(enrols, http.StatusOK, codes, "enrol/totp", "code", code(t, scan(t, codes)), "name", "Phone")
	w.disable(newcomer)
	w.submit(enrols, http.StatusForbidden, codes, "enrol/saved", "saved", "yes")
	if view, err := w.desk.Overview(t.Context(), newcomer); err != nil || len(view.Factors) != 0 {
		t.Errorf("a factor was added to a disabled account: %+v, %v", view.Factors, err)
	}
	w.disable(user)
	w.call("login", "denied", w.start(user))
	w.submit(p.b, http.StatusForbidden, page, "sign-in", "code", p.code())
	w.call("exchange", "denied", hooktest.Fields{"transaction": atExchange.Transaction, "code": hooktest.Code(back)})
	w.call("renew", "denied", hooktest.Fields{"grant": p.grant})
	w.call("settings", "denied", hooktest.Fields{"grant": p.grant, "return_to": w.Webmail.URL})
	w.get(p.b, http.StatusForbidden, w.Webmail.PublicURL+"security")
}

// ATTACKS 22: an account whose records do not match signs in nowhere, and is never
// taken for one without two-step login.
func TestAttack22_DamageAtTheHook(t *testing.T) {
	w := shared(t)
	for name, attr := range map[string]string{"authenticator": account.KindTOTP.Attribute(), "state": account.KindState.Attribute()} {
		user, totp := w.twoFactor()
		p := w.signIn(user, totp)
		begun := w.call("login", "second_factor", w.start(user))
		page := w.get(p.b, http.StatusOK, begun.URL)
		must(t, w.Slapd.SetAttr(user, attr, "rubbish"))
		w.call("login", "denied", w.start(user))
		if got := w.submitAny(p.b, page, "sign-in", "code", p.code()); got.Status == http.StatusSeeOther {
			t.Errorf("%s: the page lets through", name)
		}
		w.call("settings", "denied", hooktest.Fields{"grant": p.grant, "return_to": w.Webmail.URL})
	}
}

func (w *world) submitAny(b *hooktest.Browser, p *hooktest.Page, action string, fields ...string) *hooktest.Page {
	w.t.Helper()
	got, err := b.Submit(w.t.Context(), p, action, fields...)
	must(w.t, err)
	return got
}

// ATTACKS 36: when the main password is changed, what began with the old one ends: the
// session, the settings, the trusted device, and a login in the middle.
func TestAttack36_PasswordChangedAtWebmail(t *testing.T) {
	w := inhabit(t, mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Slapd: mailtest.SlapdOptions{Lockout: true}}))
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	begun := w.call("login", "second_factor", w.start(user))
	page := w.get(p.b, http.StatusOK, begun.URL)
	back := w.submit(p.b, http.StatusSeeOther, page, "sign-in", "code", p.code(), "trust", "yes").Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	p.settings()
	half := w.call("login", "second_factor", w.start(user))
	halfPage := w.get(w.browser(), http.StatusOK, half.URL)
	// The directory tells seconds only: in the one of the sign-in a change is none.
	eventually(t, func() bool {
		must(t, w.Slapd.SetAttr(user, "userPassword", mailtest.Password+"!"))
		a, err := w.Call(t.Context(), "renew", hooktest.Fields{"grant": p.grant})
		must(t, err)
		return a.Result == "denied"
	})
	w.get(p.b, http.StatusForbidden, w.Webmail.PublicURL+"security")
	if got := w.submitAny(p.b, halfPage, "sign-in", "code", p.code()); got.Status == http.StatusSeeOther {
		t.Error("a login that began with the old password goes on")
	}
	changed := w.start(user).With("password", mailtest.Password+"!")
	w.get(p.b, http.StatusOK, w.call("login", "second_factor", changed).URL) // is asked again
}

// eventually polls until a condition holds.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	mailtest.Eventually(t, "what is waited for here", holds)
}

// Recommend comes along until there is a factor.
func TestRecommend(t *testing.T) {
	w := shared(t)
	if a := w.call("login", "granted", w.start(w.user())); !a.Recommend {
		t.Errorf("%s", a.Raw)
	}
	user := w.user()
	w.policy(user, "recommend=false")
	if a := w.call("login", "granted", w.start(user)); a.Recommend {
		t.Errorf("%s", a.Raw)
	}
}
