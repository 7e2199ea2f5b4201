package web_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/internal/web"
)

// post is a request that changes something.
func post(target, body string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestAttack25_FormsOfOtherSitesAreRefused(t *testing.T) {
	reached := false
	h := newPages(t, web.Options{}).Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	tests := []struct {
		name   string
		header []string
		passes bool
	}{
		{"own form", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"other site", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"sibling host", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"old browser, own form", []string{"Origin", "https://mail.example.test"}, true},
		{"old browser, other site", []string{"Origin", "https://evil.test"}, false},
		{"old browser, sibling host", []string{"Origin", "https://www.example.test"}, false},
		{"old browser, origin hidden", []string{"Origin", "null"}, false},
		{"no browser", nil, true}, // left to the token
	}
	for _, tt := range tests {
		reached = false
		w := httptest.NewRecorder()
		h.ServeHTTP(w, post("https://mail.example.test/2fa/security/disable", "", tt.header...))
		if reached != tt.passes {
			t.Errorf("%s: reached %v", tt.name, reached)
		}
		if !tt.passes && (w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "This was not accepted")) {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
}

// testKey is HMAC-SHA256 as package seal has it.
type testKey string

func (k testKey) MAC(parts ...string) ([]byte, error) {
	h := hmac.New(sha256.New, []byte(k))
	h.Write([]byte(strings.Join(parts, "\x00")))
	return h.Sum(nil), nil
}

func (k testKey) Verify(sum []byte, parts ...string) bool {
	want, _ := k.MAC(parts...)
	return hmac.Equal(sum, want)
}

func TestAttack25_TokensAreBoundToTheBrowser(t *testing.T) {
	c := web.CSRF{Key: testKey("k")}
	token, err := c.Token("alice's")
	if err != nil {
		t.Fatal(err)
	}
	again, _ := c.Token("alice's")
	if !c.Valid("alice's", token) || !c.Valid("alice's", again) {
		t.Error("the browser's own token is refused")
	}
	if token == again {
		t.Error("two tokens are alike: their text could be guessed by a page's length")
	}
	for name, ok := range map[string]bool{
		"another browser's":  c.Valid("mallory's", token),
		"no browser":         c.Valid("", token),
		"none":               c.Valid("alice's", ""),
		"cut off":            c.Valid("alice's", token[:22]),
		"changed":            c.Valid("alice's", "A"+token[1:]) && token[0] != 'A',
		"another key's":      web.CSRF{Key: testKey("other")}.Valid("alice's", token),
		"not base64":         c.Valid("alice's", "!"+token),
		"for an empty name":  func() bool { e, _ := c.Token(""); return c.Valid("", e) }(),
		"far too short":      c.Valid("alice's", "AAAA"),
		"nonce without code": c.Valid("alice's", "AAAAAAAAAAAAAAAAAAAAAA"),
	} {
		if ok {
			t.Errorf("a token that is %s is taken", name)
		}
	}
}

func TestAttack25_CookiesAreForThisHostOnly(t *testing.T) {
	w := httptest.NewRecorder()
	strict := web.Cookie{Name: "postern_settings", Life: time.Hour}
	lax := web.Cookie{Name: "postern_txn", SameSite: http.SameSiteLaxMode}
	if err := strict.Set(w, "abc"); err != nil {
		t.Fatal(err)
	}
	if err := lax.Set(w, "def"); err != nil {
		t.Fatal(err)
	}
	lax.Clear(w)
	want := []string{
		"__Host-postern_settings=abc; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Strict",
		"__Host-postern_txn=def; Path=/; HttpOnly; Secure; SameSite=Lax",
		"__Host-postern_txn=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
	}
	if got := w.Header()["Set-Cookie"]; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("cookies %q, want %q", got, want)
	}
	if err := strict.Set(w, "a;b"); err == nil {
		t.Error("a value that would be cut off is set")
	}
}

func TestCookieGet(t *testing.T) {
	c := web.Cookie{Name: "postern_txn"}
	for header, want := range map[string]string{
		"__Host-postern_txn=a": "a",
		"postern_txn=a":        "", // without the prefix anybody's sibling can set it
		"":                     "",
		"__Host-postern_txn=":  "",
		"__Host-postern_txn=a; __Host-postern_txn=b":   "",
		"x=1; __Host-postern_txn=a; postern_txn=other": "a",
	} {
		if got, ok := c.Get(get("/", "Cookie", header)); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", header, got, ok, want)
		}
	}
}

func TestBrowserKeepsItsName(t *testing.T) {
	w := httptest.NewRecorder()
	name, err := web.Browser(w, get("/"))
	if err != nil || len(name) < 26 {
		t.Fatalf("name %q, %v", name, err)
	}
	cookie := w.Result().Cookies()[0]
	again := httptest.NewRecorder()
	if same, _ := web.Browser(again, get("/", "Cookie", cookie.Name+"="+cookie.Value)); same != name || len(again.Header()) != 0 {
		t.Errorf("it is called %q, then %q", name, same)
	}
}
