package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

const (
	appURI    = "https://app.example.test/index.php/login/oauth"
	appSecret = "a secret of the application"
	claim     = "postern_ticket"
)

// application is a client of the OpenID provider, by a library that others use.
type application struct {
	*world
	provider *gooidc.Provider
	config   oauth2.Config
	id       string
}

// oidcSite is a site with three clients: a webmail with a secret, one without, and one
// whose access tokens are tickets.
func oidcSite(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir() // read once, when the site starts
	secret := filepath.Join(dir, "secret")
	must(t, os.WriteFile(secret, []byte(appSecret+"\n"), 0o600))
	uris := []string{appURI}
	logout := []string{"https://app.example.test/bye?x=1"}
	return inhabit(t, mailtest.Shared(t, "oidc", mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Settings: mailtest.Settings{
		"oidc.clients.app": {"title": "Example App", "secret_file": secret, "redirect_uris": uris,
			"post_logout_redirect_uris": logout, "password_claim": claim},
		"oidc.clients.public": {"redirect_uris": uris, "password_claim": claim},
		"oidc.clients.sogo":   {"secret_file": secret, "redirect_uris": uris, "access_token": "ticket", "pkce": true},
	}}))
}

func openApp(t *testing.T, id string) *application {
	t.Helper()
	w := oidcSite(t)
	a := &application{world: w, id: id}
	var err error
	a.provider, err = gooidc.NewProvider(a.ctx(), w.Webmail.PublicURL+"oidc")
	must(t, err)
	a.config = oauth2.Config{ClientID: id, ClientSecret: appSecret, Endpoint: a.provider.Endpoint(),
		RedirectURL: appURI, Scopes: []string{gooidc.ScopeOpenID, "email", "profile", "unknown"}}
	if id == "public" {
		a.config.ClientSecret = ""
		a.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return a
}

// ctx makes the library call the daemon.
func (a *application) ctx() context.Context { return gooidc.ClientContext(a.t.Context(), a.Client) }

// verify reads an ID token with everything that the library checks.
func (a *application) verify(raw string) *gooidc.IDToken {
	a.t.Helper()
	token, err := a.provider.Verifier(&gooidc.Config{ClientID: a.id, SupportedSigningAlgs: []string{"ES256"}}).Verify(a.ctx(), raw)
	must(a.t, err)
	return token
}

// form takes a browser from the application's link to our form.
func (a *application) form(b *hooktest.Browser, o ...oauth2.AuthCodeOption) *hooktest.Page {
	a.t.Helper()
	page := a.get(b, http.StatusSeeOther, a.config.AuthCodeURL("the state", o...))
	to, err := page.URL.Parse(page.Location())
	must(a.t, err)
	return a.get(b, http.StatusOK, to.String())
}

// password posts name and password into the form.
func (a *application) password(b *hooktest.Browser, form *hooktest.Page, user string) string {
	a.t.Helper()
	return a.submit(b, http.StatusSeeOther, form, "oidc/sign-in", "username", user, "password", mailtest.Password).Location()
}

// signIn takes a browser all the way, and returns the address at the application.
func (a *application) signIn(user string, totp *factor.TOTP, o ...oauth2.AuthCodeOption) *url.URL {
	a.t.Helper()
	b := a.browser()
	to := a.password(b, a.form(b, o...), user)
	if totp != nil {
		page := a.get(b, http.StatusOK, to)
		csp := page.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "https://app.example.test") {
			a.t.Errorf("the factor's page may not lead to the application: %s", csp)
		}
		to = a.submit(b, http.StatusSeeOther, page, "sign-in", "code", code(a.t, totp)).Location()
		to = a.get(b, http.StatusSeeOther, to).Location()
	}
	u, err := url.Parse(to)
	must(a.t, err)
	if !strings.HasPrefix(to, appURI+"?") || u.Query().Get("state") != "the state" || u.Query().Get("iss") != a.Webmail.PublicURL+"oidc" {
		a.t.Fatalf("the browser goes to %s", to)
	}
	return u
}

