package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"postern/internal/web"
)

func TestA10_WhichLanguage(t *testing.T) {
	p := newPages(t, web.Options{Language: "fr"})
	tests := []struct{ cookie, account, accept, want string }{
		{"", "", "", "fr"},
		{"", "", "de-AT,de;q=0.9,en;q=0.5", "de"},
		{"", "", "ja", "fr"},
		{"", "", "pt-BR, ru;q=0.4", "ru"},
		{"", "", "\xff;;;", "fr"},
		{"", "es", "de", "es"},
		{"", "es_MX", "de", "es"},
		{"", "xx", "de", "de"},
		{"ru", "es", "de", "ru"},
		{"xx", "", "de", "de"},
		{`"><script>`, "", "de", "de"},
	}
	for _, tt := range tests {
		page := &web.Message{Code: web.MessageNotFound}
		page.Language = tt.account
		h := render(t, p, get("/2fa/", "Accept-Language", tt.accept, "Cookie", "__Host-postern_lang="+tt.cookie), page).Header()
		if got := h.Get("Content-Language"); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

func TestUnknownLanguageOfTheSite(t *testing.T) {
	if _, err := web.New(web.Options{Base: "/2fa/", Language: "tlh"}); err == nil {
		t.Error("a site in Klingon starts")
	}
}

func TestA10_ChoosingALanguage(t *testing.T) {
	p := newPages(t, web.Options{})
	tests := []struct{ lang, next, cookie, location string }{
		{"de", "/2fa/sign-in?p=1", "__Host-postern_lang=de", "/2fa/sign-in?p=1"},
		{"xx", "/2fa/sign-in", "", "/2fa/sign-in"},
		{"de", "https://evil.test/2fa/", "__Host-postern_lang=de", "/2fa/security"},
		{"de", "//evil.test/2fa/", "__Host-postern_lang=de", "/2fa/security"},
		{"de", "/mail", "__Host-postern_lang=de", "/2fa/security"},
		{"de", "/2fa/../mail", "__Host-postern_lang=de", "/2fa/security"},
		{"de", "/2fa/%2e%2e/mail", "__Host-postern_lang=de", "/2fa/security"},
		{"de", `/2fa/\evil.test`, "__Host-postern_lang=de", "/2fa/security"},
		{"de", "/2fa/\r\nX: y", "__Host-postern_lang=de", "/2fa/security"},
		{"de", "javascript:alert(1)", "__Host-postern_lang=de", "/2fa/security"},
		{"de", "", "__Host-postern_lang=de", "/2fa/security"},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		form := url.Values{web.FieldLanguage: {tt.lang}, web.FieldNext: {tt.next}}
		p.Handler().ServeHTTP(w, post("https://mail.example.test/2fa/language", form.Encode(), "Sec-Fetch-Site", "same-origin"))
		cookie := ""
		if cs := w.Result().Cookies(); len(cs) > 0 {
			cookie = cs[0].Name + "=" + cs[0].Value
		}
		if w.Code != http.StatusSeeOther || cookie != tt.cookie || w.Header().Get("Location") != tt.location {
			t.Errorf("%+v: %d %s %s", tt, w.Code, cookie, w.Header().Get("Location"))
		}
	}
}

func TestChoiceOfLanguageOnAnswersToForms(t *testing.T) {
	p := newPages(t, web.Options{})
	choice := regexp.MustCompile(`name="next" value="([^"]*)"`)
	page := &web.Message{Code: web.MessageNotFound}
	find := func(r *http.Request) []string { return choice.FindStringSubmatch(render(t, p, r, page).Body.String()) }
	if m := find(get("/2fa/security?x=1&y=2")); len(m) != 2 || m[1] != "/2fa/security?x=1&amp;y=2" {
		t.Errorf("a page by GET leads back to %q", m)
	}
	if m := find(post("https://mail.example.test/2fa/x", "")); m != nil {
		t.Errorf("an answer to a form offers a language, which leads to %q", m)
	}
	page.Self = "/2fa/sign-in"
	if m := find(post("https://mail.example.test/2fa/x", "")); len(m) != 2 || m[1] != "/2fa/sign-in" {
		t.Errorf("a page that says where it is leads back to %q", m)
	}
}

func TestA10_TimesAreInTheZoneAndTheLanguage(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p := newPages(t, web.Options{Location: berlin})
	seen := time.Date(2026, time.August, 1, 22, 5, 9, 0, time.UTC)
	page := &web.Security{Sessions: []web.Session{{ID: "a", Since: seen, Seen: seen}}}
	for lang, want := range map[string]string{
		"en": "2 August 2026, 00:05 CEST", "de": "2. August 2026, 00:05 CEST", "es": "2 de agosto de 2026, 00:05 CEST",
		"fr": "2 août 2026 à 00:05 CEST", "ru": "2 августа 2026, 00:05 CEST",
	} {
		html := render(t, p, get("/2fa/", "Accept-Language", lang), page).Body.String()
		m := regexp.MustCompile(`<time datetime="([^"]+)">([^<]+)</time>`).FindStringSubmatch(html)
		if len(m) != 3 || m[1] != "2026-08-02T00:05:09+02:00" || m[2] != want {
			t.Errorf("%s: %q, want %q", lang, m, want)
		}
	}
}
