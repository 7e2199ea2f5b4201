package clientsetup

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"postern/internal/account"
)

// Names of Outlook's autodiscover ("POX"; MS-OXDSCLI).
const (
	outlookSchema = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// ErrNoAddress says that a question names no address.
var ErrNoAddress = errors.New("no e-mail address in the question")

// ParseAutodiscover reads Outlook's question: the address that was typed. Errors:
// ErrNoAddress.
func ParseAutodiscover(body io.Reader) (string, error) {
	var q struct {
		Request struct {
			Address string `xml:"EMailAddress"`
		} `xml:"Request"`
	}
	if err := xml.NewDecoder(body).Decode(&q); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoAddress, err)
	}
	if address := strings.TrimSpace(q.Request.Address); address != "" {
		return address, nil
	}
	return "", ErrNoAddress
}

// Autodiscover is the answer, for an address that somebody typed.
func Autodiscover(address string, servers Servers) ([]byte, error) {
	a := outlook{Response: outlookResponse{Space: outlookSchema, Account: outlookAccount{Type: "email", Action: "settings"}}}
	for _, s := range servers {
		p := outlookProtocol{Server: s.Host, Port: s.Port, Login: address, DomainRequired: "off", SPA: "off", SSL: "on", Auth: "on", Encryption: "SSL"}
		if s.StartTLS {
			p.Encryption = "TLS"
		}
		switch s.Service {
		case account.IMAP, account.POP3, account.SMTP:
			p.Type = strings.ToUpper(string(s.Service))
		default:
			continue
		}
		a.Response.Account.Protocols = append(a.Response.Account.Protocols, p)
	}
	return document(a)
}

type outlook struct {
	XMLName  xml.Name        `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response outlookResponse `xml:"Response"`
}

type outlookResponse struct {
	Space   string         `xml:"xmlns,attr"`
	Account outlookAccount `xml:"Account"`
}

type outlookAccount struct {
	Type      string            `xml:"AccountType"`
	Action    string            `xml:"Action"`
	Protocols []outlookProtocol `xml:"Protocol"`
}

type outlookProtocol struct {
	Type           string `xml:"Type"`
	Server         string `xml:"Server"`
	Port           uint16 `xml:"Port"`
	DomainRequired string `xml:"DomainRequired"`
	Login          string `xml:"LoginName"`
	SPA            string `xml:"SPA"`
	SSL            string `xml:"SSL"`
	Encryption     string `xml:"Encryption"`
	Auth           string `xml:"AuthRequired"`
}
