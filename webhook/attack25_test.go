package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// openPage is a login's page in a browser, and its form.
func (w *world) openPage() (*hooktest.Browser, *hooktest.Page, url.Values, string) {
	w.t.Helper()
	user, totp := w.twoFactor()
	b := w.browser()
	page := w.get(b, http.StatusOK, w.call("login", "second_factor", w.start(user)).URL)
	form, target, err := page.Form("sign-in")
	must(w.t, err)
	form.Set("code", code(w.t, totp))
	return b, page, form, target
}

// post posts a form as it is.
func (w *world) post(b *hooktest.Browser, target string, form url.Values) *hooktest.Page {
	w.t.Helper()
	p, err := b.Post(w.t.Context(), target, form)
	must(w.t, err)
	return p
}

// ATTACKS 25: a form of another site, or without the token of this browser, does nothing.
func TestAttack25_CSRF(t *testing.T) {
	w := shared(t)
	b, _, form, target := w.openPage()
	_, _, foreign, _ := w.openPage()
	for name, change := range map[string]func(url.Values){
		"no token":        func(f url.Values) { f.Del("csrf") },
		"empty":           func(f url.Values) { f.Set("csrf", "") },
		"another's":       func(f url.Values) { f.Set("csrf", foreign.Get("csrf")) },
		"changed":         func(f url.Values) { f.Set("csrf", f.Get("csrf")[1:]+"A") },
		"in the address":  func(f url.Values) { f.Del("csrf") },
		"page's token":    func(f url.Values) { f.Set("csrf", f.Get("t")) },
		"cut to no nonce": func(f url.Values) { f.Set("csrf", f.Get("csrf")[:22]) },
	} {
		f, to := url.Values{}, target
		for k, v := range form {
			f[k] = v
		}
		change(f)
		if name == "in the address" {
			to += "?csrf=" + url.QueryEscape(form.Get("csrf"))
		}
		if p := w.post(b, to, f); p.Status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, p.Status, p.Location())
		}
	}
	for name, header := range map[string][2]string{
		"another site":         {"Sec-Fetch-Site", "cross-site"},
		"a sibling host":       {"Sec-Fetch-Site", "same-site"},
		"origin":               {"Origin", "https://evil.test"},
		"origin null":          {"Origin", "null"},
		"sibling origin":       {"Origin", "http://x.localhost"},
		"origin, another port": {"Origin", "http://localhost:1"},
	} {
		b.Header = http.Header{header[0]: {header[1]}}
		if header[0] == "Origin" {
			b.Header["Sec-Fetch-Site"] = []string{""} // an old browser
		}
		if p := w.post(b, target, form); p.Status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, p.Status, p.Location())
		}
	}
	b.Header = http.Header{}
	if p := w.post(b, target, form); p.Status != http.StatusSeeOther {
		t.Errorf("the form as it was: %d", p.Status)
	}
}

// ATTACKS 25: who asks for another host than the pages' finds nothing, and no header
// changes where links lead.
func TestAttack25_ForgedHost(t *testing.T) {
	w := shared(t)
	user, _ := w.twoFactor()
	begun := w.call("login", "second_factor", w.start(user))
	u, err := url.Parse(begun.URL)
	must(t, err)
	for _, host := range []string{"evil.test", "localhost", "localhost.evil.test", "127.0.0.1", ""} {
		u.Host = host
		if host == "" {
			u.Host = "webhook"
		}
		b := w.browser()
		p, err := b.Get(t.Context(), u.String())
		must(t, err)
		if p.Status != http.StatusMisdirectedRequest || strings.Contains(p.Body, "evil") || strings.Contains(p.Body, "<form") {
			t.Errorf("Host %s: %d\n%s", host, p.Status, p.Body)
		}
	}
	b := w.browser()
	b.Header = http.Header{"X-Forwarded-Host": {"evil.test"}, "X-Forwarded-Proto": {"gopher"}, "Forwarded": {"host=evil.test"},
		"X-Original-Url": {"/evil"}, "X-Rewrite-Url": {"/evil"}, "X-Forwarded-Prefix": {"/evil"}}
	if p := w.get(b, http.StatusOK, begun.URL); strings.Contains(p.Body, "evil") || strings.Contains(p.Body, "gopher") {
		t.Error("a header is on the page")
	}
}

// ATTACKS 25: the browser's address is what the proxy says; a login begun elsewhere
// does not open, and one of whose browser nothing is known does.
func TestAttack25_AddressOfTheBrowser(t *testing.T) {
	w := shared(t)
	user, _ := w.twoFactor()
	for forwarded, want := range map[string]int{
		addr: http.StatusOK, "203.0.113.250": http.StatusOK, "": http.StatusOK, "2001:db8::1": http.StatusOK,
		"198.51.100.1": http.StatusForbidden, addr + ", 198.51.100.1": http.StatusForbidden, "198.51.100.1, " + addr: http.StatusOK,
	} {
		b := w.browser()
		b.Addr = forwarded
		if p := w.get(b, want, w.call("login", "second_factor", w.start(user)).URL); want != http.StatusOK && strings.Contains(p.Body, user) {
			t.Errorf("%s: the page tells the account", forwarded)
		}
	}
}

