package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"postern/internal/mailtest"
)

// ATTACKS 25: exact addresses, and no error of the client's making leads anywhere else.
func TestAttack25_OIDCRedirects(t *testing.T) {
	a := openApp(t, "app")
	for _, bad := range []string{
		"", "https://evil.test/", appURI + "/", appURI + "?a=b", appURI + "#x", "https://app.example.test/index.php/login/oauth/../x",
		"https://app.example.test/index.php/login", "https://app.example.test:443/index.php/login/oauth", "HTTPS://app.example.test/index.php/login/oauth",
		"https://app.example.test@evil.test/index.php/login/oauth", "https://app.example.test\\@evil.test/", "https://app.example.test/index.php/login/%6fauth",
		appURI + " ", " " + appURI, appURI + "\x00", "//app.example.test/index.php/login/oauth", "http://app.example.test/index.php/login/oauth",
		"https://app.example.test/bye?x=1", a.Webmail.URL,
	} {
		q := url.Values{"client_id": {"app"}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {bad}}
		a.refused(q, bad)
		q.Set("response_type", "token") // an error that would be told to the client
		a.refused(q, bad)
	}
	good := url.Values{"client_id": {"app"}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {appURI}}
	for name, change := range map[string]url.Values{
		"unknown client": {"client_id": {"nobody"}}, "no client": {"client_id": nil}, "hook's client": {"client_id": {"roundcube"}},
		"two addresses": {"redirect_uri": {appURI, "https://evil.test/"}}, "two clients": {"client_id": {"app", "public"}},
	} {
		a.refused(merged(good, change), name)
	}
}

func merged(a, b url.Values) url.Values {
	all := url.Values{}
	for k, v := range a {
		all[k] = v
	}
	for k, v := range b {
		if all[k] = v; v == nil {
			all.Del(k)
		}
	}
	return all
}

// refused: a page, and nowhere else.
func (a *application) refused(q url.Values, name string) {
	a.t.Helper()
	p := a.get(a.browser(), http.StatusBadRequest, a.Webmail.PublicURL+"oidc/authorize?"+q.Encode())
	if p.Location() != "" || strings.Contains(p.Body, `href="https://evil.test`) {
		a.t.Errorf("%q: leads to %q", name, p.Location())
	}
}

// Errors that the client is told.
func TestOIDCRefusedRequests(t *testing.T) {
	a := openApp(t, "app")
	good := url.Values{"client_id": {"app"}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {appURI}, "state": {"s&t=u"}}
	challenge := base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))
	for name, c := range map[string]struct {
		change url.Values
		code   string
	}{
		"implicit":         {url.Values{"response_type": {"id_token"}}, "unsupported_response_type"},
		"hybrid":           {url.Values{"response_type": {"code id_token"}}, "unsupported_response_type"},
		"no type":          {url.Values{"response_type": nil}, "invalid_request"},
		"fragment":         {url.Values{"response_mode": {"fragment"}}, "invalid_request"},
		"no openid":        {url.Values{"scope": {"email"}}, "invalid_scope"},
		"prompt none":      {url.Values{"prompt": {"none"}}, "login_required"},
		"none and login":   {url.Values{"prompt": {"none login"}}, "invalid_request"},
		"prompt create":    {url.Values{"prompt": {"create"}}, "invalid_request"},
		"request object":   {url.Values{"request": {"eyJ"}}, "request_not_supported"},
		"request_uri":      {url.Values{"request_uri": {"https://evil.test/"}}, "request_uri_not_supported"},
		"max_age":          {url.Values{"max_age": {"-1"}}, "invalid_request"},
		"twice":            {url.Values{"nonce": {"a", "b"}}, "invalid_request"},
		"plain":            {url.Values{"code_challenge": {challenge}, "code_challenge_method": {"plain"}}, "invalid_request"},
		"no method":        {url.Values{"code_challenge": {challenge}}, "invalid_request"},
		"short challenge":  {url.Values{"code_challenge": {"abc"}, "code_challenge_method": {"S256"}}, "invalid_request"},
		"no challenge":     {url.Values{"code_challenge_method": {"S256"}}, "invalid_request"},
		"public, no PKCE":  {url.Values{"client_id": {"public"}}, "invalid_request"},
		"ticket, no PKCE":  {url.Values{"client_id": {"sogo"}}, "invalid_request"},
		"long nonce":       {url.Values{"nonce": {strings.Repeat("n", 600)}}, "invalid_request"},
		"registration":     {url.Values{"registration": {"{}"}}, "registration_not_supported"},
		"injected headers": {url.Values{"response_type": {"x\r\nLocation: https://evil.test/"}}, "unsupported_response_type"},
	} {
		p := a.get(a.browser(), http.StatusSeeOther, a.Webmail.PublicURL+"oidc/authorize?"+merged(good, c.change).Encode())
		u, err := url.Parse(p.Location())
		must(t, err)
		q := u.Query()
		if !strings.HasPrefix(p.Location(), appURI+"?") || q.Get("error") != c.code || q.Get("state") != "s&t=u" || q.Get("code") != "" || q.Get("iss") == "" {
			t.Errorf("%s: %s, want %s", name, p.Location(), c.code)
		}
	}
	b := a.browser()
	b.Header.Set("Origin", "https://app.example.test")
	b.Header.Set("Sec-Fetch-Site", "cross-site")
	p, err := b.Post(t.Context(), a.Webmail.PublicURL+"oidc/authorize", good)
	must(t, err)
	if !strings.HasPrefix(p.Location(), "/2fa/oidc/sign-in?t=") {
		t.Errorf("a request by POST: %d %s", p.Status, p.Location())
	}
}

