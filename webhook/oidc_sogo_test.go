package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/browsertest"
	"postern/internal/mailtest"
)

// sogoSecret is written into SOGo's own requests as it is: it must need no escaping.
const sogoSecret = "0123456789abcdef0123456789abcdef"

// sogoOpenID is the configuration of docs/guides/oidc.md.
const sogoOpenID = `SOGoAuthenticationType = openid;
  SOGoXSRFValidationEnabled = NO;
  SOGoOpenIdConfigUrl = "@PAGES@oidc/.well-known/openid-configuration";
  SOGoOpenIdClient = sogo;
  SOGoOpenIdClientSecret = ` + sogoSecret + `;
  SOGoOpenIdScope = "openid email";
  SOGoOpenIdEnableRefreshToken = YES;
  SOGoOpenIdTokenCheckInterval = 1;
  NGImap4AuthMechanism = plain;`

// sogoSite is a site with SOGo, at /SOGo/ of webmail's address.
func sogoSite(t *testing.T) *world {
	t.Helper()
	mailtest.Long(t)
	s, err := mailtest.Start(t.Context(), mailtest.Options{Dovecot: &mailtest.DovecotOptions{}, Webmail: &mailtest.WebmailOptions{}})
	must(t, err)
	t.Cleanup(s.Stop)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte(sogoSecret+"\n"), 0o600))
	must(t, s.Reconfigure(mailtest.Settings{"oidc.clients.sogo": {"title": "SOGo", "secret_file": secret,
		"redirect_uris": []string{s.Webmail.URL + "SOGo/"}, "access_token": "ticket"}}))
	must(t, s.Webmail.Webhook().Restart(t.Context()))
	sogo, err := mailtest.StartSOGo(t.Context(), mailtest.SOGoOptions{IMAP: s.Dovecot.IMAP, SMTP: s.Dovecot.Submission, Directory: s.Slapd,
		Config: strings.ReplaceAll(sogoOpenID, "@PAGES@", s.Webmail.PublicURL)})
	must(t, err)
	t.Cleanup(sogo.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(sogo.Log(), s.Webmail.Webhook().Log(), s.Webmail.Nginx.Log())
		}
	})
	must(t, s.Webmail.Nginx.Start(t.Context(), mailtest.NginxOptions{Webhooks: []string{s.Webmail.Webhook().Socket}, Extra: sogo.Location(s.Webmail.URL)}))
	return inhabit(t, s)
}

// SOGo as Debian 13 has it, without anything of ours: password and code on our pages,
// then its inbox, which a ticket opened, until the session is ended elsewhere.
func TestOIDCSOGo(t *testing.T) {
	w := sogoSite(t)
	user, totp := w.twoFactor()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", w.Dovecot.LMTP))
	must(t, err)
	lmtp := smtp.NewClientLMTP(conn)
	t.Cleanup(func() { _ = lmtp.Close() })
	must(t, lmtp.SendMail("sender@example.test", []string{user}, strings.NewReader("From: sender@example.test\r\nSubject: by ticket\r\n\r\nHello.\r\n")))

	b := browsertest.New(t)
	b.Go(w.Webmail.URL + "SOGo/")
	b.Fill("#username", user)
	b.Fill("#password", mailtest.Password)
	b.Follow("button.primary")
	b.Fill("#code", code(t, totp))
	b.Follow("button.primary")
	b.WaitText("body", "by ticket")

	_, err = w.desk.EndAllSessions(t.Context(), operator, user)
	must(t, err)
	for end := time.Now().Add(time.Minute); !b.Has("#username"); b.Go(w.Webmail.URL + "SOGo/") { // what it checked a second ago it believes
		if time.Now().After(end) {
			t.Fatal("SOGo goes on after the end of the session")
		}
	}
}
