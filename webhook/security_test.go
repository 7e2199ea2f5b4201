package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
	"postern/internal/web"
)

// person is a user signed in at webmail, in a browser of their own.
type person struct {
	*world
	user  string
	totp  *factor.TOTP // nil: no factor
	b     *hooktest.Browser
	grant string
}

// signIn brings the user into webmail. Codes come from the future, so that later steps
// of the test have others: the account's policy tolerates them.
func (w *world) signIn(user string, totp *factor.TOTP) *person {
	w.t.Helper()
	p := &person{world: w, user: user, totp: totp, b: w.browser()}
	if totp == nil {
		p.grant = w.call("login", "granted", w.start(user)).Grant
		return p
	}
	w.policy(user, "totp_tolerance=5")
	begun := w.call("login", "second_factor", w.start(user))
	page := w.get(p.b, http.StatusOK, begun.URL)
	back := w.submit(p.b, http.StatusSeeOther, page, "sign-in", "code", p.code()).Location()
	p.grant = w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)}).Grant
	return p
}

// code is the authenticator's next one that was not used.
func (p *person) code() string {
	p.t.Helper()
	now := time.Now()
	step := now.Unix() / int64(p.totp.Period)
	p.totp.Last = max(p.totp.Last+1, step-5)
	c, err := p.totp.Code(time.Unix(p.totp.Last*int64(p.totp.Period), 0))
	must(p.t, err)
	return c
}

// settings opens the security pages by a one-time link.
func (p *person) settings() *hooktest.Page {
	p.t.Helper()
	link := p.call("settings", "", hooktest.Fields{"grant": p.grant, "return_to": p.Webmail.URL + "?_task=settings"}).URL
	to := p.get(p.b, http.StatusSeeOther, link).Location()
	if !strings.HasSuffix(to, "/security") {
		p.t.Fatalf("the link leads to %s", to)
	}
	return p.page("security")
}

// page opens a page below the public URL.
func (p *person) page(path string) *hooktest.Page {
	p.t.Helper()
	return p.get(p.b, http.StatusOK, p.Webmail.PublicURL+path)
}

// follow opens what a redirect leads to.
func (p *person) follow(page *hooktest.Page) *hooktest.Page {
	p.t.Helper()
	to, err := page.URL.Parse(page.Location())
	must(p.t, err)
	return p.get(p.b, http.StatusOK, to.String())
}

// confirm gives a factor, or the password, for what a page wanted.
func (p *person) confirm(path string) *hooktest.Page {
	p.t.Helper()
	to := p.get(p.b, http.StatusSeeOther, p.Webmail.PublicURL+path)
	if !strings.Contains(to.Location(), "/security/confirm?next=") {
		p.t.Fatalf("%s leads to %s", path, to.Location())
	}
	ask := p.follow(to)
	fields := []string{"password", mailtest.Password}
	if p.totp != nil {
		fields = []string{"code", p.code()}
	}
	return p.follow(p.submit(p.b, http.StatusSeeOther, ask, "security/confirm", fields...))
}

// view is the account as it is.
func (p *person) view() desk.Overview {
	p.t.Helper()
	v, err := p.desk.Overview(p.t.Context(), p.user)
	must(p.t, err)
	return v
}

// A user switches two-step login on, adds another authenticator, renames and removes
// one, and switches it off again.
func TestSecurityFromOffToOnToOff(t *testing.T) {
	w := shared(t)
	p := w.signIn(w.user(), nil)
	w.policy(p.user, "totp_tolerance=5")
	p.settings()
	add := p.confirm("security/add?method=totp")
	p.totp = scan(t, add)
	codes := w.submit(p.b, http.StatusOK, add, "enrol/totp", "code", p.code(), "name", "Phone")
	done := p.follow(w.submit(p.b, http.StatusSeeOther, codes, "enrol/saved", "saved", "yes"))
	if !strings.Contains(done.Body, `class="alert good"`) || !strings.Contains(done.Body, "Phone") {
		t.Errorf("nothing says that it is on:\n%s", done.Body)
	}
	if again := p.page("security"); strings.Contains(again.Body, `class="alert good"`) {
		t.Error("the notice is told twice")
	}
	add = p.page("security/add?method=totp") // confirmed a moment ago
	tablet := &person{world: w, totp: scan(t, add)}
	done = p.follow(w.submit(p.b, http.StatusSeeOther, add, "enrol/totp", "code", tablet.code(), "name", "Tablet"))
	if !strings.Contains(done.Body, `Tablet</bdi> was added.`) {
		t.Errorf("nothing says what was added:\n%s", done.Body)
	}
	var phone string
	for _, f := range p.view().Factors {
		if f.Name == "Phone" {
			phone = f.ID
		}
	}
	page := p.page("security/rename?kind=totp&id=" + phone)
	w.submit(p.b, http.StatusUnprocessableEntity, page, "security/rename", "name", "tablet")
	w.submit(p.b, http.StatusSeeOther, page, "security/rename", "name", "Old phone")
	w.submit(p.b, http.StatusSeeOther, p.page("security/remove?kind=totp&id="+phone), "security/remove")
	if v := p.view(); len(v.Factors) != 1 || v.Factors[0].Name != "Tablet" || !p.account().State.Enrolled {
		t.Errorf("%+v", v.Factors)
	}
	w.submit(p.b, http.StatusSeeOther, p.page("security/disable"), "security/disable")
	if v := p.view(); len(v.Factors) != 0 || v.TwoFactor != desk.TwoFactorOff {
		t.Errorf("%+v", v.Factors)
	}
}