// A code opens nothing for who has not what it was made for.
func TestAttack25_OIDCStolenCode(t *testing.T) {
	a, public := openApp(t, "app"), openApp(t, "public")
	user, totp := a.twoFactor()
	other := a.user()
	pkce := oauth2.GenerateVerifier()
	withFactor := a.signIn(user, totp, oauth2.S256ChallengeOption(pkce)).Query().Get("code")
	straight := a.signIn(other, nil, oauth2.S256ChallengeOption(pkce)).Query().Get("code")
	plain := a.signIn(other, nil).Query().Get("code")
	for name, c := range map[string]string{"with a factor": withFactor, "straight": straight} {
		for what, verifier := range map[string]string{"wrong": oauth2.GenerateVerifier(), "short": "abc", "the challenge": oauth2.S256ChallengeFromVerifier(pkce)} {
			_, err := a.config.Exchange(a.ctx(), c, oauth2.VerifierOption(verifier))
			a.wantError(name+", verifier "+what, err, "invalid_grant")
		}
		_, err := a.config.Exchange(a.ctx(), c)
		a.wantError(name+", no verifier", err, "invalid_grant")
		_, err = public.config.Exchange(a.ctx(), c, oauth2.VerifierOption(pkce))
		a.wantError(name+", another client", err, "invalid_grant")
		moved := a.config
		moved.RedirectURL = "https://app.example.test/other"
		_, err = moved.Exchange(a.ctx(), c, oauth2.VerifierOption(pkce))
		a.wantError(name+", another address", err, "invalid_grant")
		flip := "A"
		if c[len(c)/2] == 'A' {
			flip = "B"
		}
		_, err = a.config.Exchange(a.ctx(), c[:len(c)/2]+flip+c[len(c)/2+1:], oauth2.VerifierOption(pkce))
		a.wantError(name+", changed", err, "invalid_grant")
	}
	_, err := a.config.Exchange(a.ctx(), plain, oauth2.VerifierOption(pkce))
	a.wantError("a verifier that the request did not ask for", err, "invalid_grant")
	tok, err := a.config.Exchange(a.ctx(), withFactor, oauth2.VerifierOption(pkce))
	must(t, err) // nothing of all this used it up
	_, err = public.refresh(tok.RefreshToken)
	a.wantError("another client's refresh token", err, "invalid_grant")
	public.revoke(http.StatusOK, tok.RefreshToken)
	public.revoke(http.StatusOK, tok.AccessToken)
	if _, err := a.refresh(tok.RefreshToken); err != nil {
		t.Errorf("another client revoked the session: %v", err)
	}
	for _, not := range []string{tok.AccessToken, withFactor, idToken(t, tok), ""} {
		_, err = a.refresh(not)
		if not == "" {
			continue // the library does not ask
		}
		a.wantError("something else as a refresh token", err, "invalid_grant")
	}
}

