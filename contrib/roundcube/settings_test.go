package roundcube

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// secFetch are the headers of a link that was followed within Roundcube.
var secFetch = []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document"}

func TestSecurityInSettings(t *testing.T) {
	const where, link = "?_task=settings&_action=plugin.postern", "http://pages.example.test/2fa/security?link=1"
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	if p := b.get("?_task=settings"); !strings.Contains(p.body, `_action=plugin.postern`) || !strings.Contains(p.body, "plugins/postern/skins/elastic/postern") {
		t.Error("no entry, or no icon")
	}
	if p := b.get(where, secFetch...); p.location != link {
		t.Errorf("%d %s", p.status, p.location)
	}
	c := s.hook.last("/v1/settings")
	if c.fields["grant"] != s.onlyGrant() || c.fields["return_to"] != s.base+"?_task=settings" {
		t.Errorf("%+v", c)
	}

	// Another site's link or picture gets a page with a button only.
	n := len(s.hook.paths())
	for _, headers := range [][]string{nil, {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document"}, {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "iframe"}} {
		if p := b.get(where, headers...); p.location != "" || !strings.Contains(p.body, "Open Security") {
			t.Errorf("%v: %d %s", headers, p.status, p.location)
		}
	}
	if p := b.do(http.MethodPost, where, url.Values{"x": {"1"}}); p.location != "" {
		t.Errorf("forged: %d %s", p.status, p.location)
	}
	if len(s.hook.paths()) != n {
		t.Errorf("%v", s.hook.paths())
	}
	b.get(where)
	if p := b.post(where, url.Values{}); p.location != link {
		t.Errorf("%d %s", p.status, p.location)
	}

	s.hook.down()
	if p := b.get(where, secFetch...); p.location != "" || !strings.Contains(p.body, "do not answer at the moment") {
		t.Errorf("%d %s", p.status, p.location)
	}
	s.hook.up()
	s.hook.end()
	if p := b.get(where, secFetch...); !strings.HasSuffix(p.location, "?_task=login") {
		t.Errorf("%d %s", p.status, p.location)
	}
}

func TestRecommendation(t *testing.T) {
	s := newSite(t, "")
	s.hook.change(func() { s.hook.recommend = true })
	b := s.browser()
	b.login(plain)
	b.ajax("?_task=mail&_action=list&_mbox=INBOX")
	for i, want := range []bool{true, false} {
		p := b.get("?_task=mail")
		if got := strings.Contains(p.message(), "Set up two-step login"); got != want {
			t.Errorf("page %d: %t: %s", i, got, p.message())
		}
	}
}

// passwordPlugin is Roundcube's, with a driver that tells a web server what it was
// asked to change.
func passwordPlugin(t *testing.T, changes chan url.Values) mailtest.RoundcubePlugin {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		changes <- r.PostForm
		_, _ = w.Write([]byte("ok"))
	})
	return mailtest.RoundcubePlugin{Name: "password", Config: fmt.Sprintf(`<?php
$config['password_driver'] = 'httpapi';
$config['password_confirm_current'] = true;
$config['password_httpapi_url'] = '%s';
$config['password_httpapi_method'] = 'POST';
$config['password_httpapi_var_user'] = 'user';
$config['password_httpapi_var_curpass'] = 'old';
$config['password_httpapi_var_newpass'] = 'new';
$config['password_httpapi_expect'] = '/^ok$/';
`, address)}
}

// changePassword fills in that plug-in's form.
func (b *browser) changePassword(current string) page {
	return b.post("?_task=settings&_action=plugin.password-save", url.Values{
		"_curpasswd": {current}, "_newpasswd": {"a new Password 1"}, "_confpasswd": {"a new Password 1"},
	})
}

// TestPasswordPlugin: the current password is the account's, not the session's; the
// driver gets it; and the session keeps its ticket.
func TestPasswordPlugin(t *testing.T) {
	changes := make(chan url.Values, 10)
	s := newSite(t, "", passwordPlugin(t, changes))
	b := s.browser()
	b.login(alice)
	b.get("?_task=settings&_action=plugin.password")
	ticket := s.tries()
	ticket = ticket[strings.LastIndex(ticket, "pt1_"):]
	for _, wrong := range []string{"wrong", strings.TrimSpace(ticket)} {
		if p := b.changePassword(wrong); !strings.Contains(p.message(), "Current password incorrect") || len(changes) != 0 {
			t.Errorf("%s", p.message())
		}
	}

	s.hook.answers("/v1/check", http.StatusServiceUnavailable, `{"result":"unavailable"}`)
	if p := b.changePassword(password); !strings.Contains(p.message(), "could not be checked right now") || strings.Contains(p.message(), "incorrect") || len(changes) != 0 {
		t.Error(p.message())
	}
	s.hook.answers("/v1/check", 0, "")

	p := b.changePassword(password)
	if !strings.Contains(p.message(), "Successfully saved") || len(changes) != 1 {
		t.Fatal(p.message())
	}
	if c := <-changes; c.Get("old") != password || c.Get("new") != "a new Password 1" || c.Get("user") != alice {
		t.Errorf("the driver got %v", c)
	}
	if p := b.get("?_task=mail"); !p.loggedIn() || p.message() != "" {
		t.Errorf("the session lost its ticket: %s", p.message())
	}
	if strings.Contains(s.tries(), "Password 1") || strings.Contains(s.tries(), password) {
		t.Errorf("the mail server saw a password:\n%s", s.tries())
	}

	n := len(s.hook.paths())
	b.do(http.MethodPost, "?_task=settings&_action=plugin.password-save", url.Values{"_curpasswd": {password}, "_newpasswd": {"x"}, "_confpasswd": {"x"}})
	if len(changes) != 0 || len(s.hook.paths()) != n {
		t.Errorf("forged: %v", s.hook.paths())
	}
}