func (p *person) account() *account.Account {
	p.t.Helper()
	a, err := p.desk.Store.Find(p.t.Context(), p.user)
	must(p.t, err)
	return a
}

// Backup codes, app passwords, devices and sessions.
func TestSecurityLists(t *testing.T) {
	w := shared(t)
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	p.settings()
	fresh := w.submit(p.b, http.StatusOK, p.confirm("security/backup-codes"), "security/backup-codes")
	if strings.Count(fresh.Body, `<li><code dir="ltr">`) != 10 || fresh.Header.Get("Cache-Control") != "no-store" {
		t.Error("no ten codes, or they may be stored")
	}
	form := p.page("security/app-password")
	for _, wrong := range [][]string{{"name", ""}, {"name", strings.Repeat("x", 65)}, {"name", "a", "expires", "7"}, {"name", "a", "networks", "somewhere"}} {
		w.submit(p.b, http.StatusUnprocessableEntity, form, "security/app-password", append([]string{"expires", "0"}, wrong...)...)
	}
	made := w.submit(p.b, http.StatusOK, form, "security/app-password", "name", "Phone", "expires", "90", "networks", "192.0.2.0/24, 2001:db8::1")
	apps := p.view().AppPasswords
	if len(apps) != 1 || len(apps[0].Networks) != 2 || apps[0].Expires.IsZero() || made.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%+v", apps)
	}
	w.submit(p.b, http.StatusSeeOther, p.page("security/remove?kind=app&id="+apps[0].ID), "security/remove")
	if a := p.view().AppPasswords; a[0].State(time.Now()) != "revoked" {
		t.Errorf("%+v", a)
	}
	other := w.signInAgain(p)
	if n := len(p.view().Sessions); n != 2 {
		t.Fatalf("%d sessions", n)
	}
	w.submit(p.b, http.StatusOK, p.page("security/sessions/end"), "security/sessions/end")
	w.call("renew", "denied", hooktest.Fields{"grant": p.grant})
	w.call("renew", "denied", hooktest.Fields{"grant": other.grant})
	w.get(p.b, http.StatusForbidden, w.Webmail.PublicURL+"security")
}

// signInAgain signs the same user in with another browser.
func (w *world) signInAgain(p *person) *person {
	w.t.Helper()
	return w.signIn(p.user, p.totp)
}

// The trusted device is not asked again, until it is removed.
func TestTrustedDevice(t *testing.T) {
	w := shared(t)
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	begun := w.call("login", "second_factor", w.start(user))
	page := w.get(p.b, http.StatusOK, begun.URL)
	back := w.submit(p.b, http.StatusSeeOther, page, "sign-in", "code", p.code(), "trust", "yes").Location()
	p.grant = w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)}).Grant

	begun = w.call("login", "second_factor", w.start(user))
	back = w.get(p.b, http.StatusSeeOther, begun.URL).Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	other := w.browser()
	w.get(other, http.StatusOK, w.call("login", "second_factor", w.start(user)).URL)

	page = p.settings()
	if !strings.Contains(page.Body, "This browser") {
		t.Error("the page does not say which device this browser is")
	}
	id := p.view().Devices[0].ID
	p.confirm("security/remove?kind=device&id=" + id)
	w.submit(p.b, http.StatusSeeOther, p.page("security/remove?kind=device&id="+id), "security/remove")
	w.get(p.b, http.StatusOK, w.call("login", "second_factor", w.start(user)).URL)
}

