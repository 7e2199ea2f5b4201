package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// provider is a site's OAuth 2 provider, as far as Dovecot asks one (RFC 7662): a
// token is the name of its owner.
func provider(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token-of-")
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"active":%t,"email":%q}`, ok, user)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// declared are the lines that posternctl prints to paste.
func (w *world) declared(v mailtest.Version, mech string) string {
	w.t.Helper()
	out, err := w.Posternctl(w.t.Context(), "--json", "mechanism", "declare", mech)
	must(w.t, err)
	var printed struct {
		V23 string `json:"dovecot_23"`
		V24 string `json:"dovecot_24"`
	}
	must(w.t, json.Unmarshal([]byte(out), &printed))
	if v == mailtest.V24 {
		return printed.V24
	}
	return printed.V23
}

// oauth2 is a passdb of the site's own for both of OAuth 2's mechanisms, of which
// one is declared.
func oauth2(t *testing.T, v mailtest.Version, lines string) string {
	t.Helper()
	lines = strings.Replace(lines, "= oauthbearer\n", "= oauthbearer xoauth2\n", 1) // 2.4 has no such line
	url := provider(t)
	if v == mailtest.V24 {
		return fmt.Sprintf("oauth2 {\n introspection_mode = auth\n introspection_url = %s\n username_attribute = email\n"+
			" active_attribute = active\n active_value = true\n%s\n}\n", url, lines)
	}
	args := filepath.Join(t.TempDir(), "oauth2.conf")
	must(t, os.WriteFile(args, []byte("introspection_mode = auth\nintrospection_url = "+url+
		"\nusername_attribute = email\nactive_attribute = active\nactive_value = true\n"), 0o644))
	return fmt.Sprintf("passdb {\n  driver = oauth2\n  args = %s\n%s\n}\n", args, lines)
}

// TestDeclaredMechanism: a passdb for a strong mechanism lets a user with 2FA in
// if, and only if, the mechanism was declared. Passwords are still Postern's.
func TestDeclaredMechanism(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			first := fresh(t, mailtest.Options{Binaries: o.Binaries, Slapd: o.Slapd})
			o.With, o.Postfix = first.Site, nil
			o.Dovecot.Policy = true
			o.Dovecot.Before = oauth2(t, d.version, first.declared(d.version, "oauthbearer"))
			o.Dovecot.Extra = "auth_mechanisms = plain login oauthbearer xoauth2\n"
			w := fresh(t, o)
			user, alone := w.twoFactor(w.user("main password")), w.user("main password")
			for name, c := range map[string]struct {
				client bearer
				want   mailclient.Outcome
			}{
				"declared":                    {bearer{"OAUTHBEARER", user, "token-of-" + user}, mailclient.OK},
				"declared, wrong token":       {bearer{"OAUTHBEARER", user, "guess"}, mailclient.Refused},
				"declared, the main password": {bearer{"OAUTHBEARER", user, "main password"}, mailclient.Refused},
				"not declared":                {bearer{"XOAUTH2", user, "token-of-" + user}, mailclient.Refused},
				"not declared, without 2FA":   {bearer{"XOAUTH2", alone, "token-of-" + alone}, mailclient.OK},
			} {
				if r := w.authenticate(w.target(mailclient.IMAP), c.client); r.Outcome != c.want {
					t.Errorf("%s: %s", name, r.Text)
				}
			}
			if e := w.last(0, user, effect.Policy); e.Reason != string(login.AppPasswordRequired) || e.Mech != "XOAUTH2" {
				t.Errorf("audit: %+v", e)
			}
			w.want(mailclient.Refused, user, "main password")
			w.want(mailclient.OK, user, reveal(w.app(user).Password))
		})
	}
}

func (w *world) authenticate(target mailclient.Target, client sasl.Client) mailclient.Result {
	w.t.Helper()
	c, err := mailclient.Dial(w.t.Context(), target)
	must(w.t, err)
	defer func() { _ = c.Close() }()
	r, err := c.Authenticate(w.t.Context(), client)
	must(w.t, err)
	return r
}

// bearer speaks OAUTHBEARER (RFC 7628) or XOAUTH2, which Google had before it.
type bearer struct{ mech, user, token string }

func (b bearer) Start() (mech string, ir []byte, err error) {
	head := "user=" + b.user + "\x01"
	if b.mech == sasl.OAuthBearer {
		head = "n,a=" + b.user + ",\x01"
	}
	return b.mech, []byte(head + "auth=Bearer " + b.token + "\x01\x01"), nil
}

// Next answers the server's complaint, which is in JSON, as RFC 7628 section 3.2.3 asks.
func (bearer) Next([]byte) ([]byte, error) { return []byte{1}, nil }

// certificates switch EXTERNAL on. Dovecot takes the user from the certificate's
// common name: ours says "localhost", so that is one's name here.
var certificates = map[mailtest.Version]string{
	mailtest.V23: "ssl_ca = <@DIR@/ca.pem\nssl_verify_client_cert = yes\nssl_require_crl = no\nauth_ssl_username_from_cert = yes\n",
	mailtest.V24: "ssl_server_ca_file = @DIR@/ca.pem\nssl_server_request_client_cert = yes\nssl_server_require_crl = no\nauth_ssl_username_from_cert = yes\n",
}

// TestDeclaredPassdb is the same for a mechanism that a passdb answers for on both
// versions.
func TestDeclaredPassdb(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			first := fresh(t, mailtest.Options{Binaries: o.Binaries, Slapd: o.Slapd})
			const user = "localhost"
			must(t, first.Slapd.AddUser(user, "main password", nil))
			first.twoFactor(user)
			for declared, want := range map[string]mailclient.Outcome{"external": mailclient.OK, "gssapi": mailclient.Refused} {
				o := d.options(t)
				o.With, o.Postfix = first.Site, nil
				o.Dovecot.Policy = true
				o.Dovecot.Before = map[mailtest.Version]string{
					mailtest.V23: "passdb {\n  driver = static\n  args = nopassword\n",
					mailtest.V24: "passdb static {\n  fields {\n    nopassword = yes\n  }\n",
				}[d.version] + strings.ReplaceAll(first.declared(d.version, declared), "gssapi", "external") + "\n}\n"
				o.Dovecot.Extra = "auth_mechanisms = plain login external\n" + certificates[d.version]
				w := fresh(t, o)
				if r := w.authenticate(w.certified(), sasl.NewExternalClient("")); r.Outcome != want {
					t.Errorf("%s declared: %s", declared, r.Text)
				}
				w.want(mailclient.Refused, user, "main password")
			}
		})
	}
}

// certified is IMAP with a client certificate.
func (w *world) certified() mailclient.Target {
	w.t.Helper()
	dir := w.Dovecot.Dir
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	must(w.t, err)
	config := trusting(w.t, w.Dovecot.CAFile)
	config.ServerName, config.Certificates = "localhost", []tls.Certificate{pair}
	return mailclient.Target{Service: mailclient.IMAP, Addr: local(w.Dovecot.IMAPS), TLS: config}
}
