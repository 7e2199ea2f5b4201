package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// wellKnown serves what browsers and telephones ask a relying party's host for: which
// other pages, and which apps, may use its passkeys. What nothing is configured for is
// not found.
func (s *server) wellKnown(mux *http.ServeMux) {
	mux.Handle("GET /.well-known/webauthn", document(s.relatedOrigins))
	mux.Handle("GET /.well-known/assetlinks.json", document(s.assetLinks))
	mux.Handle("GET /.well-known/apple-app-site-association", document(s.appleAssociation))
}

// document answers with JSON, or with 404 for nil. Both Android and Apple want this
// type, whatever the name's ending.
func document(content func(*http.Request) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := content(r)
		body, err := json.Marshal(c)
		if c == nil || err != nil {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(append(body, '\n'))
	})
}

// relatedOrigins are the pages on other domains that may use the passkeys of the
// relying party whose host was asked (WebAuthn level 3, section 5.11), or else of the
// site's own: the question may come from there by a redirection.
func (s *server) relatedOrigins(r *http.Request) any {
	rp, domains := s.cfg.RelyingParties()
	asked := (&url.URL{Host: strings.ToLower(r.Host)}).Hostname()
	for _, d := range domains {
		if d.ID == asked && rp.ID != asked {
			rp = d
		}
	}
	if len(rp.Related) == 0 {
		return nil
	}
	return map[string][]string{"origins": rp.Related}
}

// assetLink is one statement of Digital Asset Links, version 1.
type assetLink struct {
	Relation []string    `json:"relation"`
	Target   assetTarget `json:"target"`
}

type assetTarget struct {
	Namespace    string   `json:"namespace"`
	Package      string   `json:"package_name"`
	Fingerprints []string `json:"sha256_cert_fingerprints"`
}

// assetLinks are the Android apps. Android wants both relations of an app that is to
// use passkeys, though the first one is about opening links.
func (s *server) assetLinks(*http.Request) any {
	apps := s.cfg.Passkeys.AndroidApps()
	if len(apps) == 0 {
		return nil
	}
	var links []assetLink
	for _, a := range apps {
		links = append(links, assetLink{
			Relation: []string{"delegate_permission/common.handle_all_urls", "delegate_permission/common.get_login_creds"},
			Target:   assetTarget{"android_app", a.Package, []string{a.Fingerprint}},
		})
	}
	return links
}

// appleAssociation are the apps on Apple's systems, for credentials alone.
func (s *server) appleAssociation(*http.Request) any {
	apps := s.cfg.Passkeys.Apple
	if len(apps) == 0 {
		return nil
	}
	return map[string]map[string][]string{"webcredentials": {"apps": apps}}
}