// Who is not the client gets nothing.
func TestAttack26_OIDCClientSecrets(t *testing.T) {
	a := openApp(t, "app")
	for name, c := range map[string]struct {
		id, secret string
		basic      []string
		code       string
	}{
		"wrong secret":             {"app", "wrong secret of the app", nil, "invalid_client"},
		"no secret":                {"app", "", nil, "invalid_client"},
		"unknown":                  {"nobody", appSecret, nil, "invalid_client"},
		"nobody":                   {"", "", nil, "invalid_client"},
		"public with a secret":     {"public", appSecret, nil, "invalid_client"},
		"hook's client":            {"roundcube", a.Key, nil, "invalid_client"},
		"basic, wrong":             {"", "", []string{"app", "wrong"}, "invalid_client"},
		"basic and form":           {"app", appSecret, []string{"app", appSecret}, "invalid_request"},
		"basic, another in form":   {"public", "", []string{"app", appSecret}, "invalid_request"},
		"right":                    {"app", appSecret, nil, "invalid_grant"},
		"basic":                    {"", "", []string{"app", url.QueryEscape(appSecret)}, "invalid_grant"},
		"basic and the same name":  {"app", "", []string{"app", url.QueryEscape(appSecret)}, "invalid_grant"},
		"public, which has no key": {"public", "", nil, "invalid_grant"},
	} {
		f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}
		if c.id != "" {
			f.Set("client_id", c.id)
		}
		if c.secret != "" {
			f.Set("client_secret", c.secret)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Webmail.PublicURL+"oidc/token", strings.NewReader(f.Encode()))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if c.basic != nil {
			req.SetBasicAuth(c.basic[0], c.basic[1])
		}
		res, err := a.Client.Do(req)
		must(t, err)
		var said struct {
			Error string `json:"error"`
		}
		must(t, json.NewDecoder(res.Body).Decode(&said))
		res.Body.Close()
		want := map[string]int{"invalid_client": 401, "invalid_request": 400, "invalid_grant": 400}[c.code]
		if said.Error != c.code || res.StatusCode != want || (want == 401) != (res.Header.Get("WWW-Authenticate") != "") || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %s", name, res.StatusCode, said.Error, c.code)
		}
	}
}

// A logout needs an ID token of ours, and it may be an old one.
func TestAttack25_OIDCForgedLogout(t *testing.T) {
	a := openApp(t, "app")
	user := a.user()
	tok, err := a.config.Exchange(a.ctx(), a.signIn(user, nil).Query().Get("code"))
	must(t, err)
	parts := strings.Split(idToken(t, tok), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), `"aud":"app"`, `"aud":"public"`, 1)))
	for name, hint := range map[string]string{
		"unsigned": none + "." + parts[1] + ".", "changed": parts[0] + "." + forged + "." + parts[2],
		"cut": parts[0] + "." + parts[1] + "." + parts[2][:40], "no token": "x", "the access token": tok.AccessToken,
	} {
		q := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://app.example.test/bye?x=1"}}
		if p := a.get(a.browser(), http.StatusBadRequest, a.Webmail.PublicURL+"oidc/logout?"+q.Encode()); p.Location() != "" {
			t.Errorf("%s: leads to %s", name, p.Location())
		}
	}
	q := url.Values{"id_token_hint": {idToken(t, tok)}, "client_id": {"public"}}
	a.get(a.browser(), http.StatusBadRequest, a.Webmail.PublicURL+"oidc/logout?"+q.Encode())
	q = url.Values{"post_logout_redirect_uri": {"https://app.example.test/bye?x=1"}, "client_id": {"app"}}
	if p := a.get(a.browser(), http.StatusOK, a.Webmail.PublicURL+"oidc/logout?"+q.Encode()); p.Location() != "" {
		t.Errorf("without a token: leads to %s", p.Location())
	}
	if _, err := a.refresh(tok.RefreshToken); err != nil {
		t.Errorf("the session was ended by a forged logout: %v", err)
	}
	for _, back := range []string{"https://evil.test/", "https://app.example.test/bye", "https://app.example.test/bye?x=1&y=2", appURI} {
		a.logout(idToken(t, tok), back, "")
	}
	if _, err := a.refresh(tok.RefreshToken); err == nil {
		t.Error("the session goes on after the logout")
	}
}

