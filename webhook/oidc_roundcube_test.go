package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// roundcubeOAuth is the configuration of docs/guides/oidc.md. Roundcube calls the
// webhook itself, not through nginx.
const roundcubeOAuth = `
$issuer = 'http://' . ($_SERVER['HTTP_HOST'] ?? '') . '/2fa/oidc';
$config['oauth_provider'] = 'postern';
$config['oauth_provider_name'] = 'Example Mail';
$config['oauth_client_id'] = 'stock';
$config['oauth_client_secret'] = '` + appSecret + `';
$config['oauth_auth_uri'] = $issuer . '/authorize';
$config['oauth_token_uri'] = $direct . '/token';
$config['oauth_identity_uri'] = $direct . '/userinfo';
$config['oauth_scope'] = 'openid email';
$config['oauth_identity_fields'] = ['email'];
$config['oauth_password_claim'] = 'postern_ticket';
`

// Roundcube as Debian 13 has it, without a plug-in of ours: password and code on our
// pages, then its inbox, which a ticket opened.
func TestOIDCRoundcubeWithoutPlugin(t *testing.T) {
	mailtest.Long(t)
	s, err := mailtest.Start(t.Context(), mailtest.Options{
		Dovecot: &mailtest.DovecotOptions{},
		Webmail: &mailtest.WebmailOptions{WithoutPlugin: true,
			Roundcube: &mailtest.RoundcubeOptions{Version: mailtest.RC1618}},
	})
	must(t, err)
	t.Cleanup(s.Stop)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte(appSecret+"\n"), 0o600))
	must(t, s.Reconfigure(mailtest.Settings{"oidc.clients.stock": {"title": "Roundcube", "secret_file": secret,
		"redirect_uris": []string{s.Webmail.URL + "index.php/login/oauth"}, "password_claim": claim}}))
	must(t, s.Webmail.Webhook().Restart(t.Context()))
	must(t, s.Webmail.Roundcube.Restart(t.Context(), func(o *mailtest.RoundcubeOptions) {
		o.Config = "$direct = '" + s.Webmail.Webhook().URL() + "2fa/oidc';" + roundcubeOAuth
	}))

	w := inhabit(t, s)
	user, totp := w.twoFactor()
	b := hooktest.NewBrowser(http.DefaultClient, "")
	page := w.follow(b, s.Webmail.URL+"?_task=login&_action=oauth")
	page = w.submit(b, http.StatusSeeOther, page, "oidc/sign-in", "username", user, "password", mailtest.Password)
	page = w.follow(b, page.Location())
	page = w.submit(b, http.StatusSeeOther, page, "sign-in", "code", code(t, totp))
	page = w.follow(b, page.Location())
	if !strings.Contains(page.Body, "messagelist") || !strings.Contains(page.Body, user) {
		t.Fatalf("%s is not the inbox of %s:\n%.2000s\n%s", page.URL, user, page.Body, s.Webmail.Roundcube.Log())
	}
}

// follow fetches an address and goes wherever it leads.
func (w *world) follow(b *hooktest.Browser, address string) *hooktest.Page {
	w.t.Helper()
	for range 10 {
		p, err := b.Get(w.t.Context(), address)
		must(w.t, err)
		if p.Location() == "" {
			return w.wantStatus(p, http.StatusOK)
		}
		to, err := p.URL.Parse(p.Location())
		must(w.t, err)
		address = to.String()
	}
	w.t.Fatalf("no end of redirects at %s", address)
	return nil
}
