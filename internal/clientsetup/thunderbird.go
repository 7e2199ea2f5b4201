package clientsetup

import (
	"encoding/json"
	"encoding/xml"

	"postern/internal/account"
)

// Autoconfig is Thunderbird's description of a provider (clientConfig 1.1; Mozilla,
// Autoconfiguration, file format). Its placeholder stands for whatever address was typed.
func Autoconfig(domain, name string, servers Servers) ([]byte, error) {
	c := clientConfig{Version: "1.1", Provider: provider{ID: domain, Domain: domain, DisplayName: name, ShortName: name}}
	for _, s := range servers {
		t := tbServer{Host: s.Host, Port: s.Port, Socket: "SSL", User: "%EMAILADDRESS%", Auth: "password-cleartext"}
		if s.StartTLS {
			t.Socket = "STARTTLS"
		}
		switch s.Service {
		case account.IMAP, account.POP3:
			t.XMLName.Local, t.Type = "incomingServer", string(s.Service)
		case account.SMTP:
			t.XMLName.Local, t.Type = "outgoingServer", "smtp"
		default:
			continue // it has no word for the others
		}
		c.Provider.Servers = append(c.Provider.Servers, t)
	}
	return document(c)
}

type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider provider `xml:"emailProvider"`
}

type provider struct {
	ID          string `xml:"id,attr"`
	Domain      string `xml:"domain"`
	DisplayName string `xml:"displayName"`
	ShortName   string `xml:"displayShortName"`
	Servers     []tbServer
}

type tbServer struct {
	XMLName xml.Name
	Type    string `xml:"type,attr"`
	Host    string `xml:"hostname"`
	Port    uint16 `xml:"port"`
	Socket  string `xml:"socketType"`
	User    string `xml:"username"`
	Auth    string `xml:"authentication"`
}

// document is XML with its declaration.
func document(v any) ([]byte, error) {
	b, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}

// How Thunderbird for Android writes what secures a connection, and a password as the
// way to log in (its QR code format, version 1).
const (
	tbStartTLS = 2
	tbTLS      = 3
	tbPassword = 1
)

// AndroidQR is what Thunderbird for Android reads from another Thunderbird's QR code: an
// account with its password. It is empty without an incoming and an outgoing server.
func AndroidQR(address string, password account.Secret, servers Servers) (account.Secret, error) {
	in, inOK := servers.Incoming()
	out, outOK := servers.Find(account.SMTP)
	if !inOK || !outOK {
		return account.Secret{}, nil
	}
	kind := 0 // IMAP
	if in.Service == account.POP3 {
		kind = 1
	}
	secret := string(password.Reveal())
	b, err := json.Marshal([]any{1, []any{1, 1},
		[]any{kind, in.Host, in.Port, tbSecurity(in), tbPassword, address, address, secret},
		[]any{[]any{[]any{0, out.Host, out.Port, tbSecurity(out), tbPassword, address, secret}, []any{address, ""}}}})
	if err != nil {
		return account.Secret{}, err
	}
	return account.NewSecret(b), nil
}

func tbSecurity(s Server) int {
	if s.StartTLS {
		return tbStartTLS
	}
	return tbTLS
}
