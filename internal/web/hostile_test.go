package web_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/web"
	"postern/internal/web/samples"
)

const hostile = `x"'><script>alert(1)</script>{{.}}` + "\x001\x00" + `<img src=x onerror=alert(2)>`

// Names, addresses and browsers come from outside; none of them becomes markup.
func TestAttack25_HostileTextStaysText(t *testing.T) {
	p := newPages(t, web.Options{})
	for _, s := range samples.All() {
		spoil(reflect.ValueOf(s.Page).Elem(), hostile)
		source := body(t, p, s, "en")
		if strings.Contains(source, "<script>") || strings.Contains(source, "<img") || !strings.Contains(source, "alert(1)") && s.Name != "message-bare" {
			t.Fatalf("%s: %s", s.Name, source)
		}
		parse(t, s.Name, source).strict()
	}
}

// A link that came from outside is a link to the web, or none.
func TestAttack25_NoScriptLinks(t *testing.T) {
	p := newPages(t, web.Options{})
	for _, s := range samples.All() {
		spoil(reflect.ValueOf(s.Page).Elem(), "javascript:alert(1)")
		parse(t, s.Name, body(t, p, s, "en")).strict()
	}
}

// spoil sets every field that is plain text, however deep; codes, dates and secrets
// stay.
func spoil(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			v.SetString(text)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[account.Secret]() {
			return
		}
		for _, f := range v.Fields() {
			if f.CanSet() {
				spoil(f, text)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			spoil(v.Elem(), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoil(v.Index(i), text)
		}
	}
}

func TestOnlyAuthenticatorLinksAreTrusted(t *testing.T) {
	p := newPages(t, web.Options{})
	page := &web.EnrolTOTP{URI: account.SecretString("javascript:alert(1)"), Key: account.SecretString("GEZDGNBVGY3TQOJQ")}
	w := httptest.NewRecorder()
	if err := p.Render(w, get("/2fa/"), 200, page); err == nil || w.Body.Len() != 0 {
		t.Errorf("%v, wrote %s", err, w.Body)
	}
}