func idToken(t *testing.T, tok *oauth2.Token) string {
	t.Helper()
	raw, ok := tok.Extra("id_token").(string)
	if !ok {
		t.Fatal("no ID token")
	}
	return raw
}

// claimsOf are all claims of an ID token.
func claimsOf(t *testing.T, tok *gooidc.IDToken) map[string]any {
	t.Helper()
	m := map[string]any{}
	must(t, tok.Claims(&m))
	return m
}

// oauthError is the error code and status of a refused call.
func oauthError(err error) (string, int) {
	var e *oauth2.RetrieveError
	if !errors.As(err, &e) {
		return "", 0
	}
	return e.ErrorCode, e.Response.StatusCode
}

func (a *application) wantError(what string, err error, code string) {
	a.t.Helper()
	if got, _ := oauthError(err); got != code {
		a.t.Errorf("%s: %q (%v), want %q", what, got, err, code)
	}
}

// refresh asks for new tokens.
func (a *application) refresh(grant string) (*oauth2.Token, error) {
	return a.config.TokenSource(a.ctx(), &oauth2.Token{RefreshToken: grant}).Token()
}

// The whole way with a library's client: discovery, password, factor, tokens,
// userinfo, renewal, logout.
func TestOIDCFromLinkToLogout(t *testing.T) {
	a := openApp(t, "app")
	user, totp := a.twoFactor()
	pkce := oauth2.GenerateVerifier()
	at := a.signIn(user, totp, gooidc.Nonce("the nonce"), oauth2.S256ChallengeOption(pkce))
	tok, err := a.config.Exchange(a.ctx(), at.Query().Get("code"), oauth2.VerifierOption(pkce))
	must(t, err)
	id := a.verify(idToken(t, tok))
	claims := claimsOf(t, id)
	ticket, _ := claims[claim].(string)
	if id.Nonce != "the nonce" || claims["email"] != user || claims["preferred_username"] != user || id.Subject == "" || !strings.HasPrefix(ticket, "pt1_") {
		t.Errorf("%v", claims)
	}
	if since := time.Since(time.Unix(int64(claims["auth_time"].(float64)), 0)); since < -time.Minute || since > 10*time.Minute { //nolint:forcetypeassert // else the test fails
		t.Errorf("auth_time %v ago", since)
	}
	if amr, _ := json.Marshal(claims["amr"]); string(amr) != `["pwd","otp","mfa"]` {
		t.Errorf("amr %s", amr)
	}
	if tok.TokenType != "Bearer" || tok.Extra("scope") != "openid email profile" || time.Until(tok.Expiry) < 5*time.Minute {
		t.Errorf("%s %v %s", tok.TokenType, tok.Extra("scope"), tok.Expiry)
	}
	info, err := a.provider.UserInfo(a.ctx(), oauth2.StaticTokenSource(tok))
	must(t, err)
	if info.Subject != id.Subject || info.Email != user || !info.EmailVerified {
		t.Errorf("userinfo: %+v", info)
	}
	again, err := a.refresh(tok.RefreshToken)
	must(t, err)
	renewed := a.verify(idToken(t, again))
	if again.RefreshToken != tok.RefreshToken || renewed.Subject != id.Subject || renewed.Nonce != "" ||
		!strings.HasPrefix(claimsOf(t, renewed)[claim].(string), "pt1_") { //nolint:forcetypeassert // else the test fails
		t.Errorf("renewed: %v", claimsOf(t, renewed))
	}
	a.logout(idToken(t, again), "https://app.example.test/bye?x=1", "https://app.example.test/bye?x=1&state=s")
	_, err = a.refresh(tok.RefreshToken)
	a.wantError("refresh after logout", err, "invalid_grant")
	if _, err := a.provider.UserInfo(a.ctx(), oauth2.StaticTokenSource(tok)); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("userinfo after logout: %v", err)
	}
	_, err = a.config.Exchange(a.ctx(), at.Query().Get("code"), oauth2.VerifierOption(pkce))
	a.wantError("the code after logout", err, "invalid_grant")
}