// ATTACKS 25: no page lets itself be framed, cached, or run a script of others.
func TestAttack25_Headers(t *testing.T) {
	w := shared(t)
	b, page, form, target := w.openPage()
	form.Set("code", "1")
	pages := map[string]*hooktest.Page{"form": page, "problem": w.post(b, target, form),
		"not found": w.get(b, http.StatusNotFound, w.Webmail.PublicURL+"nothing"),
		"no login":  w.get(b, http.StatusGone, w.Webmail.PublicURL+"sign-in?t=x"),
		"no method": w.get(b, http.StatusMethodNotAllowed, w.Webmail.PublicURL+"enrol/totp")}
	form.Set("csrf", "")
	pages["forbidden"] = w.post(b, target, form)
	for name, p := range pages {
		for header, want := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := p.Header.Get(header); got != want {
				t.Errorf("%s: %s: %q", name, header, got)
			}
		}
		csp := p.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", name, csp)
		}
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' "+strings.TrimSuffix(w.Webmail.URL, "/")+";") {
		t.Errorf("the form cannot lead back to webmail: %s", csp)
	}
	form.Set("code", "1")
	if r := w.get(b, http.StatusMethodNotAllowed, target+"/method"); r.Header.Get("Allow") != "POST" {
		t.Errorf("Allow: %s", r.Header.Get("Allow"))
	}
}

// ATTACKS 25: cookies are this host's alone, and one that a sibling host planted is
// none: without the prefix, or beside ours.
func TestAttack25_CookieOfASibling(t *testing.T) {
	w := shared(t)
	user, _ := w.twoFactor()
	b := w.browser()
	page := w.get(b, http.StatusOK, w.call("login", "second_factor", w.start(user)).URL)
	for _, c := range page.Header.Values("Set-Cookie") {
		for _, want := range []string{"__Host-", "; Secure", "; HttpOnly", "; Path=/", "; SameSite="} {
			if !strings.Contains(c, want) {
				t.Errorf("%s is not in %s", want, c)
			}
		}
		if strings.Contains(c, "Domain=") {
			t.Error(c)
		}
	}
	own := b.Cookies["__Host-postern_browser"]
	form, target, err := page.Form("sign-in")
	must(t, err)
	for name, cookies := range map[string]string{
		"without prefix":  "postern_browser=" + own,
		"both":            "__Host-postern_browser=planted; __Host-postern_browser=" + own,
		"both, ours last": "__Host-postern_browser=" + own + "; __Host-postern_browser=planted",
		"other case":      "__host-postern_browser=" + own,
		"secure prefix":   "__Secure-postern_browser=" + own,
	} {
		victim := w.browser()
		victim.Header = http.Header{"Cookie": {cookies}}
		if p := w.post(victim, target, form); p.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, p.Status)
		}
	}
}

// ATTACKS 25: who makes a victim's browser take a name, a login or a settings session
// of the attacker's choosing gets nothing of the victim's, and nobody in.
func TestAttack25_SessionFixation(t *testing.T) {
	w := shared(t)
	thief := w.signIn(w.user(), nil)
	thief.settings()
	victim := w.signIn(w.user(), nil)
	victim.settings()
	// The thief's settings cookie in the victim's browser, and the other way round.
	stolen, own := victim.b.Cookies["__Host-postern_settings"], thief.b.Cookies["__Host-postern_settings"]
	thief.b.Cookies["__Host-postern_settings"] = stolen
	w.get(thief.b, http.StatusForbidden, w.Webmail.PublicURL+"security")
	victim.b.Cookies["__Host-postern_settings"] = own
	w.get(victim.b, http.StatusForbidden, w.Webmail.PublicURL+"security")
	// A code of the thief's login, in the victim's webmail: not the victim's transaction.
	user, totp := w.twoFactor()
	w.policy(user, "totp_tolerance=5")
	p := &person{world: w, user: user, totp: totp, b: w.browser()}
	begun, other := w.call("login", "second_factor", w.start(user)), w.call("login", "second_factor", w.start(user))
	back := w.submit(p.b, http.StatusSeeOther, w.get(p.b, http.StatusOK, begun.URL), "sign-in", "code", p.code()).Location()
	w.call("exchange", "denied", hooktest.Fields{"transaction": other.Transaction, "code": hooktest.Code(back)})
}

// ATTACKS 25: after a confirmation the browser goes on within the security pages only.
func TestAttack25_NextOfAConfirmation(t *testing.T) {
	w := shared(t)
	p := w.signIn(w.user(), nil)
	p.settings()
	base := w.Webmail.PublicURL[strings.Index(w.Webmail.PublicURL[8:], "/")+8:]
	for _, next := range []string{"https://evil.test/", "//evil.test/", "/\\evil.test/", "/evil", base, base + "sign-in?t=x", base + "../evil",
		base + "security/../../evil", base + "security/%2e%2e/%2e%2e/evil", base + "securityx", base + "security//evil.test", "javascript:alert(1)",
		"\t//evil.test", "", "//evil.test" + base + "security", "https://evil.test" + base + "security", base + "security/\r\nX: y", "http:" + base + "security"} {
		page := w.get(p.b, http.StatusOK, w.Webmail.PublicURL+"security/confirm?next="+url.QueryEscape(next))
		if strings.Contains(page.Body, "evil") {
			t.Errorf("%q is on the page", next)
		}
		to := w.submit(p.b, http.StatusSeeOther, page, "security/confirm", "password", mailtest.Password, "next", next)
		if to.Location() != base+"security" {
			t.Errorf("%q leads to %s", next, to.Location())
		}
	}
}

// Metrics and readiness are not for browsers.
func TestMetricsAreNotForBrowsers(t *testing.T) {
	w := shared(t)
	for _, path := range []string{"metrics", "readyz"} {
		b := w.browser()
		u := "http://webhook/" + path
		w.get(b, http.StatusNotFound, u)
		b.Addr = ""
		if p := w.get(b, http.StatusOK, u); path == "metrics" && !strings.Contains(p.Body, "postern_events_total") {
			t.Error("the metrics are missing")
		}
	}
}
