package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/internal/browsertest"
	"postern/internal/web"
	"postern/internal/web/samples"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// newPages are pages at /2fa/.
func newPages(t *testing.T, o web.Options) *web.Pages {
	t.Helper()
	if o.Base == "" {
		o.Base = samples.Base
	}
	p, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// get is a request as a browser makes it.
func get(path string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://mail.example.test"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// render returns the answer with a page.
func render(t *testing.T, p *web.Pages, r *http.Request, page web.Page) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.Render(w, r, http.StatusOK, page); err != nil {
		t.Fatal(err)
	}
	return w
}

// body renders a sample in a language.
func body(t *testing.T, p *web.Pages, s samples.Sample, lang string) string {
	t.Helper()
	return render(t, p, get("/2fa/sign-in", "Accept-Language", lang), s.Page).Body.String()
}
