// Package roundcube tests Postern's plug-in for Roundcube: in a real Roundcube,
// with a real Dovecot and a webhook that says whatever the test wants. Package e2e
// drives it with the real one and a browser.
package roundcube

import (
	"net/http"
	"slices"
	"strings"
	"testing"
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
