package mailtest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPostfixAuth authenticates at Postfix through each Dovecot, and delivers a
// message into the mailbox.
func TestPostfixAuth(t *testing.T) {
	Long(t)
	for _, v := range []Version{V23, V24} {
		t.Run(string(v), func(t *testing.T) {
			p, err := PreparePostfix()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Stop)
			var socket string
			if v == V23 {
				socket = p.SASLSocket()
			}
			d := startPlain(t, DovecotOptions{Version: v, SASLSocket: socket, Relay: p.RelayPort})
			o := PostfixOptions{LMTP: d.LMTP}
			if v == V24 {
				o.SASL = d.SASL
			}
			began := time.Now()
			if err := p.Start(context.Background(), o); err != nil {
				t.Fatal(err)
			}
			t.Logf("ready after %v", time.Since(began))
			if got := ask(t, p.Port, "EHLO x\r\nAUTH PLAIN "+plain("wrong"), "235", "4", "5"); !strings.HasPrefix(got, "535") {
				t.Errorf("wrong password: %q\n%s", got, p.Log())
			}
			sendMessage(t, p.Port)
			awaitMail(t, d, p)
			if got := ask(t, d.Submission, "EHLO x\r\nAUTH PLAIN "+plain("secret"), "235", "4", "5"); !strings.HasPrefix(got, "235") {
				t.Errorf("Dovecot submission with a relay: %q", got)
			}
		})
	}
}

// sendMessage sends eve a message as herself.
func sendMessage(t *testing.T, port int) {
	t.Helper()
	c, err := net.Dial("tcp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	readUntil(t, r, "220")
	for _, step := range [][2]string{
		{"EHLO x", "250 "}, {"AUTH PLAIN " + plain("secret"), "235"},
		{"MAIL FROM:<eve@example.test>", "250"}, {"RCPT TO:<eve@example.test>", "250"},
		{"DATA", "354"}, {"Subject: hello\r\n\r\nhello\r\n.", "250"},
	} {
		_, _ = fmt.Fprintf(c, "%s\r\n", step[0])
		if line := readUntil(t, r, step[1], "5", "4"); !strings.HasPrefix(line, step[1]) {
			t.Fatalf("%s: %s", step[0], line)
		}
	}
}

// awaitMail waits until the message is in eve's mailbox.
func awaitMail(t *testing.T, d *Dovecot, p *Postfix) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(d.Dir, "mail/eve@example.test/Maildir/new/*"))
		if len(files) == 1 {
			if b, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(b), "Subject: hello") {
				t.Errorf("message %q, %v", b, err)
			}
			return
		}
	}
	t.Errorf("no mail\n%s\n%s", p.Log(), d.Log())
}
