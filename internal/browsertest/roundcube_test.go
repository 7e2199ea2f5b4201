package browsertest

import (
	"strings"
	"testing"
	"time"

	"postern/internal/mailtest"
)

// TestRoundcubeStarts uses each Roundcube as people do, behind nginx, at a site
// with Postern at the door: signs in by the main password, sends a mail and reads
// it. Its Dovecot is of the same Debian; the newer one speaks TLS.
func TestRoundcubeStarts(t *testing.T) {
	mailtest.Long(t)
	for v, dovecot := range map[mailtest.RoundcubeVersion]mailtest.Version{
		mailtest.RC165: mailtest.V23, mailtest.RC1618: mailtest.V24,
	} {
		t.Run(string(v), func(t *testing.T) {
			began := time.Now()
			site := mailtest.New(t, mailtest.Options{
				Dovecot: &mailtest.DovecotOptions{Version: dovecot}, Postfix: &mailtest.PostfixOptions{},
				Webmail: &mailtest.WebmailOptions{WithoutWebhook: true, TLS: v == mailtest.RC1618, Roundcube: &mailtest.RoundcubeOptions{Version: v}},
			})
			t.Logf("ready after %v", time.Since(began))
			w := New(t).Webmail(site.Webmail.URL)
			w.Address("203.0.113.7")
			w.SignIn("alice@example.test", "not her password")
			if got := w.WaitLogin(); got != "Login failed." {
				t.Errorf("with a wrong password: %q", got)
			}
			w.SignIn("alice@example.test", mailtest.Password)
			w.WaitInbox()
			w.Send("alice@example.test", "by webmail", "Hello, myself.")
			mailtest.Eventually(t, "Roundcube knows where the browser is", func() bool {
				return strings.Contains(site.Webmail.Roundcube.Log(), "User alice@example.test [203.0.113.7]; Message")
			})
			if got := w.Read("by webmail"); got != "Hello, myself." {
				t.Errorf("the message says %q", got)
			}
			w.Screenshot("roundcube-"+string(v), 1280, 800)
			w.Task("_task=settings&_action=plugin.managesieve")
			w.WaitFor("#filterslist")
			w.Logout()
			w.Task("_task=mail")
			w.WaitLogin()
			w.NoProblems("status of 401")
			if t.Failed() {
				t.Log(site.Logs())
			}
		})
	}
}
