package clientsetup

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"strings"
	"testing"

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

func TestDomain(t *testing.T) {
	for text, want := range map[string]string{"Example.TEST.": "example.test", "bücher.example": "xn--bcher-kva.example", "localhost": "", "": "",
		"a/../b.test": "", "a b.test": "", "<x>.test": "", "-a.test": "", strings.Repeat("a.", 127) + "test": ""} {
		if got := Domain(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
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
