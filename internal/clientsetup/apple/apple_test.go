package apple

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"howett.net/plist"

	"postern/internal/account"
	"postern/internal/clientsetup"
)

func servers(t *testing.T, domain string, services ...account.Service) clientsetup.Servers {
	t.Helper()
	var all clientsetup.Servers
	for _, s := range services {
		one, err := clientsetup.ParseServer(s, map[account.Service]string{account.IMAP: "imap.%d:993", account.SMTP: "smtp.%d:587"}[s])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all.For(domain, services)
}

// FEATURES P5: what a device needs, and nothing that it would get wrong by default.
func TestP5_AppleProfile(t *testing.T) {
	p := Profile{ID: "test.example.mail.abcd", Organization: "A & <B>", Title: "Mail", Address: "alice@example.test",
		Password: account.SecretString("abcd-efgh"), Servers: servers(t, "example.test", account.IMAP, account.SMTP)}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if _, err := plist.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got["PayloadType"] != "Configuration" || got["PayloadVersion"] != uint64(1) || got["PayloadIdentifier"] != p.ID || got["PayloadOrganization"] != "A & <B>" {
		t.Errorf("%v", got)
	}
	m, _ := got["PayloadContent"].([]any)[0].(map[string]any)
	for key, want := range map[string]any{"PayloadType": "com.apple.mail.managed", "EmailAccountType": "EmailTypeIMAP", "EmailAddress": p.Address,
		"IncomingMailServerHostName": "imap.example.test", "IncomingMailServerPortNumber": uint64(993), "IncomingMailServerUseSSL": true,
		"IncomingMailServerAuthentication": "EmailAuthPassword", "IncomingPassword": "abcd-efgh", "IncomingMailServerUsername": p.Address,
		"OutgoingMailServerHostName": "smtp.example.test", "OutgoingMailServerPortNumber": uint64(587), "OutgoingMailServerUseSSL": true,
		"OutgoingPasswordSameAsIncomingPassword": true, "OutgoingMailServerAuthentication": "EmailAuthPassword"} {
		if m[key] != want {
			t.Errorf("%s: %v, want %v", key, m[key], want)
		}
	}
	again, err := p.Marshal()
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("the same profile is another one: %v", err)
	}
	p.Password = account.Secret{}
	if b, err := p.Marshal(); err != nil || bytes.Contains(b, []byte("<key>IncomingPassword<")) {
		t.Errorf("without a password: %s, %v", b, err)
	}
	p.Servers = servers(t, "example.test", account.IMAP)
	if _, err := p.Marshal(); !errors.Is(err, ErrNoServers) {
		t.Errorf("without a way to send: %v", err)
	}
}

// certificate is a self-signed one with its key, as PEM.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

func TestSign(t *testing.T) {
	cert, key := certificate(t)
	s, err := NewSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte("a profile"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pkcs7.Parse(signed)
	if err != nil || string(p.Content) != "a profile" || p.Verify() != nil {
		t.Errorf("%v: %q", err, p.Content)
	}
	if _, err := NewSigner(cert, []byte("no key")); err == nil {
		t.Error("signs without a key")
	}
}
