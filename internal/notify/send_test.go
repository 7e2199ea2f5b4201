package notify_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/notify"
)

// certificates are a server's TLS and who trusts it.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: web.TLS.Certificates}, &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
}

// Every way to a mail server that the configuration has.
func TestA11_WaysToTheServer(t *testing.T) {
	serverTLS, trust := certificates(t)
	for name, c := range map[string]struct {
		scheme string
		set    func(*smtp.Server)
		unix   bool
		login  bool
		server notify.Server
		want   string // part of what fails; empty: it arrives
	}{
		"smtp":              {scheme: "smtp"},
		"lmtp":              {scheme: "lmtp", set: func(s *smtp.Server) { s.LMTP = true }},
		"lmtp socket":       {scheme: "lmtp", unix: true, set: func(s *smtp.Server) { s.LMTP = true }},
		"smtps":             {scheme: "smtps", set: func(s *smtp.Server) { s.TLSConfig, s.Domain = serverTLS, "tls" }, server: notify.Server{TLS: trust}},
		"smtps stranger":    {scheme: "smtps", set: func(s *smtp.Server) { s.TLSConfig, s.Domain = serverTLS, "tls" }, want: "certificate"},
		"starttls":          {scheme: "smtp", set: func(s *smtp.Server) { s.TLSConfig = serverTLS }, server: notify.Server{StartTLS: true, TLS: trust}},
		"starttls stranger": {scheme: "smtp", set: func(s *smtp.Server) { s.TLSConfig = serverTLS }, server: notify.Server{StartTLS: true}, want: "certificate"},
		"starttls refused":  {scheme: "smtp", server: notify.Server{StartTLS: true, TLS: trust}, want: "STARTTLS"},
		"auth":              {scheme: "smtp", login: true, server: notify.Server{User: "postern", Password: account.SecretString("mail secret")}},
		"auth wrong":        {scheme: "smtp", login: true, server: notify.Server{User: "postern", Password: account.SecretString("wrong one")}, want: "535"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			box := &mailbox{login: c.login}
			address, network := "127.0.0.1:0", "tcp"
			if c.unix {
				network, address = "unix", filepath.Join(t.TempDir(), "lmtp")
			}
			s := box.serve(t, network, address, c.set)
			server := c.server
			server.URL = c.scheme + "://" + s.Addr
			b.Transport = &server
			b.recorder.Record(happened(effect.Reset, nil))
			left := b.pass(0)
			if c.want == "" {
				if left != 0 || len(box.all()) != 1 || box.all()[0].to != "alice@example.test" {
					t.Errorf("%d left, %d mails; told %q", left, len(box.all()), b.failed)
				}
				return
			}
			if left != 1 || len(box.all()) != 0 || !strings.Contains(strings.Join(b.failed, " "), c.want) {
				t.Errorf("%d left, %d mails; told %q", left, len(box.all()), b.failed)
			}
			if text := strings.Join(b.failed, " "); strings.Contains(text, "wrong one") || strings.Contains(text, "mail secret") {
				t.Errorf("tells the password: %q", text)
			}
		})
	}
}

// A mail server that accepts and then hangs delays neither logins nor changes.
func TestA11_RecordWaitsForNobody(t *testing.T) {
	b := newBench(t)
	b.recorder.Record(happened(effect.Reset, nil))
	b.box.mu.Lock() // the server hangs at RCPT
	done := make(chan int)
	go func() { done <- b.Pass(t.Context(), began) }()
	for i := range 50 {
		b.recorder.Record(happened(effect.AppPasswordCreated, func(e *effect.Event) { e.Account = account.ID(rune('a' + i)) }))
	}
	list, err := b.Spool.List()
	if err != nil || len(list) != 51 {
		t.Errorf("%d letters, %v", len(list), err)
	}
	b.box.mu.Unlock()
	<-done
}

func TestServerURL(t *testing.T) {
	for url, want := range map[string]string{
		"smtp://mail.example.test": "tcp mail.example.test:25", "smtps://mail.example.test": "tcp mail.example.test:465", "lmtp://[::1]:2024": "tcp [::1]:2024",
		"lmtp:///run/dovecot/lmtp": "unix /run/dovecot/lmtp", "lmtp://localhost": "tcp localhost:24", "": "", "mail.example.test": "", "http://x": "", "smtp:///x": "",
		"smtp://user:secret@x": "", "smtp://x/y": "", "lmtp:///": "",
	} {
		network, address, err := (&notify.Server{URL: url}).Parse()
		if got := strings.TrimSpace(network + " " + address); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", url, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
