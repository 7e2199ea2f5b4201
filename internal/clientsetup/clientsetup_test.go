package clientsetup

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"howett.net/plist"

	"postern/internal/account"
)

func servers(t *testing.T, domain string, services ...account.Service) Servers {
	t.Helper()
	var all Servers
	for s, text := range map[account.Service]string{account.IMAP: "imap.%d:993", account.POP3: "pop.%d:110", account.SMTP: "smtp.%d:587", account.Sieve: "imap.%d:4190"} {
		one, err := ParseServer(s, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all.For(domain, services)
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]Server{
		"mail.%d:993":            {account.IMAP, "mail.%d", 993, false},
		"mail.example.test:143":  {account.IMAP, "mail.example.test", 143, true},
		"mail.example.test:1993": {account.IMAP, "mail.example.test", 1993, false},
		"mail.example.test":      {}, ":993": {}, "mail:0": {}, "mail:65536": {}, "mail:imap": {}, "%u:993": {}, "a b:993": {}, "": {},
	} {
		got, err := ParseServer(account.IMAP, text)
		if got != want || (err == nil) != (want.Host != "") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
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

func TestP5_Autoconfig(t *testing.T) {
	b, err := Autoconfig("example.test", `Mail "<&>"`, servers(t, "example.test"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Provider struct {
			Domain string `xml:"domain"`
			Name   string `xml:"displayName"`
			In     []struct {
				Type   string `xml:"type,attr"`
				Host   string `xml:"hostname"`
				Socket string `xml:"socketType"`
				User   string `xml:"username"`
			} `xml:"incomingServer"`
			Out []struct {
				Host   string `xml:"hostname"`
				Socket string `xml:"socketType"`
			} `xml:"outgoingServer"`
		} `xml:"emailProvider"`
	}
	if err := xml.Unmarshal(b, &c); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if c.Provider.Domain != "example.test" || c.Provider.Name != `Mail "<&>"` || len(c.Provider.In) != 2 || len(c.Provider.Out) != 1 ||
		c.Provider.Out[0].Socket != "STARTTLS" || c.Provider.In[0].User != "%EMAILADDRESS%" {
		t.Errorf("%+v\n%s", c, b)
	}
}

func TestP5_Autodiscover(t *testing.T) {
	const question = `<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
<Request><EMailAddress>alice@example.test</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
	address, err := ParseAutodiscover(strings.NewReader(question))
	if err != nil || address != "alice@example.test" {
		t.Fatalf("%q, %v", address, err)
	}
	b, err := Autodiscover(address, servers(t, "example.test", account.IMAP, account.SMTP))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<Response xmlns="` + outlookSchema + `">`, "<Type>IMAP</Type>", "<Server>imap.example.test</Server>", "<Port>993</Port>",
		"<LoginName>alice@example.test</LoginName>", "<Encryption>TLS</Encryption>", "<SPA>off</SPA>"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
	for _, bad := range []string{"", "<", "<Autodiscover/>", "<Autodiscover><Request><EMailAddress> </EMailAddress></Request></Autodiscover>"} {
		if _, err := ParseAutodiscover(strings.NewReader(bad)); !errors.Is(err, ErrNoAddress) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestP5_AndroidQR(t *testing.T) {
	qr, err := AndroidQR("alice@example.test", account.SecretString("abcd-efgh"), servers(t, "example.test", account.IMAP, account.SMTP))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[1,[1,1],[0,"imap.example.test",993,3,1,"alice@example.test","alice@example.test","abcd-efgh"],` +
		`[[[0,"smtp.example.test",587,2,1,"alice@example.test","abcd-efgh"],["alice@example.test",""]]]]`
	if got := string(qr.Reveal()); got != want || !json.Valid([]byte(got)) {
		t.Errorf("%s\nwant %s", got, want)
	}
	if qr, err := AndroidQR("a", account.SecretString("b"), servers(t, "example.test", account.SMTP)); err != nil || !qr.Empty() {
		t.Error("a code without a way to read mail")
	}
}
