package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/app"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// ATTACKS 15: while the directory is away everything is unavailable: nothing is wrong,
// nobody gets in, and a page says so. Afterwards all goes on by itself.
func TestAttack15_DirectoryDownAtTheHook(t *testing.T) {
	w := inhabit(t, mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}}))
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	p.settings()
	begun := w.call("login", "second_factor", w.start(user))
	page := w.get(p.b, http.StatusOK, begun.URL)
	done := w.call("login", "second_factor", w.start(user))
	back := w.submit(p.b, http.StatusSeeOther, w.get(p.b, http.StatusOK, done.URL), "sign-in", "code", p.code()).Location()
	calls := map[string]hooktest.Fields{
		"login": w.start(user), "exchange": {"transaction": done.Transaction, "code": hooktest.Code(back)},
		"renew": {"grant": p.grant}, "logout": {"grant": p.grant}, "check": {"grant": p.grant, "password": mailtest.Password},
		"settings": {"grant": p.grant, "return_to": w.Webmail.URL},
	}
	typed := p.code()
	unavailable := func(when string) {
		t.Helper()
		for method, f := range calls {
			a, err := w.Call(t.Context(), method, f)
			if err != nil || a.Status != http.StatusServiceUnavailable || a.Result != "unavailable" || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s: %d %s, %v", when, method, a.Status, a.Raw, err)
			}
		}
		for _, got := range []*hooktest.Page{w.submitAny(p.b, page, "sign-in", "code", typed),
			w.get(p.b, http.StatusServiceUnavailable, begun.URL), w.get(p.b, http.StatusServiceUnavailable, w.Webmail.PublicURL+"security")} {
			if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || strings.Contains(got.Body, "wrong code") {
				t.Errorf("%s: %s: %d", when, got.URL.Path, got.Status)
			}
		}
	}
	w.Slapd.Shutdown()
	unavailable("directory down")
	daemon := w.Webmail.Webhook()
	if err := daemon.Get(t.Context(), "/readyz"); err == nil {
		t.Error("says that it is ready")
	}
	must(t, daemon.RestartUnready(t.Context()))
	w.Hook = &hooktest.Hook{Client: daemon.Client(), Key: w.Webmail.HookKey}
	p.b = w.at(p.b)
	unavailable("after a restart, keys not compared yet")
	must(t, w.Slapd.Restart(t.Context()))
	eventually(t, func() bool { return daemon.Get(t.Context(), "/readyz") == nil })
	w.call("exchange", "granted", calls["exchange"])
	w.submit(p.b, http.StatusSeeOther, page, "sign-in", "code", typed)
	w.call("renew", "granted", calls["renew"])
}

// at is the browser as it goes on, at the daemon as it is now.
func (w *world) at(b *hooktest.Browser) *hooktest.Browser {
	fresh := w.browser()
	fresh.Cookies = b.Cookies
	return fresh
}

// Before the keys are known to be the directory's nothing is decided, though the
// directory answers: what was read could not be trusted.
func TestNothingIsDecidedBeforeTheKeysAreCompared(t *testing.T) {
	w := shared(t)
	cfg, err := app.Load(w.Path)
	must(t, err)
	s, err := open(cfg, slog.New(slog.DiscardHandler)) // without Serve nobody compares them
	must(t, err)
	web := httptest.NewServer(s.routes())
	t.Cleanup(web.Close)
	user, _ := w.twoFactor()
	own := &hooktest.Hook{Client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", web.Listener.Addr().String())
		}}}, Key: w.Key}
	if a, err := own.Call(t.Context(), "login", w.start(user)); err != nil || a.Status != http.StatusServiceUnavailable {
		t.Errorf("%d %s, %v", a.Status, a.Raw, err)
	}
	w.get(hooktest.NewBrowser(own.Client, addr), http.StatusServiceUnavailable, w.call("login", "second_factor", w.start(user)).URL)
}

// A wrong key ends the daemon before it seals anything.
func TestWrongKeyEndsTheWebhook(t *testing.T) {
	one := mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}})
	two := mailtest.New(t, mailtest.Options{})
	binary, err := one.Binary(t.Context(), "webhook")
	must(t, err)
	one.Webmail.Webhook().Stop()
	for _, role := range []string{"door", "factor", "ticket"} {
		path := filepath.Join(one.Keys, role+".key")
		own, err := os.ReadFile(path)
		must(t, err)
		other, err := os.ReadFile(filepath.Join(two.Keys, role+".key"))
		must(t, err)
		must(t, os.WriteFile(path, other, 0o600))
		out, err := exec.CommandContext(t.Context(), binary, "-config", one.Path).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "copy the right key file") {
			t.Errorf("%s: %v\n%s", role, err, out)
		}
		must(t, os.WriteFile(path, own, 0o600))
	}
}

// writeCertificate makes a self-signed certificate with a serial number.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "webhook.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"webhook.example.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	text, err := x509.MarshalECPrivateKey(private)
	must(t, err)
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text}), 0o600))
}

// TLS, with a certificate that is replaced while the daemon runs. One that cannot be
// read replaces nothing.
func TestCertificateIsReloaded(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}})
	cert, key := filepath.Join(s.Dir, "tls.pem"), filepath.Join(s.Dir, "tls.key")
	writeCertificate(t, cert, key, 1)
	must(t, s.Reconfigure(mailtest.Settings{"webhook": {"tls_cert_file": cert, "tls_key_file": key}}))
	daemon := s.Webmail.Webhook()
	must(t, daemon.Restart(t.Context()))
	serial := func() int64 {
		c, err := tls.Dial("tcp", daemon.Listen, &tls.Config{InsecureSkipVerify: true})
		must(t, err)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("certificate %d", n)
	}
	if res, err := http.Get("http://" + daemon.Listen + "/livez"); err == nil {
		if res.Body.Close(); res.StatusCode == http.StatusOK {
			t.Error("it answers readably, too")
		}
	}
	writeCertificate(t, cert, key, 2)
	must(t, daemon.Signal(syscall.SIGHUP))
	eventually(t, func() bool { return serial() == 2 })
	must(t, os.WriteFile(cert, []byte("rubbish"), 0o600))
	must(t, daemon.Signal(syscall.SIGHUP))
	eventually(t, func() bool { return strings.Contains(daemon.Log(), "not everything was reloaded") })
	if n := serial(); n != 2 {
		t.Errorf("certificate %d", n)
	}
}

// Sockets that systemd passes in are served like those of the configuration: with TLS
// where there is a certificate, and over a network never without.
func TestSocketsFromSystemd(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}})
	binary, err := s.Binary(t.Context(), "webhook")
	must(t, err)
	s.Webmail.Webhook().Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for address, says := range map[string]string{"127.0.0.1:0": "", "0.0.0.0:0": "tls_cert_file"} {
		passed, err := net.Listen("tcp", address)
		must(t, err)
		file, err := passed.(*net.TCPListener).File()
		must(t, err)
		cmd := exec.CommandContext(ctx, "sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" -config "$1"`, binary, s.Path)
		var log bytes.Buffer
		cmd.Stderr, cmd.ExtraFiles = &log, []*os.File{file}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		must(t, cmd.Start())
		if says == "" {
			eventually(t, func() bool {
				res, err := http.Get("http://" + passed.Addr().String() + "/livez")
				return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
			})
			must(t, cmd.Process.Signal(syscall.SIGTERM))
		}
		if err := cmd.Wait(); (err == nil) != (says == "") || !strings.Contains(log.String(), says) {
			t.Errorf("%s: %v\n%s", address, err, log.String())
		}
		must(t, file.Close())
		must(t, passed.Close())
	}
}
