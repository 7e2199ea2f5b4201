// Package roundcube tests Postern's plug-in for Roundcube: in a real Roundcube,
// with a real Dovecot and a webhook that says whatever the test wants. Package e2e
// drives it with the real one and a browser.
package roundcube

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/internal/mailtest"
)

func TestLoginWithoutSecondFactor(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.login(plain)
	c := s.hook.last("/v1/login")
	if c.key != "Bearer "+apiKey || c.fields["user"] != plain || c.fields["password"] != password ||
		c.fields["remote_ip"] != "127.0.0.1" || !strings.HasPrefix(c.fields["user_agent"], "Go-http-client") || c.language != "en-US" {
		t.Errorf("%+v", c)
	}
	if strings.Contains(s.tries(), password) || !strings.Contains(s.tries(), "imap "+plain+" 127.0.0.1 pt1_") {
		t.Errorf("the mail server saw\n%s", s.tries())
	}
}

func TestLoginWithSecondFactor(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	back := b.begin()
	if s.tries() != "" {
		t.Fatalf("before the code the mail server saw\n%s", s.tries())
	}
	if p := b.get("?_task=mail"); !p.loginPage() {
		t.Errorf("half-finished: %d", p.status)
	}
	if p := b.ajax("?_task=mail&_action=list&_mbox=INBOX"); !strings.Contains(p.body, "session_error") || strings.Contains(p.body, "add_message_row") {
		t.Errorf("half-finished: %s", p.body)
	}
	if p := b.get("?_task=settings&_action=plugin.postern", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document"); !p.loginPage() {
		t.Errorf("half-finished: %d", p.status)
	}
	p := b.get(back + "&code=" + goodCode)
	if p = b.follow(p); !strings.Contains(p.body, `"task":"settings"`) {
		t.Error("the address that was asked for before the login is lost")
	}
	if !slices.Equal(s.hook.paths(), []string{"/v1/login", "/v1/exchange"}) || strings.Contains(s.tries(), password) {
		t.Errorf("%v\n%s", s.hook.paths(), s.tries())
	}
	if p := b.get("?_task=mail"); p.status != http.StatusOK || !p.loggedIn() {
		t.Errorf("%d", p.status)
	}
}

// refused fails the test unless the page is the login form with the text.
func (p page) refused(t *testing.T, text string) {
	t.Helper()
	if !p.loginPage() || !strings.Contains(p.message(), text) {
		t.Errorf("%d %s, not %q: %s", p.status, p.location, text, p.message())
	}
}

func TestLoginDenied(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	p := b.submit(alice, "wrong")
	p.refused(t, "Wrong &lt;name&gt; or password.")
	if p.status != http.StatusUnauthorized || s.tries() != "" {
		t.Errorf("%d\n%s", p.status, s.tries())
	}
	s.hook.answers("/v1/login", http.StatusOK, `{"result":"denied"}`)
	b.submit(alice, password).refused(t, "Login failed")
	if s.tries() != "" {
		t.Errorf("a refused login was tried at the mail server:\n%s", s.tries())
	}
}

// TestLoginForgedByAnotherSite: Roundcube's token is missing, so nothing is begun.
func TestLoginForgedByAnotherSite(t *testing.T) {
	s := newSite(t, "$config['postern_passkey_button'] = true;\n")
	b := s.browser()
	b.get("?_task=login")
	form := loginForm(plain, password)
	for _, where := range []string{"?_task=login", "?_task=login&_postern=passkey"} {
		b.do(http.MethodPost, where, form).refused(t, "Invalid request")
	}
	if len(s.hook.paths()) != 0 {
		t.Errorf("%v", s.hook.paths())
	}
}

// TestReturnRefused: only the browser that began a login finishes it, with the
// address it was given, once.
func TestReturnRefused(t *testing.T) {
	s := newSite(t, "")
	const text = "Signing in took too long, or went on in another window."
	victim, thief := s.browser(), s.browser()
	back := thief.begin()
	victim.get(back+"&code="+goodCode).refused(t, text) // a link that was sent to somebody
	victim.begin()
	victim.get(back+"&code="+goodCode).refused(t, text) // who has begun a login of his own
	thief.get(back[:len(back)-1]+"x&code="+goodCode).refused(t, text)
	thief.get("?_task=login&_action=postern&code="+goodCode).refused(t, text)
	thief.get(back).refused(t, text) // without a code
	if p := s.browser().get(back + "&code=" + goodCode); strings.Contains(p.body, goodCode) {
		t.Error("the code stands in the login page, as the address to go on to")
	}
	if slices.Contains(s.hook.paths(), "/v1/exchange") || s.tries() != "" {
		t.Errorf("%v\n%s", s.hook.paths(), s.tries())
	}

	p := thief.get(back + "&code=of-somebody-else")
	p.refused(t, text)
	if strings.Contains(p.body, "of-somebody-else") {
		t.Error("the code stands in the login page")
	}
	thief.get(back+"&code="+goodCode).refused(t, text) // a second try is a new login
	if n := count(s.hook.paths(), "/v1/exchange"); n != 1 || s.tries() != "" {
		t.Errorf("%d exchanges\n%s", n, s.tries())
	}
}

