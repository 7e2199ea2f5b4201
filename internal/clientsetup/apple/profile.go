// Package apple writes configuration profiles, by which iPhones, iPads and Macs set up a
// mail account by themselves, and signs them.
package apple

import (
	"errors"

	"github.com/google/uuid"
	"howett.net/plist"

	"postern/internal/account"
	"postern/internal/clientsetup"
)

// MediaType is the media type of Apple's configuration profiles.
const MediaType = "application/x-apple-aspen-config"

// Profile is an account to be set up on a device.
type Profile struct {
	// ID names the profile: a later one with the same ID takes its place on a device.
	ID           string
	Organization string
	Title        string // what the device lists it as
	Address      string // of mail, and login name
	// Password is left out if it is empty: then the device asks for it.
	Password account.Secret
	Servers  clientsetup.Servers // For the account
}

// ErrNoServers says that a profile would not say where mail is read and sent.
var ErrNoServers = errors.New("a profile needs an incoming and an outgoing mail server")

// Keys and values: Apple, Device Management, TopLevel and com.apple.mail.managed.
type topLevel struct {
	Type         string `plist:"PayloadType"`
	Version      int    `plist:"PayloadVersion"`
	Identifier   string `plist:"PayloadIdentifier"`
	UUID         string `plist:"PayloadUUID"`
	DisplayName  string `plist:"PayloadDisplayName"`
	Organization string `plist:"PayloadOrganization"`
	Content      []mail `plist:"PayloadContent"`
}

type mail struct {
	Type        string `plist:"PayloadType"`
	Version     int    `plist:"PayloadVersion"`
	Identifier  string `plist:"PayloadIdentifier"`
	UUID        string `plist:"PayloadUUID"`
	DisplayName string `plist:"PayloadDisplayName"`

	AccountType        string `plist:"EmailAccountType"`
	Address            string `plist:"EmailAddress"`
	AccountName        string `plist:"EmailAccountName"`
	AccountDescription string `plist:"EmailAccountDescription"`

	InHost     string `plist:"IncomingMailServerHostName"`
	InPort     int    `plist:"IncomingMailServerPortNumber"`
	InSSL      bool   `plist:"IncomingMailServerUseSSL"` // false unless it is said
	InUser     string `plist:"IncomingMailServerUsername"`
	InAuth     string `plist:"IncomingMailServerAuthentication"`
	InPassword string `plist:"IncomingPassword,omitempty"`

	OutHost string `plist:"OutgoingMailServerHostName"`
	OutPort int    `plist:"OutgoingMailServerPortNumber"`
	OutSSL  bool   `plist:"OutgoingMailServerUseSSL"`
	OutUser string `plist:"OutgoingMailServerUsername"`
	OutAuth string `plist:"OutgoingMailServerAuthentication"`
	OutSame bool   `plist:"OutgoingPasswordSameAsIncomingPassword"`
}

const byPassword = "EmailAuthPassword"

// Marshal writes the profile as a property list. Errors: ErrNoServers.
func (p *Profile) Marshal() ([]byte, error) {
	in, inOK := p.Servers.Incoming()
	out, outOK := p.Servers.Find(account.SMTP)
	if !inOK || !outOK {
		return nil, ErrNoServers
	}
	m := mail{
		Type: "com.apple.mail.managed", Version: 1, Identifier: p.ID + ".mail", UUID: p.uuid("mail"), DisplayName: p.Address,
		AccountType: "EmailTypeIMAP", Address: p.Address, AccountName: p.Address, AccountDescription: p.Title,
		InHost: in.Host, InPort: int(in.Port), InSSL: true, InUser: p.Address, InAuth: byPassword, InPassword: string(p.Password.Reveal()),
		OutHost: out.Host, OutPort: int(out.Port), OutSSL: true, OutUser: p.Address, OutAuth: byPassword, OutSame: true,
	}
	if in.Service == account.POP3 {
		m.AccountType = "EmailTypePOP"
	}
	return plist.MarshalIndent(topLevel{Type: "Configuration", Version: 1, Identifier: p.ID, UUID: p.uuid("profile"),
		DisplayName: p.Title, Organization: p.Organization, Content: []mail{m}}, plist.XMLFormat, "\t")
}

// uuid is the same for the same profile, so that a device knows it again.
func (p *Profile) uuid(part string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(p.ID+"/"+part)).String()
}