// ATTACKS 2: nothing is changed without a fresh factor, whatever is posted.
func TestAttack02_NoChangeWithoutAFreshFactor(t *testing.T) {
	w := shared(t)
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	first := p.settings()
	form, _, err := first.Form("language")
	must(t, err)
	confirm := p.follow(w.get(p.b, http.StatusSeeOther, w.Webmail.PublicURL+"security/disable"))
	asked, _, err := confirm.Form("security/confirm")
	must(t, err)
	form.Set("csrf", asked.Get("csrf"))
	before := p.view()
	form.Set("kind", "totp")
	form.Set("id", before.Factors[0].ID)
	form.Set("name", "x")
	form.Set("service", "imap")
	form.Set("expires", "0")
	for path, pg := range securityPages {
		// An alert that was seen is hidden in this browser; nothing else comes of it.
		if pg.post == nil || path == "security/leave" || path == web.PathSeen || strings.HasPrefix(path, "security/confirm") {
			continue
		}
		got, err := p.b.Post(t.Context(), w.Webmail.PublicURL+path, form)
		must(t, err)
		if got.Status != http.StatusSeeOther || !strings.Contains(got.Location(), "/security/confirm?next=") {
			t.Errorf("POST %s: %d %s", path, got.Status, got.Location())
		}
		if pg.get == nil {
			continue
		}
		got = w.get(p.b, http.StatusSeeOther, w.Webmail.PublicURL+path)
		if to := got.Location(); !strings.Contains(to, "/security/confirm?next=") && !strings.HasSuffix(to, "/security") {
			t.Errorf("GET %s: %s", path, got.Location())
		}
	}
	after := p.view()
	if len(after.Factors) != 1 || after.Factors[0].Name != before.Factors[0].Name || len(after.AppPasswords) != 0 || len(after.Sessions) != 1 {
		t.Errorf("something was changed: %+v", after)
	}
	// Neither the password nor a wrong code confirms.
	for _, fields := range [][]string{{"method", "password", "password", mailtest.Password}, {"code", "000000"}, {"code", ""}} {
		w.submit(p.b, http.StatusUnprocessableEntity, confirm, "security/confirm", fields...)
	}
	w.get(p.b, http.StatusSeeOther, w.Webmail.PublicURL+"security/disable")
}

// A half-finished login opens no settings, and its tokens none of their pages.
func TestAttack02_HalfFinishedLoginOpensNoSettings(t *testing.T) {
	w := shared(t)
	user, _ := w.twoFactor()
	begun := w.call("login", "second_factor", w.start(user))
	b := w.browser()
	w.get(b, http.StatusOK, begun.URL)
	u, err := url.Parse(begun.URL)
	must(t, err)
	for _, token := range []string{u.Query().Get("t"), begun.Transaction} {
		w.get(b, http.StatusGone, w.Webmail.PublicURL+"settings?t="+token)
		b.Cookies["__Host-postern_settings"] = token
		w.get(b, http.StatusForbidden, w.Webmail.PublicURL+"security")
		w.call("settings", "denied", hooktest.Fields{"grant": token, "return_to": w.Webmail.URL})
	}
}

// A link to the settings works once, only as a link, and in the browser that opened it.
func TestSettingsLink(t *testing.T) {
	w := shared(t)
	p := w.signIn(w.user(), nil)
	link := w.call("settings", "", hooktest.Fields{"grant": p.grant, "return_to": w.Webmail.URL}).URL
	p.b.Header.Set("Sec-Purpose", "prefetch;prerender")
	w.get(p.b, http.StatusServiceUnavailable, link)
	p.b.Header.Del("Sec-Purpose")
	first := w.get(p.b, http.StatusSeeOther, link)
	if first.Body != "" && strings.Contains(first.Body, p.user) {
		t.Error("the redirect shows something")
	}
	w.get(p.b, http.StatusGone, link)
	thief := w.browser()
	w.get(thief, http.StatusGone, link)
	thief.Cookies["__Host-postern_settings"] = p.b.Cookies["__Host-postern_settings"]
	w.get(thief, http.StatusForbidden, w.Webmail.PublicURL+"security")
	w.get(p.b, http.StatusOK, w.Webmail.PublicURL+"security")
}

// The end of webmail's session ends that of its settings.
func TestLogoutEndsTheSettings(t *testing.T) {
	w := shared(t)
	p := w.signIn(w.user(), nil)
	p.settings()
	w.call("logout", "ended", hooktest.Fields{"grant": p.grant})
	out := w.get(p.b, http.StatusForbidden, w.Webmail.PublicURL+"security")
	if !strings.Contains(out.Body, `href="`+w.Webmail.URL+`"`) {
		t.Error("the page does not lead back to webmail")
	}
}
