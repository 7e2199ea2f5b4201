package e2e

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/login"
	"postern/internal/mailclient"
)

// TestAttack24_ForgedTickets: nobody signs tickets yet, so none is right, whatever
// stands in it, and none is ever sent to the directory as a password.
func TestAttack24_ForgedTickets(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("pt1_that is the main password")
		before := w.binds(user)
		for _, ticket := range []string{"pt1_", "pt1_that is the main password", "pt1_" + strings.Repeat("A", 251),
			"pt1_" + strings.Repeat("A", 4000), "pt1_\x7f", "pt1_ab-cd", "pt1_" + reveal(w.app(user).Password)} {
			for _, s := range []mailclient.Service{mailclient.IMAP, mailclient.SMTP} {
				began := w.now()
				if r, err := w.try(s, mailclient.MechPlain, user, ticket); err == nil && r.Outcome == mailclient.OK {
					t.Errorf("%s: %.40q: let in", s, ticket)
				}
				if len(ticket) < 400 { // Dovecot gives checkpassword no more than 512 bytes
					w.wantReason(began, user, login.BadTicket)
				}
			}
		}
		w.wantBinds(user, before, 0)
	})
}

// TestLMTP delivers to somebody with a second factor: delivery needs no password.
func TestLMTP(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		conn, err := net.Dial("tcp", local(w.Dovecot.LMTP))
		must(t, err)
		c := smtp.NewClientLMTP(conn)
		defer func() { _ = c.Close() }()
		must(t, c.SendMail("sender@example.test", []string{user}, strings.NewReader("Subject: hello\r\n\r\nHello.\r\n")))
		if files, _ := filepath.Glob(filepath.Join(w.Dovecot.Dir, "mail", user, "Maildir/new/*")); len(files) != 1 {
			t.Errorf("%d messages", len(files))
		}
	})
}
