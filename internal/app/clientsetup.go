package app

import (
	"errors"
	"fmt"

	"postern/internal/account"
	"postern/internal/clientsetup"
	"postern/internal/secretfile"
)

// ClientSetup configures what mail programs are told about the site's servers.
type ClientSetup struct {
	IMAP     string `toml:"imap" doc:"host:port; %d in the host is the account's domain. On 143, 110, 587 and 4190 TLS begins by STARTTLS, on other ports at once. Empty: none."`
	POP3     string `toml:"pop3" doc:"The same for POP3."`
	SMTP     string `toml:"smtp" doc:"The same for sending: submission, or smtps."`
	Sieve    string `toml:"sieve" doc:"The same for ManageSieve."`
	CertFile string `toml:"profile_cert_file" doc:"PEM file of a certificate with its chain, to sign Apple's profiles by. Empty: devices call them unsigned."`
	KeyFile  string `toml:"profile_key_file" doc:"PEM file of its key (mode 0600 or 0640), or credential:NAME."`
}

// Servers are those that are configured.
func (c *ClientSetup) Servers() (clientsetup.Servers, error) {
	var (
		list clientsetup.Servers
		errs []error
	)
	for _, s := range []struct {
		service account.Service
		text    string
	}{{account.IMAP, c.IMAP}, {account.POP3, c.POP3}, {account.SMTP, c.SMTP}, {account.Sieve, c.Sieve}} {
		if s.text == "" {
			continue
		}
		one, err := clientsetup.ParseServer(s.service, s.text)
		if err != nil {
			errs = append(errs, fmt.Errorf("client_setup.%s: %w", s.service, err))
		}
		list = append(list, one)
	}
	return list, errors.Join(errs...)
}

// SignerFiles reads the certificate and the key that profiles are signed by; both are
// empty where nothing is configured.
func (c *ClientSetup) SignerFiles() (cert, key []byte, err error) {
	if c.CertFile == "" {
		return nil, nil, nil
	}
	if cert, err = secretfile.ReadPublic(c.CertFile); err != nil {
		return nil, nil, fmt.Errorf("client_setup.profile_cert_file: %w", err)
	}
	if key, err = secretfile.Read(c.KeyFile); err != nil {
		return nil, nil, fmt.Errorf("client_setup.profile_key_file: %w", err)
	}
	return cert, key, nil
}

func (c *ClientSetup) problems(ps *problemList) {
	_, err := c.Servers()
	ps.join("", err)
	if (c.CertFile == "") != (c.KeyFile == "") {
		ps.add("client_setup.profile_cert_file, profile_key_file: one without the other")
	}
}
