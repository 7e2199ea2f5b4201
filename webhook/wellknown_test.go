package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"testing"

	"postern/internal/mailtest"
)

const signedBy = "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5"

// wellKnownAt fetches a document as browsers and telephones do, through nginx.
func (w *world) wellKnownAt(name, host string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.Webmail.Nginx.URL()+".well-known/"+name, nil)
	must(w.t, err)
	if host != "" {
		req.Host = host
	}
	return receive(w.t, http.DefaultClient, req)
}

var documents = []string{"webauthn", "assetlinks.json", "apple-app-site-association"}

func TestW5_WellKnownDocuments(t *testing.T) {
	w := inhabit(t, mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Settings: mailtest.Settings{
		"passkeys": {
			"related_origins": []string{"https://mail.example.org", "https://mail.example.net:8443"},
			"android_apps":    []string{"org.example.mail " + signedBy},
			"apple_apps":      []string{"ABCDE12345.org.example.mail"},
		},
		`passkeys.domains."other.test"`: {"rp_id": "other.test", "related_origins": []string{"https://mail.example.test"}},
		`passkeys.domains."third.test"`: {"rp_id": "third.test", "origins": []string{"https://mail.third.test"}},
	}}))
	own, err := url.Parse(w.Webmail.URL)
	must(t, err)
	for what, c := range map[string]struct{ name, host, want string }{
		"the site's":              {"webauthn", own.Host, `{"origins":["https://mail.example.org","https://mail.example.net:8443"]}`},
		"by a redirection":        {"webauthn", "mail.example.test", `{"origins":["https://mail.example.org","https://mail.example.net:8443"]}`},
		"a hosted domain's":       {"webauthn", "other.test", `{"origins":["https://mail.example.test"]}`},
		"in capitals, with port":  {"webauthn", "OTHER.test:443", `{"origins":["https://mail.example.test"]}`},
		"one with none":           {"webauthn", "third.test", ""},
		"Android":                 {"assetlinks.json", own.Host, `[{"relation":["delegate_permission/common.handle_all_urls","delegate_permission/common.get_login_creds"],"target":{"namespace":"android_app","package_name":"org.example.mail","sha256_cert_fingerprints":["` + signedBy + `"]}}]`},
		"Android, hosted domain":  {"assetlinks.json", "other.test", `[{"relation":["delegate_permission/common.handle_all_urls","delegate_permission/common.get_login_creds"],"target":{"namespace":"android_app","package_name":"org.example.mail","sha256_cert_fingerprints":["` + signedBy + `"]}}]`},
		"Apple":                   {"apple-app-site-association", own.Host, `{"webcredentials":{"apps":["ABCDE12345.org.example.mail"]}}`},
		"Apple, hosted domain":    {"apple-app-site-association", "third.test", `{"webcredentials":{"apps":["ABCDE12345.org.example.mail"]}}`},
		"nothing of the same dir": {"security.txt", own.Host, ""},
	} {
		res, text := w.wellKnownAt(c.name, c.host)
		if c.want == "" {
			if res.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s %s", what, res.Status, text)
			}
			continue
		}
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" || !sameJSON(t, text, c.want) {
			t.Errorf("%s: %s %q\n%s\nwant\n%s", what, res.Status, res.Header.Get("Content-Type"), text, c.want)
		}
	}
}

// Without a word in the configuration there is nothing to tell.
func TestW5_NothingConfigured(t *testing.T) {
	w := shared(t)
	for _, name := range documents {
		if res, text := w.wellKnownAt(name, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s %s", name, res.Status, text)
		}
	}
}

func sameJSON(t *testing.T, one, other string) bool {
	t.Helper()
	var a, b any
	if json.Unmarshal([]byte(one), &a) != nil || json.Unmarshal([]byte(other), &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}
