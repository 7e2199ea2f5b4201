package browsertest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/internal/mailtest"
)

// TestWebmailSite signs in to each Roundcube with the plug-in, at a site with two
// webhooks that take turns. Its Dovecot is of the same Debian and knows where the
// browser is.
func TestWebmailSite(t *testing.T) {
	mailtest.Long(t)
	for v, dovecot := range map[mailtest.RoundcubeVersion]mailtest.Version{
		mailtest.RC165: mailtest.V23, mailtest.RC1618: mailtest.V24,
	} {
		t.Run(string(v), func(t *testing.T) {
			began := time.Now()
			site := mailtest.New(t, mailtest.Options{
				Dovecot: &mailtest.DovecotOptions{Version: dovecot}, Postfix: &mailtest.PostfixOptions{},
				Webmail: &mailtest.WebmailOptions{Webhooks: 2, TLS: v == mailtest.RC1618, Roundcube: &mailtest.RoundcubeOptions{Version: v}},
			})
			t.Logf("ready after %v", time.Since(began))
			w := New(t).Webmail(site.Webmail.URL)
			w.Address("203.0.113.7")
			w.SignIn("bob@example.test", mailtest.Password)
			w.WaitInbox()
			w.Logout()
			secret := addTOTP(t, site, "alice@example.test")
			w.SignIn("alice@example.test", mailtest.Password)
			w.Fill("#code", codeNow(t, secret))
			w.Screenshot("hosted-"+string(v), 1280, 800)
			w.Follow("button.primary")
			w.WaitInbox()
			w.Send("alice@example.test", "by ticket", "Hello.")
			if got := w.Read("by ticket"); got != "Hello." {
				t.Errorf("the message says %q", got)
			}
			mailtest.Eventually(t, "Dovecot knows where the browser is", func() bool {
				return strings.Contains(site.Dovecot.Log(), "user=<alice@example.test>, method=PLAIN, rip=203.0.113.7")
			})
			w.NoProblems()
		})
	}
}

// addTOTP gives an account an authenticator app and returns its secret.
func addTOTP(t *testing.T, site *mailtest.Site, user string) string {
	t.Helper()
	out, err := site.Posternctl(context.Background(), "totp", "add", user, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Secret string }
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	return made.Secret
}

// codeNow is the code which the app shows.
func codeNow(t *testing.T, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}
