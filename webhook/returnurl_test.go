package main

import (
	"net/url"
	"strings"
	"testing"
)

func clientOf(t testing.TB, allowed ...string) *client {
	t.Helper()
	c := &client{}
	for _, a := range allowed {
		u, err := url.Parse(a)
		must(t, err)
		c.returns = append(c.returns, u)
	}
	return c
}

func TestReturnTo(t *testing.T) {
	c := clientOf(t, "https://mail.example.test/", "https://other.example.test:8443/webmail/", "http://localhost:8000/")
	for to, want := range map[string]string{
		"https://mail.example.test/":                        "",
		"https://mail.example.test":                         "",
		"https://mail.example.test/?_task=login&_state=1":   "",
		"https://mail.example.test?_task=login":             "",
		"https://mail.example.test/roundcube/index.php?a=b": "",
		"https://mail.example.test:443/":                    "",
		"https://MAIL.example.test/":                        "",
		"https://mail.example.test/?next=https://a.test/":   "", // webmail's own business
		"https://mail.example.test/#fragment":               "https://mail.example.test/",
		"https://mail.example.test/a%20b":                   "",
		"https://other.example.test:8443/webmail/":          "",
		"https://other.example.test:8443/webmail":           "",
		"http://localhost:8000/?x":                          "",
	} {
		if want == "" {
			want = to
		}
		if got, err := c.returnTo(to); err != nil || got != want {
			t.Errorf("%s: %s, %v", to, got, err)
		}
	}
}

// ATTACKS 25: the browser is sent to webmail and nowhere else, however a browser reads
// the address.
func TestAttack25_OpenRedirect(t *testing.T) {
	c := clientOf(t, "https://mail.example.test/", "https://other.example.test:8443/webmail/")
	for _, to := range []string{
		"", "/", "//evil.test/", "https:", "https://", "https:///mail.example.test/", "https:mail.example.test/",
		"https:/mail.example.test/", "https:\\\\mail.example.test/", "http://mail.example.test/", "HTTP://mail.example.test/",
		"https://mail.example.test.evil.test/", "https://evil.test/https://mail.example.test/", "https://mail.example.test@evil.test/",
		"https://mail.example.test:443@evil.test/", "https://user@mail.example.test/", "https://user:pass@mail.example.test/",
		"https://mail.example.test\\@evil.test/", "https://evil.test\\.mail.example.test/", "https://mail.example.test%2fevil.test/",
		"https://mail.example.test%00.evil.test/", "https://mail.example.test\x00.evil.test/", "https://mail.example.test\n.evil.test/",
		"https://mail.example.test:8443/", "https://mail.example.test:0443/", "https://mail.example.test./",
		"https://mail.example.test//evil.test/", "https://mail.example.test/\\evil.test/", "https://mail.example.test/../x",
		"https://mail.example.test/a/../../x", "https://mail.example.test/%2e%2e/x", "https://mail.example.test/a%2f..%2fx",
		"https://mail.example.test/%5cevil.test", "https://mail.example.test/./x", "https://mail.example.test/\tx",
		"https://mail.example.test/?a=\r\nLocation: https://evil.test/", "https://mail.example.test/ü", "https://mail.exämple.test/",
		"https://other.example.test:8443/webmail%2fx", "https://other.example.test:8443/webmail/x%2F..%2F..%2Fy",
		"https://mail.example.test/%00", "https://mail.example.test/a%0d%0ab",
		"https://other.example.test:8443/", "https://other.example.test:8443/webmailx", "https://other.example.test:8443/webmail/../x",
		"https://other.example.test/webmail/", "https://other.example.test:8443/Webmail/",
		"javascript:alert(1)//https://mail.example.test/", "javascript://mail.example.test/%0aalert(1)", "data:text/html,x",
		"https://[::1]/", " https://mail.example.test/", "https://mail.example.test/ ", "ftp://mail.example.test/",
		"https://mail.example.test/" + strings.Repeat("a", 2000),
	} {
		if got, err := c.returnTo(to); err == nil {
			t.Errorf("%q: allowed as %q", to, got)
		}
	}
}

// FuzzReturnTo: what is allowed leads to the client's own host when a browser has
// normalised it, and is its own normal form.
func FuzzReturnTo(f *testing.F) {
	for _, s := range []string{"https://mail.example.test/?a=b", "https://mail.example.test/\\evil.test", "https://mail.example.test//x", "https:evil.test"} {
		f.Add(s)
	}
	c := clientOf(f, "https://mail.example.test/webmail/")
	f.Fuzz(func(t *testing.T, s string) {
		to, err := c.returnTo(s)
		if err != nil {
			return
		}
		u, err := url.Parse(to)
		if err != nil || origin(u) != "https://mail.example.test" || !below(u.Path, "/webmail/") || strings.Contains(u.Path, "/../") {
			t.Errorf("%q is allowed as %q", s, to)
		}
		if again, err := c.returnTo(to); err != nil || again != to {
			t.Errorf("%q becomes %q and then %q, %v", s, to, again, err)
		}
	})
}
