package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"

	"postern/internal/account"
	"postern/internal/doveadm"
	"postern/internal/secretfile"
)

// Sessions configures the end of live mail sessions.
type Sessions struct {
	Doveadm        []string          `toml:"doveadm" doc:"Each Dovecot's doveadm HTTP API, such as http://127.0.0.1:8080/doveadm/v1; https:// for other hosts. See contrib/dovecot/*-doveadm-http.conf."`
	KeyFile        string            `toml:"doveadm_key_file" doc:"File with their doveadm_api_key (mode 0600 or 0640), or credential:NAME."`
	KeyFiles       map[string]string `toml:"doveadm_key_files" doc:"Key files of those that have another key, by their address in doveadm."`
	CAFile         string            `toml:"doveadm_ca_file" doc:"PEM file of the authorities to trust for https:// instead of the system's."`
	CredentialKick bool              `toml:"credential_kick" doc:"On Dovecot 2.4, revoking an app password ends its own sessions only. Set false where mail programs reach these hosts through a Dovecot proxy: it does not hand on which credential was used."`
	Spool          string            `toml:"spool" doc:"Where posternctl leaves what policyserver must still end; both need it."`
}

func defaultSessions() Sessions {
	return Sessions{Doveadm: []string{}, CredentialKick: true, Spool: "/var/lib/postern/spool"}
}

// On reports whether live sessions are ended at all.
func (s *Sessions) On() bool { return len(s.Doveadm) > 0 }

func (s *Sessions) problems(ps *problemList) {
	ps.absolute("sessions.spool", s.Spool)
	for i, u := range s.Doveadm {
		if err := checkDoveadm(u); err != nil {
			ps.add("sessions.doveadm: %q: %w", u, err)
		}
		if slices.Contains(s.Doveadm[:i], u) {
			ps.add("sessions.doveadm: %q is there twice", u)
		}
		if s.keyFile(u) == "" {
			ps.add("sessions.doveadm_key_file: needed for %s", u)
		}
	}
	for u := range s.KeyFiles {
		if !slices.Contains(s.Doveadm, u) {
			ps.add("sessions.doveadm_key_files: %q is not in sessions.doveadm", u)
		}
	}
}

func (s *Sessions) keyFile(u string) string {
	if f := s.KeyFiles[u]; f != "" {
		return f
	}
	return s.KeyFile
}

// checkDoveadm refuses addresses to which the key would cross a network readably.
func checkDoveadm(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("not an address like http://127.0.0.1:8080/doveadm/v1")
	case u.Hostname() == "" || u.Port() == "" || u.Path != "/doveadm/v1" || u.User != nil || u.RawQuery != "":
		return errors.New("must be like http://127.0.0.1:8080/doveadm/v1")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("use https:// for another host: the key gives every right over its mail")
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Doveadms are the configured hosts. The error names every key that is not usable.
func (c *Config) Doveadms() ([]*doveadm.Client, error) {
	s := &c.Sessions
	trust, err := s.tlsConfig()
	errs := []error{err}
	var hosts []*doveadm.Client
	for _, u := range s.Doveadm {
		key, err := secretfile.ReadLine(s.keyFile(u))
		if err != nil {
			errs = append(errs, fmt.Errorf("sessions.doveadm_key_file: %w", err))
			continue
		}
		hosts = append(hosts, doveadm.New(doveadm.Config{
			URL: u, Key: account.NewSecret(key), ByCredential: s.CredentialKick, TLS: trust}))
	}
	return hosts, errors.Join(errs...)
}

// tlsConfig always verifies.
func (s *Sessions) tlsConfig() (*tls.Config, error) {
	if s.CAFile == "" || !s.On() {
		return nil, nil //nolint:nilnil // the system's
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("sessions.doveadm_ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("sessions.doveadm_ca_file: %s holds no certificate in PEM", s.CAFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
