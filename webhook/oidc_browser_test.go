package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"postern/internal/browsertest"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// openPublic is the application without a secret, on a site of keySite.
func openPublic(w *world) *application {
	w.t.Helper()
	ca, err := os.ReadFile(w.Webmail.Nginx.CAFile)
	must(w.t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	outside := *w
	outside.Hook = &hooktest.Hook{}
	outside.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(w.Webmail.Nginx.TLSPort))
		}}}
	a := &application{world: &outside, id: "public"}
	a.provider, err = gooidc.NewProvider(a.ctx(), w.Webmail.PublicURL+"oidc")
	must(w.t, err)
	a.config = oauth2.Config{ClientID: "public", Endpoint: a.provider.Endpoint(), RedirectURL: w.Webmail.URL + "app", Scopes: []string{"openid", "email"}}
	a.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	return a
}

// visit opens the application's link, and returns what is needed to end the login.
func (a *application) visit(b *browsertest.Browser) func(user, methods string) {
	a.t.Helper()
	pkce := oauth2.GenerateVerifier()
	b.Go(a.config.AuthCodeURL("the state", oauth2.S256ChallengeOption(pkce)))
	b.WaitFor("#username")
	return func(user, methods string) {
		a.t.Helper()
		b.WaitURL("/app?")
		at, err := url.Parse(b.URL())
		must(a.t, err)
		tok, err := a.config.Exchange(a.ctx(), at.Query().Get("code"), oauth2.VerifierOption(pkce))
		must(a.t, err)
		claims := claimsOf(a.t, a.verify(idToken(a.t, tok)))
		if amr, _ := json.Marshal(claims["amr"]); string(amr) != methods || claims["email"] != user || at.Query().Get("state") != "the state" {
			a.t.Errorf("%s: %v, want %s and %s", at, claims, user, methods)
		}
	}
}

// A passkey signs in to a client of the OpenID provider, after the password and alone;
// who has none at hand goes back to the form, and from there to the application.
func TestW4_PasskeysByOpenIDConnect(t *testing.T) {
	w := keySite(t)
	p, a := w.keyed(w.user()), openPublic(w)
	arrive := a.visit(p.b)
	p.b.Fill("#username", p.user)
	p.b.Fill("#password", mailtest.Password)
	p.b.Follow("button.primary")
	p.b.Click(passkeyForm + " button")
	arrive(p.user, `["pop","mfa"]`)

	p.settings(w.enter(p))
	p.b.Follow("button.switch")
	if p.b.Has(passkeyForm) {
		p.b.Click(passkeyForm + " button")
		p.b.WaitFor("#methods")
		p.b.Follow("button.switch")
	}
	p.b.WaitFor("button.switch[aria-checked=true]")
	arrive = a.visit(p.b)
	p.b.Click("form[action$='oidc/passkey'] button") // autofill answers at once
	arrive(p.user, `["pop","mfa"]`)

	p.key.Remove()
	a.visit(p.b)
	p.b.Follow("form[action$='oidc/passkey'] button")
	p.b.Follow(".out a")
	p.b.WaitFor("#username")
	p.b.Follow(".out a")
	if to := p.b.URL(); !strings.Contains(to, "/app?") || !strings.Contains(to, "error=access_denied") {
		t.Errorf("who gives up goes to %s", to)
	}
}

// enter signs the person in to webmail with the passkey.
func (w *world) enter(p *keyed) string { return p.touch(p.b.Tab, p.begin(p.b.Tab)) }

// tabTo moves the focus by the keyboard alone. What has it must be seen to have it.
func tabTo(tab *browsertest.Tab, t *testing.T, selector string) {
	t.Helper()
	const focused = `(() => { const e = document.activeElement, s = getComputedStyle(e);
		return !e.matches(%s) ? "" : s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== "none" ? "seen" : "hidden" })()`
	quoted, err := json.Marshal(selector)
	must(t, err)
	for range 80 {
		switch browsertest.Eval[string](tab, strings.Replace(focused, "%s", string(quoted), 1)) {
		case "seen":
			return
		case "hidden":
			t.Errorf("%s: %s has the focus, and nobody sees it", tab.URL(), selector)
			return
		}
		tab.Type(kb.Tab)
	}
	t.Fatalf("%s: the keyboard does not reach %s", tab.URL(), selector)
}

// Without a mouse: sign-in by OpenID Connect with an enrolment that policy demands,
// then the security pages.
func TestKeyboardOnly(t *testing.T) {
	w := keySite(t)
	a := openPublic(w)
	user := w.user()
	w.policy(user, "twofactor=mandatory")
	w.policy(user, "totp_tolerance=5")
	b := browsertest.New(t)
	b.Address(addr)
	b.EnableVirtualAuthenticator(browsertest.Passkeys())
	press := func(selector, keys string) {
		t.Helper()
		b.WaitFor(selector)
		tabTo(b.Tab, t, selector)
		b.Type(keys)
	}

	arrive := a.visit(b)
	press("#username", user)
	press("#password", mailtest.Password+kb.Enter)
	press("button[value=totp]", kb.Enter)
	press("details summary", kb.Enter)
	b.WaitFor("#key")
	p := &person{world: w, user: user, totp: scan(t, &hooktest.Page{Body: b.HTML()})}
	press("#code", p.code())
	press("#name", "a"+kb.Enter)
	press("#saved", " ")
	press("button.primary", kb.Enter)
	press("form[action$='enrol/done'] button", kb.Enter)
	arrive(user, `["pwd","otp","mfa"]`) // its first code was given on the way

	begun := w.call("login", "second_factor", w.start(user))
	b.Go(begun.URL)
	press("#code", p.code()+kb.Enter)
	b.WaitURL("&code=")
	in := w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(b.URL())})
	b.Go(w.call("settings", "", hooktest.Fields{"grant": in.Grant, "return_to": w.Webmail.URL}).URL)
	press("a[href$='security/add?method=passkey']", kb.Enter)
	press("#code", p.code()+kb.Enter)
	press("form[data-webauthn=create] #name", "Keyboard")
	press("form[data-webauthn=create] button.primary", kb.Enter)
	b.WaitText("#methods", "Keyboard")
	press("#methods a[href*='rename?kind=passkey']", kb.Enter)
	press("#name", "Desk"+kb.Enter)
	b.WaitText("#methods", "Desk")
	press("#methods a[href*='remove?kind=passkey']", kb.Enter)
	press("main form button", kb.Enter)
	b.WaitGone("#methods a[href*='remove?kind=passkey']")
	b.NoProblems("status of 404") // the application's own page
}
