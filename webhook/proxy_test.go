package main

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

// ATTACKS 25: X-Forwarded-For counts from a trusted proxy only, and no further than
// the last address that such a one wrote.
func TestAttack25_ForwardedFor(t *testing.T) {
	s := &server{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	for name, c := range map[string]struct{ peer, header, want string }{
		"proxy tells":            {"127.0.0.1:5", "203.0.113.7", "203.0.113.7"},
		"proxy says nothing":     {"127.0.0.1:5", "", ""},
		"forged before":          {"127.0.0.1:5", "198.51.100.1, 203.0.113.7", "203.0.113.7"},
		"two proxies":            {"127.0.0.1:5", "198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"},
		"stranger":               {"203.0.113.9:5", "198.51.100.1", "203.0.113.9"},
		"stranger says nothing":  {"203.0.113.9:5", "", "203.0.113.9"},
		"no address":             {"127.0.0.1:5", "unknown", ""},
		"no address at the end":  {"127.0.0.1:5", "203.0.113.7, unknown", ""},
		"with a port":            {"127.0.0.1:5", "203.0.113.7:80", ""},
		"IPv6":                   {"127.0.0.1:5", "2001:db8::7", "2001:db8::7"},
		"IPv4 in IPv6":           {"[::ffff:127.0.0.1]:5", "::ffff:203.0.113.7", "203.0.113.7"},
		"all are trusted":        {"127.0.0.1:5", "10.1.1.1, 10.1.2.3", "10.1.1.1"},
		"empty elements":         {"127.0.0.1:5", "203.0.113.7,", ""},
		"the browser is a proxy": {"127.0.0.1:5", "127.0.0.2", "127.0.0.2"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.header != "" {
			r.Header.Set("X-Forwarded-For", c.header)
		}
		got := s.browserAddr(r)
		if text := addressText(got); text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}