// The callback belongs to the browser that began the login, and a form to its page.
func TestAttack25_OIDCOtherBrowser(t *testing.T) {
	a := openApp(t, "app")
	user, totp := a.twoFactor()
	b := a.browser()
	page := a.get(b, http.StatusOK, a.password(b, a.form(b), user))
	back := a.submit(b, http.StatusSeeOther, page, "sign-in", "code", code(t, totp)).Location()
	a.get(a.browser(), http.StatusGone, back)
	a.get(b, http.StatusGone, strings.Replace(back, "l=", "l=x", 1))
	if to := a.get(b, http.StatusSeeOther, back).Location(); !strings.HasPrefix(to, appURI+"?code=") {
		t.Errorf("the browser that began it goes to %s", to)
	}
	a.get(b, http.StatusGone, back) // once

	form := a.form(b)
	stranger := a.browser()
	a.form(stranger)
	a.submit(stranger, http.StatusForbidden, form, "oidc/sign-in", "username", user, "password", mailtest.Password)
	b.Header.Set("Sec-Fetch-Site", "cross-site")
	a.submit(b, http.StatusForbidden, form, "oidc/sign-in", "username", user, "password", mailtest.Password)
}

// What is typed wrong is said at the form, and no more than before (ATTACKS 10, 28).
func TestOIDCWrongPasswords(t *testing.T) {
	a := openApp(t, "app")
	with, _ := a.twoFactor()
	app, err := a.desk.CreateAppPassword(t.Context(), operator, with, newApp)
	must(t, err)
	b := a.browser()
	form := a.form(b)
	says := func(user, password string) string {
		p := a.submit(b, http.StatusUnprocessableEntity, form, "oidc/sign-in", "username", user, "password", password)
		if strings.Contains(p.Body, password) && password != "" {
			t.Error("the page shows what was typed as password")
		}
		_, alert, _ := strings.Cut(p.Body, `role="alert"`)
		alert, _, _ = strings.Cut(alert, "</div>")
		return alert
	}
	wrong := says(with, "wrong-wrong")
	if wrong == "" || wrong != says("nobody@example.test", "wrong-wrong") || wrong != says(a.user(), "wrong-wrong") {
		t.Error("denials differ")
	}
	shape := string(app.Password.Reveal())
	if said := says(with, shape); !strings.Contains(said, "app password") || said != says("nobody@example.test", shape) {
		t.Errorf("an app password: %s", said)
	}
	says("", "x-y-z")
	says(with, "")
}

// What could not be checked is never called wrong.
func TestOIDCUnavailable(t *testing.T) {
	s, err := mailtest.Start(t.Context(), mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Settings: mailtest.Settings{
		"oidc.clients.public": {"redirect_uris": []string{appURI}},
	}})
	must(t, err)
	t.Cleanup(s.Stop)
	a := &application{world: inhabit(t, s), id: "public"}
	a.provider, err = gooidc.NewProvider(a.ctx(), s.Webmail.PublicURL+"oidc")
	must(t, err)
	a.config = oauth2.Config{ClientID: "public", Endpoint: a.provider.Endpoint(), RedirectURL: appURI, Scopes: []string{"openid"}}
	a.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	user, totp := a.twoFactor()
	pkce := oauth2.GenerateVerifier()
	c := a.signIn(user, totp, oauth2.S256ChallengeOption(pkce)).Query().Get("code")
	b := a.browser()
	form := a.form(b, oauth2.S256ChallengeOption(pkce))
	tok, err := a.config.Exchange(a.ctx(), c, oauth2.VerifierOption(pkce))
	must(t, err)
	s.Slapd.Stop()
	_, err = a.refresh(tok.RefreshToken)
	if code, status := oauthError(err); code != "temporarily_unavailable" || status != http.StatusServiceUnavailable {
		t.Errorf("refresh without a directory: %v", err)
	}
	_, err = a.config.Exchange(a.ctx(), c, oauth2.VerifierOption(pkce))
	if code, status := oauthError(err); code != "temporarily_unavailable" || status != http.StatusServiceUnavailable {
		t.Errorf("exchange without a directory: %v", err)
	}
	if _, err := a.provider.UserInfo(a.ctx(), oauth2.StaticTokenSource(tok)); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("userinfo without a directory: %v", err)
	}
	a.revoke(http.StatusServiceUnavailable, tok.RefreshToken)
	q := url.Values{"id_token_hint": {idToken(t, tok)}}
	a.get(a.browser(), http.StatusServiceUnavailable, s.Webmail.PublicURL+"oidc/logout?"+q.Encode())
	a.submit(b, http.StatusServiceUnavailable, form, "oidc/sign-in", "username", user, "password", mailtest.Password)
}