func count(all []string, one string) int {
	n := 0
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// cookie is the session's id.
func (b *browser) cookie() string {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == "roundcube_sessid" {
			return c.Value
		}
	}
	return ""
}

// TestSessionIDs: each step has an id of its own, and an earlier one is worth
// nothing afterwards.
func TestSessionIDs(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.get("?_task=login")
	planted := b.cookie()
	back := b.begin()
	half := b.cookie()
	b.follow(b.get(back + "&code=" + goodCode))
	full := b.cookie()
	if planted == "" || half == planted || full == half || full == planted {
		t.Fatalf("%q %q %q", planted, half, full)
	}
	for _, id := range []string{planted, half} {
		for _, where := range []string{"?_task=mail", back + "&code=" + goodCode} {
			p := s.browser().get(where, "Cookie", "roundcube_sessid="+id)
			if !p.loginPage() {
				t.Errorf("an earlier session's id led to %d %s", p.status, p.location)
			}
		}
	}
	if n := count(s.hook.paths(), "/v1/exchange"); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

func TestTwoTabs(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	first := b.begin()
	second := b.begin() // the login page in another tab
	b.get(first+"&code="+goodCode).refused(t, "went on in another window")
	b.follow(b.get(second + "&code=" + goodCode))
	// The page of the first tab, or a reload: the browser is logged in already.
	if p := b.get(first + "&code=" + goodCode); p.status != http.StatusFound || !strings.Contains(p.location, "_task=mail") {
		t.Errorf("%d %s", p.status, p.location)
	}
	if n := s.hook.live(); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// TestAttack03_LoginPressedTwice: the same form, sent several times at once. Nothing
// reaches the mail server before a code, and each login that was begun is finished in
// its own session only.
func TestAttack03_LoginPressedTwice(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.get("?_task=login")
	form := loginForm(alice, password)
	form.Set("_token", b.token)
	cookie := "roundcube_sessid=" + b.cookie()
	tabs := make([]*browser, 4)
	var wg sync.WaitGroup
	for i := range tabs {
		tabs[i] = s.browser()
		wg.Go(func() { tabs[i].do(http.MethodPost, "?_task=login", form, "Cookie", cookie) })
	}
	wg.Wait()
	if s.tries() != "" {
		t.Fatalf("before a code the mail server saw\n%s", s.tries())
	}
	finished := 0
	for _, tab := range tabs {
		if id := tab.cookie(); id == "" || "roundcube_sessid="+id == cookie {
			continue // came too late: the form's session is over
		}
		for _, back := range s.hook.returns() {
			if p := tab.get(back + "&code=" + goodCode); p.status == http.StatusFound && strings.Contains(p.location, "_token=") {
				finished++
			}
		}
	}
	if begun := len(s.hook.returns()); finished < 1 || finished > begun {
		t.Errorf("%d begun, %d finished", begun, finished)
	}
}

func TestLoginCancelled(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	back := b.begin()
	p := b.get(back + "&error=cancelled")
	p.refused(t, "You have not signed in.")
	if !strings.Contains(p.body, `value="`+alice+`"`) || !strings.Contains(p.body, `value="_task=settings"`) {
		t.Error("the login form has forgotten the name or the address")
	}
	b.get(back+"&code="+goodCode).refused(t, "Signing in took too long")
	b.login(alice)
}

// TestExchangeUnavailable: an answer that was lost is asked for again; no answer is
// neither access nor "wrong".
func TestExchangeUnavailable(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	back := b.begin()
	s.hook.answers("/v1/exchange", http.StatusServiceUnavailable, `{"result":"unavailable"}`)
	b.get(back+"&code="+goodCode).refused(t, "This cannot be checked right now.")
	if n := count(s.hook.paths(), "/v1/exchange"); n != 2 || s.tries() != "" {
		t.Errorf("%d exchanges\n%s", n, s.tries())
	}
	back = b.begin()
	s.hook.change(func() {
		s.hook.answer["/v1/exchange"] = func(w http.ResponseWriter) {
			delete(s.hook.answer, "/v1/exchange")
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	b.follow(b.get(back + "&code=" + goodCode))
}

// TestTicketRefusedAtLogin: Dovecot does not take the ticket. The session ends at
// the webhook too.
func TestTicketRefusedAtLogin(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	back := b.begin()
	s.hook.change(func() { s.hook.tickets += ".lost" })
	b.get(back+"&code="+goodCode).refused(t, "Login failed")
	if s.hook.live() != 0 || s.hook.paths()[2] != "/v1/logout" {
		t.Errorf("%d sessions, %v", s.hook.live(), s.hook.paths())
	}
	s.hook.change(func() { s.hook.tickets = strings.TrimSuffix(s.hook.tickets, ".lost") })
}

func TestWebhookDownAtLogin(t *testing.T) {
	s := newSite(t, "")
	s.hook.down()
	b := s.browser()
	b.submit(alice, password).refused(t, "If you use two-step login: it does not answer at the moment")
	b.login(weak) // Dovecot takes the password of who has no second factor
	mailtest.Eventually(t, "logged", func() bool { return strings.Contains(s.rc.Log(), "postern: /v1/login: cannot connect") })
	if p := b.get("?_task=mail"); !p.loggedIn() {
		t.Errorf("%d", p.status)
	}
	p := b.get("?_task=settings&_action=plugin.postern", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document")
	if !strings.Contains(p.body, "sign out and in again") || strings.Contains(p.body, `target="_top"`) {
		t.Error("Security without a grant")
	}
}

// TestGrantedWithoutTicket: the directory's writer is down, the user has no second
// factor, so the password goes on.
func TestGrantedWithoutTicket(t *testing.T) {
	s := newSite(t, "")
	s.browser().login(weak)
	if !strings.Contains(s.tries(), weak+" 127.0.0.1 "+password) {
		t.Error(s.tries())
	}
}

// TestAttack28_CredentialsAtTheLoginForm: an app password or a ticket is no password
// here. The webhook refuses them; while it is away the plug-in does, as Dovecot
// would take them. None is logged, also not as a user name.
func TestAttack28_CredentialsAtTheLoginForm(t *testing.T) {
	const app, ticket = "abcd-2fgh-ijkl-3nop-qrst-4vwx-yzab", "pt1_AbCdEfGhIjKlMnOpQrStUvWxYz"
	s := newSite(t, "")
	s.hook.open(alice, app)
	s.hook.open(alice, ticket)
	b := s.browser()
	for range 2 {
		for _, c := range []string{app, strings.ToUpper(app), ticket} {
			b.submit(alice, c).refused(t, "This is an app password, for mail programs.")
			b.submit(c, password).refused(t, "Login failed")
			b.submit(c+"@example.test", password).refused(t, "Login failed")
		}
		s.hook.down()
	}
	if s.tries() != "" || len(s.hook.paths()) != 0 {
		t.Errorf("%v\n%s", s.hook.paths(), s.tries())
	}
	if log := strings.ToLower(s.rc.Log()); strings.Contains(log, app) || strings.Contains(log, strings.ToLower(ticket)) {
		t.Error("logged")
	}
}

// TestOtherLanguages: the webhook's texts are shown to who reads their language;
// everybody else gets the plug-in's.
func TestOtherLanguages(t *testing.T) {
	s := newSite(t, "")
	for language, want := range map[string]string{"de": "Die Anmeldung ist fehlgeschlagen.", "ru": "Zu viele Versuche.", "en": "Login failed"} {
		b := s.browser()
		b.get("?_task=login", "Accept-Language", language)
		s.hook.change(func() {
			s.hook.answer["/v1/login"] = func(w http.ResponseWriter) {
				if language == "ru" { // as if this were Russian
					w.Header().Set("Content-Language", "ru")
				} else if language == "en" {
					w.Header().Set("Content-Language", "de")
				}
				_, _ = io.WriteString(w, `{"result":"denied","message":"Zu viele Versuche."}`)
			}
		})
		form := loginForm(alice, password)
		form.Set("_token", b.token)
		b.do(http.MethodPost, "?_task=login", form, "Accept-Language", language).refused(t, want)
		if got := s.hook.last("/v1/login").language; got != map[string]string{"de": "de-DE", "ru": "ru-RU", "en": "en-US"}[language] {
			t.Errorf("asked for %q", got)
		}
	}
	s.hook.answers("/v1/login", 0, "")
	b := s.browser()
	b.get("?_task=login", "Accept-Language", "fr")
	b.get("?_task=login&_action=postern&code=x", "Accept-Language", "fr").refused(t, "La connexion a pris trop de temps")
}