func (a *application) logout(hint, back, want string) {
	a.t.Helper()
	q := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {back}, "state": {"s"}}
	status := http.StatusSeeOther
	if want == "" {
		status = http.StatusOK
	}
	page := a.get(a.browser(), status, a.Webmail.PublicURL+"oidc/logout?"+q.Encode())
	if page.Location() != want {
		a.t.Errorf("after the logout the browser goes to %q, want %q", page.Location(), want)
	}
}

// The ticket of the claim opens mail, and no more of it after the logout.
func TestOIDCTicketOpensMail(t *testing.T) {
	a := openApp(t, "sogo")
	user, totp := a.twoFactor()
	pkce := oauth2.GenerateVerifier()
	tok, err := a.config.Exchange(a.ctx(), a.signIn(user, totp, oauth2.S256ChallengeOption(pkce)).Query().Get("code"), oauth2.VerifierOption(pkce))
	must(t, err)
	if !strings.HasPrefix(tok.AccessToken, "pt1_") || len(tok.AccessToken) > 255 {
		t.Fatalf("the access token is no ticket: %q", tok.AccessToken)
	}
	if !a.opens(user, tok.AccessToken) {
		t.Error("the ticket does not open IMAP")
	}
	info, err := a.provider.UserInfo(a.ctx(), oauth2.StaticTokenSource(tok))
	must(t, err)
	if info.Email != user {
		t.Errorf("userinfo by ticket: %+v", info)
	}
	forged := &oauth2.Token{AccessToken: tok.AccessToken[:len(tok.AccessToken)-4] + "AAAA"}
	if _, err := a.provider.UserInfo(a.ctx(), oauth2.StaticTokenSource(forged)); err == nil {
		t.Error("userinfo by a forged ticket")
	}
	a.revoke(http.StatusOK, tok.AccessToken)
	if a.opens(user, tok.AccessToken) {
		t.Error("the ticket opens IMAP after its revocation")
	}
}

// revoke revokes a token as the client.
func (a *application) revoke(status int, token string) {
	a.t.Helper()
	res, err := a.Client.PostForm(a.Webmail.PublicURL+"oidc/revoke",
		url.Values{"token": {token}, "client_id": {a.id}, "client_secret": {a.config.ClientSecret}})
	must(a.t, err)
	defer res.Body.Close()
	if res.StatusCode != status {
		a.t.Errorf("revocation: %d, want %d", res.StatusCode, status)
	}
}

// A user without factors goes straight back; a code is used again, and a session
// revoked.
func TestOIDCWithoutFactor(t *testing.T) {
	a := openApp(t, "app")
	user := a.user()
	at := a.signIn(user, nil, gooidc.Nonce("n"))
	first, err := a.config.Exchange(a.ctx(), at.Query().Get("code"))
	must(t, err)
	second, err := a.config.Exchange(a.ctx(), at.Query().Get("code"))
	must(t, err)
	if first.RefreshToken != second.RefreshToken {
		t.Error("a code used twice gives two sessions")
	}
	if amr, _ := json.Marshal(claimsOf(t, a.verify(idToken(t, first)))["amr"]); string(amr) != `["pwd"]` {
		t.Errorf("amr %s", amr)
	}
	a.revoke(http.StatusOK, "nothing")
	a.revoke(http.StatusOK, first.RefreshToken)
	_, err = a.refresh(first.RefreshToken)
	a.wantError("refresh after revocation", err, "invalid_grant")
	_, err = a.config.Exchange(a.ctx(), at.Query().Get("code"))
	a.wantError("the code after revocation", err, "invalid_grant")
}

// A code with a factor, used twice, is one session and not two.
func TestOIDCReplayedCode(t *testing.T) {
	a := openApp(t, "app")
	user, totp := a.twoFactor()
	at := a.signIn(user, totp)
	first, err := a.config.Exchange(a.ctx(), at.Query().Get("code"))
	must(t, err)
	if _, err = a.config.Exchange(a.ctx(), at.Query().Get("code")); err != nil {
		a.wantError("again", err, "invalid_grant")
	}
	acct, err := a.desk.Store.Find(t.Context(), user)
	must(t, err)
	sessions, err := acct.Records(account.KindSession)
	must(t, err)
	if len(sessions) != 1 {
		t.Errorf("%d sessions", len(sessions))
	}
	a.logout(idToken(t, first), "https://evil.test/", "")
}

