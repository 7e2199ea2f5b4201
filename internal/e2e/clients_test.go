package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postern/internal/mailclient"
)

// TestMailProgram does with an app password what a mail program does, by libraries
// that mail programs use: send a message through Postfix with TLS, read it by IMAP
// with TLS.
func TestMailProgram(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		app := reveal(w.app(user).Password)
		w.send(user, app)
		var subject string
		eventually(t, "the message arrives", func() bool {
			subject = w.fetch(user, app)
			return subject != ""
		})
		if subject != "hello "+user {
			t.Errorf("subject %q", subject)
		}
	})
}

// send submits a message to oneself at Postfix's submissions port.
func (w *world) send(user, password string) {
	w.t.Helper()
	c, err := smtp.DialTLS(local(w.Postfix.TLSPort), trusting(w.t, w.Postfix.CAFile))
	must(w.t, err)
	defer func() { _ = c.Close() }()
	must(w.t, c.Auth(sasl.NewPlainClient("", user, password)))
	body := fmt.Sprintf("From: <%s>\r\nTo: <%[1]s>\r\nSubject: hello %[1]s\r\n\r\nHello.\r\n", user)
	must(w.t, c.SendMail(user, []string{user}, strings.NewReader(body)))
	must(w.t, c.Quit())
}

// fetch is the subject of the first message in the inbox, if there is one.
func (w *world) fetch(user, password string) string {
	w.t.Helper()
	c, err := imapclient.DialTLS(local(w.Dovecot.IMAPS), &imapclient.Options{TLSConfig: trusting(w.t, w.Dovecot.CAFile)})
	must(w.t, err)
	defer func() { _ = c.Close() }()
	must(w.t, c.Login(user, password).Wait())
	box, err := c.Select("INBOX", nil).Wait()
	must(w.t, err)
	if box.NumMessages == 0 {
		return ""
	}
	messages, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{Envelope: true}).Collect()
	must(w.t, err)
	must(w.t, c.Logout().Wait())
	return messages[0].Envelope.Subject
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// trusting is a TLS configuration with one authority.
func trusting(t *testing.T, caFile string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// TestAttack01_TLS: the ports with TLS from the first byte are no other door.
func TestAttack01_TLS(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		app := reveal(w.app(user).Password)
		for _, target := range []mailclient.Target{
			{Service: mailclient.IMAP, Addr: local(w.Dovecot.IMAPS), TLS: trusting(t, w.Dovecot.CAFile)},
			{Service: mailclient.SMTP, Addr: local(w.Postfix.TLSPort), TLS: trusting(t, w.Postfix.CAFile)},
		} {
			target.TLS.ServerName = "localhost"
			for password, want := range map[string]mailclient.Outcome{app: mailclient.OK, "main password": mailclient.Refused} {
				r, err := mailclient.Login(t.Context(), target, mailclient.MechPlain, user, password)
				must(t, err)
				_ = r.Conn.Close()
				if r.Outcome != want {
					t.Errorf("%s: %s, want %v", target.Service, r.Text, want)
				}
			}
		}
	})
}

// TestKick: revoking an app password by hand and kicking its user ends a session
// that waits in IDLE, on every version.
func TestKick(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("main password")
		r, err := mailclient.Login(t.Context(), w.target(mailclient.IMAP), mailclient.MechPlain, user, reveal(w.app(user).Password))
		must(t, err)
		defer func() { _ = r.Conn.Close() }()
		for _, command := range []string{"SELECT INBOX", "IDLE"} {
			_, err = r.Conn.Command(t.Context(), command)
			must(t, err)
		}
		_, err = w.Dovecot.Doveadm(t.Context(), "kick", user)
		must(t, err)
		if line, err := r.Conn.ReadLine(t.Context()); err == nil && !strings.HasPrefix(line, "* BYE") {
			t.Errorf("after the kick: %q", line)
		}
	})
}
