package roundcube

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/app"
	"postern/internal/mailtest"
)

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")

// snippets are the guide's code blocks of a language that contain a text.
func snippets(t *testing.T, language, text string) []string {
	t.Helper()
	return snippetsOf(t, "roundcube.md", language, text)
}

func snippetsOf(t *testing.T, guide, language, text string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../docs/guides", guide))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range fence.FindAllStringSubmatch(string(content), -1) {
		if m[1] == language && strings.Contains(m[2], text) {
			all = append(all, m[2])
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s: no snippet with %q", guide, text)
	}
	return all
}

// TestGuideConfiguration: postern.toml, as the guides that come before put it together.
func TestGuideConfiguration(t *testing.T) {
	text := strings.Join(append(snippetsOf(t, "openldap.md", "toml", "["), snippetsOf(t, "webmail.md", "toml", "[webhook]")...), "\n")
	file := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := app.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if c := cfg.Webhook.Clients["roundcube"]; c.KeyFile == "" || len(c.ReturnURLs) != 1 || cfg.Webhook.PublicURL == "" {
		t.Errorf("%+v", cfg.Webhook)
	}
}

// TestGuideRoundcube: the guide's PHP and Dovecot configuration, but for paths and
// ports, does what the guide says.
func TestGuideRoundcube(t *testing.T) {
	changes := make(chan url.Values, 1)
	passwords := passwordPlugin(t, changes)
	passwords.Config = strings.Replace(passwords.Config, "$config['password_confirm_current'] = true;\n", "", 1) // the guide has it
	s := newSiteAs(t, siteOptions{
		dovecot: snippets(t, "dovecot", "login_trusted_networks")[0],
		plugin:  snippets(t, "php", "postern_url")[0],
		rc:      strings.TrimPrefix(snippets(t, "php", "'plugins'")[0], "<?php\n"),
		others:  []mailtest.RoundcubePlugin{passwords},
	})
	b := s.browser()
	b.get("?_task=login")
	form := loginForm(alice, password)
	form.Set("_token", b.token)
	b.do(http.MethodPost, "?_task=login", form, "X-Forwarded-For", "203.0.113.7")
	b.follow(b.do(http.MethodGet, s.hook.last("/v1/login").fields["return_to"]+"&code="+goodCode, nil, "X-Forwarded-For", "203.0.113.7"))
	if !strings.Contains(s.tries(), "imap "+alice+" 203.0.113.7 pt1_") {
		t.Error(s.tries())
	}
	b.get("?_task=settings&_action=plugin.password")
	b.changePassword(password)
	if len(changes) != 1 {
		t.Fatal("the password was not changed")
	}
	if c := <-changes; c.Get("old") != password {
		t.Errorf("%v", c)
	}
	b.get("?_task=settings&_action=plugin.managesieve")
	b.send()
	for _, service := range []string{"sieve ", "submission "} {
		if !strings.Contains(s.tries(), service+alice+" 127.0.0.1 pt1_") {
			t.Errorf("no %s: %s", service, s.tries())
		}
	}
}
