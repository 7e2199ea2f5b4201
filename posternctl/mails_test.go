package main

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/mailtest"
	"postern/internal/notify"
)

// smtpServer hands over what it takes.
type smtpServer chan string

func (s smtpServer) NewSession(*smtp.Conn) (smtp.Session, error) { return &smtpSession{s}, nil }

type smtpSession struct{ took smtpServer }

func (*smtpSession) Mail(string, *smtp.MailOptions) error { return nil }
func (*smtpSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *smtpSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.took <- string(b)
	return err
}
func (*smtpSession) Reset()        {}
func (*smtpSession) Logout() error { return nil }

// On a host without a daemon the command hands its mails over itself; what the mail
// server does not take waits for the next command, and with a daemon all waits for that.
func TestA11_MailsOfACommand(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil { // down at first
		t.Fatal(err)
	}
	spool := filepath.Join(t.TempDir(), "mail")
	site, err := mailtest.Start(t.Context(), mailtest.Options{WithoutPolicyserver: true,
		Settings: mailtest.Settings{"mail": {"server": "smtp://" + address, "spool": spool}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Stop)
	ctl := func(args ...string) string {
		t.Helper()
		var out, complaints bytes.Buffer
		if code := run(t.Context(), append([]string{"-config", site.Path}, args...), strings.NewReader(""), &out, &complaints); code != exitDone {
			t.Fatalf("%v: %d %s", args, code, &complaints)
		}
		return complaints.String()
	}
	ctl("keys", "new")
	const user = "carol@example.test"
	if said := ctl("app-password", "create", user, "--name", "one"); !strings.Contains(said, "wait in "+spool) {
		t.Errorf("said %q", said)
	}
	took := make(smtpServer, 10)
	server := smtp.NewServer(took)
	server.Addr = address
	go func() { _ = server.ListenAndServe() }()
	t.Cleanup(func() { _ = server.Close() })
	for conn, err := net.Dial("tcp", address); ; conn, err = net.Dial("tcp", address) {
		if err == nil {
			_ = conn.Close()
			break
		}
	}
	if said := ctl("app-password", "create", user, "--name", "two"); strings.Contains(said, "wait") {
		t.Errorf("said %q", said)
	}
	select { // both came in one mail: they happened at one moment, as far as it can tell
	case got := <-took:
		if !strings.Contains(got, "one") || !strings.Contains(got, "two") || !strings.Contains(got, "posternctl") {
			t.Errorf("%s", got)
		}
	default:
		t.Fatal("no mail")
	}

	box, err := notify.OpenSpool(spool)
	if err != nil {
		t.Fatal(err)
	}
	unlock, ok, err := box.Lock()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	defer unlock()
	ctl("app-password", "create", user, "--name", "three")
	if list, err := box.List(); err != nil || len(list) != 1 || len(took) != 0 {
		t.Errorf("%d letters, %d mails, %v", len(list), len(took), err)
	}
}