// Two tabs do not disturb each other; who gives up comes back.
func TestOIDCTabsAndCancelling(t *testing.T) {
	a := openApp(t, "app")
	user, totp := a.twoFactor()
	b := a.browser()
	one := a.get(b, http.StatusOK, a.password(b, a.form(b), user))
	two := a.password(b, a.form(b), user)
	a.get(b, http.StatusOK, two)
	to := a.submit(b, http.StatusSeeOther, one, "sign-in", "code", code(t, totp)).Location()
	if to = a.get(b, http.StatusSeeOther, to).Location(); !strings.Contains(to, "code=") {
		t.Errorf("the first tab goes to %s", to)
	}
	for range 5 {
		a.password(b, a.form(b), user)
	}
	logins := 0
	for name := range b.Cookies {
		if strings.HasPrefix(name, "__Host-postern_oidc_") {
			logins++
		}
	}
	if logins > maxLogins+1 {
		t.Errorf("the browser keeps %d logins", logins)
	}
	var cancelled string
	for name := range b.Cookies {
		if id, ok := strings.CutPrefix(name, "__Host-postern_oidc_"); ok {
			cancelled = a.Webmail.PublicURL + "oidc/callback?l=" + id + "&error=cancelled"
		}
	}
	if to := a.get(b, http.StatusSeeOther, cancelled).Location(); !strings.Contains(to, "error=access_denied") || !strings.Contains(to, "state=the+state") {
		t.Errorf("cancelled: %s", to)
	}
	if !strings.Contains(a.form(b).Body, "error=access_denied") {
		t.Error("the form has no way back")
	}
	form := a.form(b, oauth2.SetAuthURLParam("login_hint", user))
	if !strings.Contains(form.Body, `value="`+user+`"`) || !strings.Contains(form.Body, "Example App") {
		t.Error("the form does not know who is expected, or by whom")
	}
}

// The metadata is complete, and each address in it answers.
func TestOIDCDiscovery(t *testing.T) {
	a := openApp(t, "app")
	var m struct {
		Issuer        string   `json:"issuer"`
		Authorization string   `json:"authorization_endpoint"`
		Token         string   `json:"token_endpoint"`
		Userinfo      string   `json:"userinfo_endpoint"`
		JWKS          string   `json:"jwks_uri"`
		Revocation    string   `json:"revocation_endpoint"`
		EndSession    string   `json:"end_session_endpoint"`
		Responses     []string `json:"response_types_supported"`
		Subjects      []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
		PKCE          []string `json:"code_challenge_methods_supported"`
	}
	must(t, a.provider.Claims(&m))
	if m.Issuer != a.Webmail.PublicURL+"oidc" || strings.Join(m.Responses, " ") != "code" || strings.Join(m.Subjects, " ") != "public" ||
		strings.Join(m.Algorithms, " ") != "ES256" || strings.Join(m.PKCE, " ") != "S256" {
		t.Errorf("%+v", m)
	}
	for address, status := range map[string]int{m.Authorization: 400, m.Token: 405, m.Userinfo: 401, m.JWKS: 200, m.Revocation: 405, m.EndSession: 200} {
		a.get(a.browser(), status, address)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	must(t, json.Unmarshal([]byte(a.get(a.browser(), 200, m.JWKS).Body), &set))
	if len(set.Keys) != 1 || set.Keys[0]["alg"] != "ES256" || set.Keys[0]["kid"] == "" || set.Keys[0]["d"] != nil {
		t.Errorf("keys: %v", set.Keys)
	}
	if p := a.get(a.browser(), http.StatusNotFound, a.Webmail.PublicURL+"oidc/nothing"); p.Location() != "" {
		t.Error("an unknown path leads somewhere")
	}
}
