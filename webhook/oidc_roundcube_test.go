package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/browsertest"
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
// pages, then its inbox, by a ticket that it renews, until the session is ended
// elsewhere; and its own logout.
func TestOIDCRoundcubeWithoutPlugin(t *testing.T) {
	w := stockRoundcube(t)
	user, totp := w.twoFactor()
	rc := w.stockSignIn(user)
	rc.Fill("#code", code(t, totp))
	rc.Follow("button.primary")
	rc.WaitInbox()
	rc.Task("_task=mail")
	rc.WaitInbox()
	seen := w.passwords(user)
	for _, p := range seen {
		if !strings.HasPrefix(p, "pt1_") {
			t.Errorf("the mail server saw %q", p)
		}
	}
	if len(seen) < 2 || seen[0] == seen[len(seen)-1] {
		t.Errorf("the ticket was not renewed: %q", seen)
	}
	_, err := w.desk.EndAllSessions(t.Context(), operator, user)
	must(t, err)
	rc.Task("_task=mail")
	rc.WaitLogin()

	rc = w.stockSignIn(w.user()) // without a factor: straight to the inbox
	rc.WaitInbox()
	rc.Logout()
	rc.Task("_task=mail")
	rc.WaitLogin()
}

// stockRoundcube is a site with Roundcube 1.6.18, whose tickets are so short that every
// request renews them, and Dovecot writes down which passwords it sees.
func stockRoundcube(t *testing.T) *world {
	t.Helper()
	mailtest.Long(t)
	s, err := mailtest.Start(t.Context(), mailtest.Options{
		Dovecot: &mailtest.DovecotOptions{Extra: "auth_debug = yes\nauth_debug_passwords = yes\n"},
		Webmail: &mailtest.WebmailOptions{WithoutPlugin: true,
			Roundcube: &mailtest.RoundcubeOptions{Version: mailtest.RC1618}},
	})
	must(t, err)
	t.Cleanup(s.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Webmail.Webhook().Log(), s.Webmail.Roundcube.Log())
		}
	})
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte(appSecret+"\n"), 0o600))
	must(t, s.Reconfigure(mailtest.Settings{"webhook": {"ticket_life": "65s"}, "oidc.clients.stock": {"title": "Roundcube", "secret_file": secret,
		"redirect_uris": []string{s.Webmail.URL + "index.php/login/oauth"}, "password_claim": claim}}))
	must(t, s.Webmail.Webhook().Restart(t.Context()))
	must(t, s.Webmail.Roundcube.Restart(t.Context(), func(o *mailtest.RoundcubeOptions) {
		o.Config = "$direct = '" + s.Webmail.Webhook().URL() + "2fa/oidc';" + roundcubeOAuth
	}))
	return inhabit(t, s)
}

// stockSignIn goes from Roundcube's login to our form, and gives the password.
func (w *world) stockSignIn(user string) *browsertest.Webmail {
	w.t.Helper()
	rc := browsertest.New(w.t).Webmail(w.Webmail.URL)
	rc.Go(w.Webmail.URL + "?_task=login&_action=oauth")
	rc.Fill("#username", user)
	rc.Fill("#password", mailtest.Password)
	rc.Follow("button.primary")
	return rc
}

var saslResponse = regexp.MustCompile(`\bresp=([A-Za-z0-9+/]+=*)`)

// passwords are those that Dovecot was shown for a user, in order.
func (w *world) passwords(user string) []string {
	var all []string
	for _, m := range saslResponse.FindAllStringSubmatch(w.Dovecot.Log(), -1) {
		text, err := base64.StdEncoding.DecodeString(m[1])
		if parts := strings.Split(string(text), "\x00"); err == nil && len(parts) == 3 && parts[1] == user {
			all = append(all, parts[2])
		}
	}
	return all
}
