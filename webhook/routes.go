package main

import (
	"net/http"
	"runtime/debug"
	"strings"

	"postern/internal/account"
	"postern/internal/daemon"
	"postern/internal/web"
)

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	for path := range methods {
		mux.HandleFunc(path, s.api(path))
	}
	for name := range panelMethods {
		mux.HandleFunc(pathAdmin+name, s.panelAPI(name))
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, &problem{http.StatusNotFound, "there is no such method; see /v1/openapi.yaml"})
	})
	mux.HandleFunc("GET /v1/openapi.yaml", describe)
	mux.HandleFunc(pathBasic, s.basic)
	s.wellKnown(mux)
	s.autoconfig(mux)
	mux.HandleFunc("GET /livez", daemon.HandleLive)
	mux.Handle("GET /readyz", s.forInsiders(http.HandlerFunc(s.HandleReady)))
	mux.Handle("GET /metrics", s.forInsiders(s.Metrics.Handler()))
	s.oidcPrograms(mux)
	mux.Handle(s.public.Path, s.forBrowsers(s.pageRoutes()))
	return anyCase(mux)
}

// forInsiders keeps from browsers what is for the administrator.
func (s *server) forInsiders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.insider(r) {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// forBrowsers answers for the public host only, and never by its name as a browser
// or proxy gave it: a forged Host finds nothing (ATTACKS 25).
func (s *server) forBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.publicHost(r.Host) {
			http.Error(w, "these pages are at the address in webhook.public_url", http.StatusMisdirectedRequest)
			return
		}
		defer s.recoverPage(w, r)
		next.ServeHTTP(w, r)
	})
}

func (s *server) publicHost(host string) bool {
	asked := *s.public
	asked.Host = host
	return origin(&asked) == origin(s.public)
}

// recoverPage shows a page where a defect of ours would only close the connection.
func (s *server) recoverPage(w http.ResponseWriter, r *http.Request) {
	if defect := recover(); defect != nil {
		s.log.Error("a page failed", "path", r.URL.Path, "defect", defect, "stack", string(debug.Stack()))
		s.pages.Say(w, r, http.StatusInternalServerError, web.MessageUnavailable)
	}
}

// page is what answers to a path of the hosted pages; nil: not to that method.
type page struct {
	get, post func(*turn)
}

// pageRoutes are the hosted pages. Each has its own handler by method; the rest is
// package web's.
func (s *server) pageRoutes() http.Handler {
	mux := http.NewServeMux()
	for _, group := range []map[string]page{signInPages, enrolPages, securityPages, setupPages, adminPages} {
		for path, p := range group {
			mux.Handle(s.pages.Path(path), s.pages.Protect(s.page(p)))
		}
	}
	s.oidcRoutes(mux)
	mux.Handle(s.public.Path, s.pages.Handler())
	return mux
}

// page makes the turn of a request, and answers what no handler gets to see.
func (s *server) page(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &turn{s: s, w: w, r: r}
		handler := p.get
		if r.Method == http.MethodPost {
			handler = p.post
		}
		switch {
		case handler == nil || r.Method != http.MethodPost && r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", p.allowed())
			t.say(http.StatusMethodNotAllowed, web.MessageMethod)
		case !s.KeysFit():
			t.unavailable(nil)
		case t.begin():
			handler(t)
		}
	})
}

func (p page) allowed() string {
	var list []string
	if p.get != nil {
		list = append(list, http.MethodGet, http.MethodHead)
	}
	if p.post != nil {
		list = append(list, http.MethodPost)
	}
	return strings.Join(list, ", ")
}

// pageKey makes the codes of forms with a key that only hosts of the pages have.
type pageKey struct {
	ring interface {
		MAC(role, purpose string, parts ...string) ([]byte, error)
		Verify(sum []byte, role, purpose string, parts ...string) bool
	}
}

const purposeForms = "forms of the hosted pages"

// MAC implements web.Authenticator.
func (k pageKey) MAC(parts ...string) ([]byte, error) {
	return k.ring.MAC(account.RoleFactor, purposeForms, parts...)
}

// Verify implements web.Authenticator.
func (k pageKey) Verify(sum []byte, parts ...string) bool {
	return k.ring.Verify(sum, account.RoleFactor, purposeForms, parts...)
}
