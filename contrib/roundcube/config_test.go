package roundcube

import (
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

func TestPasskeyButton(t *testing.T) {
	s := newSite(t, "$config['postern_passkey_button'] = true;\n")
	b := s.browser()
	p := b.get("?_task=login")
	if !strings.Contains(p.body, "Sign in with a passkey") {
		t.Fatal("no button")
	}
	_, rest, _ := strings.Cut(p.body, `formaction="`)
	action, _, _ := strings.Cut(rest, `"`)
	form := loginForm("", "")
	p = b.post(html.UnescapeString(strings.TrimPrefix(action, "/")), form)
	if p.status != http.StatusFound || p.location != "http://pages.example.test/2fa/begin" {
		t.Fatalf("%d %s %s", p.status, p.location, p.message())
	}
	c := s.hook.last("/v1/passkey")
	if c.fields["user"] != "" || c.fields["domain"] != "" || c.fields["password"] != "" || c.fields["remote_ip"] == "" {
		t.Errorf("%+v", c)
	}
	b.follow(b.get(c.fields["return_to"] + "&code=" + goodCode))
	if !strings.Contains(s.tries(), "imap "+alice) {
		t.Error(s.tries())
	}

	s.hook.down()
	b = s.browser()
	b.get("?_task=login")
	b.post("?_task=login&_postern=passkey", loginForm(weak, password)).refused(t, "This cannot be checked right now.")
}

// TestPasskeyOfADomain: who types a name, or comes to the webmail of one domain, is asked
// for a passkey of that domain's relying party (FEATURES W6).
func TestPasskeyOfADomain(t *testing.T) {
	for config, want := range map[string][2]string{
		"": {"", "typed.test"},
		"$config['username_domain'] = 'hosted.test';\n":                                   {"hosted.test", "typed.test"},
		"$config['username_domain'] = ['127.0.0.1' => 'hosted.test', 'x' => 'y.test'];\n": {"hosted.test", "typed.test"},
	} {
		t.Run(want[0], func(t *testing.T) {
			s := newSite(t, "$config['postern_passkey_button'] = true;\n"+config)
			for i, user := range []string{"", "erin@typed.test"} {
				b := s.browser()
				b.get("?_task=login")
				b.post("?_task=login&_postern=passkey", loginForm(user, ""))
				if got := s.hook.last("/v1/passkey").fields["domain"]; got != want[i] {
					t.Errorf("%q, typed %q: domain %q, want %q", config, user, got, want[i])
				}
			}
		})
	}
}

func TestNoPasskeyButton(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	if p := b.get("?_task=login"); strings.Contains(p.body, "passkey") {
		t.Error("a button that nobody asked for")
	}
	b.post("?_task=login&_postern=passkey", loginForm(plain, password))
	if !slices.Equal(s.hook.paths(), []string{"/v1/login"}) {
		t.Errorf("%v", s.hook.paths())
	}
}

// TestClientAddress: webhook and Dovecot see the browser's address, and believe
// only proxies that Roundcube trusts.
func TestClientAddress(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.get("?_task=login")
	form := loginForm(plain, password)
	form.Set("_token", b.token)
	b.follow(b.do(http.MethodPost, "?_task=login", form, "X-Forwarded-For", "198.51.100.9, 203.0.113.7"))
	if ip := s.hook.last("/v1/login").fields["remote_ip"]; ip != "203.0.113.7" {
		t.Errorf("webhook: %s", ip)
	}
	if !strings.Contains(s.tries(), "imap "+plain+" 203.0.113.7 pt1_") {
		t.Errorf("dovecot:\n%s", s.tries())
	}
}

func TestClientAddressSwitchedOff(t *testing.T) {
	s := newSite(t, "$config['postern_client_address'] = false;\n$config['postern_return_url'] = 'https://webmail.example.test/rc/';\n")
	b := s.browser()
	b.get("?_task=login")
	form := loginForm(plain, password)
	form.Set("_token", b.token)
	b.do(http.MethodPost, "?_task=login", form, "X-Forwarded-For", "203.0.113.7")
	if !strings.Contains(s.tries(), "imap "+plain+" 127.0.0.1 pt1_") {
		t.Errorf("dovecot:\n%s", s.tries())
	}
	if to := s.hook.last("/v1/login").fields["return_to"]; !strings.HasPrefix(to, "https://webmail.example.test/rc/?_task=login&_action=postern&_state=") {
		t.Error(to)
	}
}

// TestMisconfigured: whatever is wrong, it is logged, and the mail servers decide.
func TestMisconfigured(t *testing.T) {
	s := newSite(t, "")
	for config, text := range map[string]string{
		"$config['postern_key_file'] = '/nowhere/key';":                                              "postern: postern_key_file: /nowhere/key cannot be read",
		"$config['postern_key_file'] = ''; $config['postern_key'] = 'short';":                        "postern: the key must have 16 or more printable characters",
		"$config['postern_url'] = 'http://192.0.2.1:8080';":                                          "needs https: passwords would cross the network readably",
		"$config['postern_url'] = 'unix://" + s.hook.socket + "/not';":                               "postern: /v1/login: cannot connect",
		"$config['postern_key_file'] = ''; $config['postern_key'] = \"two\\r\\nlines lines lines\";": "postern: the key must have",
	} {
		s.reconfigure(config)
		b := s.browser()
		b.login(weak)
		mailtest.Eventually(t, config+": logged: "+text, func() bool { return strings.Contains(s.rc.Log(), text) })
	}
	if len(s.hook.paths()) != 0 {
		t.Errorf("%v", s.hook.paths())
	}
}
