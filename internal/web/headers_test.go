package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"postern/internal/web"
	"postern/internal/web/samples"
)

func TestHeadersOfEveryPage(t *testing.T) {
	p := newPages(t, web.Options{HTTPS: true})
	want := map[string]string{
		"Content-Type":               "text/html; charset=utf-8",
		"Referrer-Policy":            "strict-origin",
		"X-Content-Type-Options":     "nosniff",
		"X-Frame-Options":            "DENY",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Cache-Control":              "no-store",
		"Strict-Transport-Security":  "max-age=31536000",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; " +
			"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}
	for _, s := range samples.All() {
		h := render(t, p, get("/2fa/sign-in"), s.Page).Header()
		for name, value := range want {
			if h.Get(name) != value {
				t.Fatalf("%s: %s is %q, want %q", s.Name, name, h.Get(name), value)
			}
		}
		for _, feature := range []string{"publickey-credentials-get=(self)", "publickey-credentials-create=(self)"} {
			if !strings.Contains(h.Get("Permissions-Policy"), feature) {
				t.Fatalf("%s: Permissions-Policy lacks %s", s.Name, feature)
			}
		}
	}
}

func TestNoHSTSWithoutHTTPS(t *testing.T) {
	h := render(t, newPages(t, web.Options{}), get("/2fa/"), &web.Message{Code: web.MessageNotFound}).Header()
	if v := h.Get("Strict-Transport-Security"); v != "" {
		t.Errorf("Strict-Transport-Security: %s", v)
	}
}

// Origins become part of the policy; whatever else stands there must not.
func TestAttack25_FormActionTakesOriginsOnly(t *testing.T) {
	page := &web.Message{Code: web.MessageNotFound}
	page.Origins = []string{
		"https://webmail.example.test", "http://localhost:8080", "https://x.test/path?q", "javascript:alert(1)",
		"https://evil.test; script-src *", "*", "https:", "", "'unsafe-inline'", "https://a b", "ftp://x.test",
		"https://evil.test;script-src", "https://evil.test,x", "https://o'x.test",
	}
	csp := render(t, newPages(t, web.Options{}), get("/2fa/"), page).Header().Get("Content-Security-Policy")
	want := "form-action 'self' https://webmail.example.test http://localhost:8080 https://x.test;"
	if !strings.Contains(csp, want) || strings.Count(csp, "script-src") != 1 {
		t.Errorf("policy %q, want %q in it", csp, want)
	}
}

func TestAssets(t *testing.T) {
	p := newPages(t, web.Options{})
	html := render(t, p, get("/2fa/"), &web.SignIn{Challenge: web.Challenge{Method: web.TOTP}}).Body.String()
	urls := regexp.MustCompile(`(?:href|src)="(/2fa/assets/[^"]+)"`).FindAllStringSubmatch(html, -1)
	if len(urls) != 4 {
		t.Fatalf("the page loads %v", urls)
	}
	for _, u := range urls {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, get(u[1]))
		if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Type") == "" || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", u[1], w.Code, w.Header())
		}
		if !regexp.MustCompile(`-[0-9a-f]{12}\.`).MatchString(u[1]) {
			t.Errorf("%s does not change with its content", u[1])
		}
	}
}

func TestUnknownPathsAreAPage(t *testing.T) {
	p := newPages(t, web.Options{})
	for _, path := range []string{"/2fa/", "/2fa/assets/page.css", "/2fa/nothing", "/2fa/assets/page-000000000000.css", "/2fa/language"} {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, get(path))
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "There is no such page") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
