package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/policy"
	"postern/internal/seal"
	"postern/internal/secretfile"
	"postern/ldapstore"
)

// storeConfig is the part of the configuration that package ldapstore needs,
// without the password.
func (c *Config) storeConfig() ldapstore.Config {
	d := c.Directory
	write := d.WriteURI
	if write == "" && len(d.ReadURIs) > 0 {
		write = d.ReadURIs[0]
	}
	return ldapstore.Config{
		ReadURIs: d.ReadURIs, WriteURI: write, StartTLS: d.StartTLS, CAFile: d.CAFile, Plaintext: d.AllowPlaintext,
		BindDN: d.BindDN, SASLExternal: d.SASLExternal,
		Base: d.Base, UserFilter: d.UserFilter, StatusFilter: d.StatusFilter,
		IDAttribute: d.IDAttribute, LoginAttribute: d.LoginAttribute, PasswordChanged: d.PasswordChanged,
		Layout: d.Layout, PosternBase: d.PosternBase,
		Timeout: time.Duration(d.Timeout), PoolSize: d.PoolSize,
		Fields:        c.Login.Fields,
		DefaultPolicy: policy.Layer{Origin: "default", Settings: c.Policy},

		Administrators: c.Admin.administrators(),
	}
}

// KeyPath is the key file of a role.
func (c *Config) KeyPath(role string) string {
	return filepath.Join(c.Keys.Directory, role+".key")
}

// PublicKeyPath is the file with the public halves of the ticket keys.
func (c *Config) PublicKeyPath() string { return filepath.Join(c.Keys.Directory, seal.PublicTicket) }

// OpenRing reads the key files of the roles. A missing one is an error: a program
// without its key could only misread. The public file of tickets may be missing; what
// stands in it must be right. Without roles nothing is read.
func (c *Config) OpenRing(roles ...string) (*seal.Ring, error) {
	if len(roles) == 0 {
		return seal.NewRing(nil)
	}
	files := make(map[string][]byte)
	for _, role := range roles {
		data, err := c.readKey(role)
		if err != nil {
			return nil, err
		}
		files[role] = data
	}
	public, err := secretfile.ReadPublic(c.PublicKeyPath())
	switch {
	case err == nil:
		files[seal.PublicTicket] = public
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return seal.NewRing(files)
}

func (c *Config) readKey(role string) ([]byte, error) {
	data, err := secretfile.Read(c.KeyPath(role))
	if err != nil {
		return nil, fmt.Errorf("key of role %s: %w; make it with: posternctl keys new, or copy it from another host", role, err)
	}
	return data, nil
}

// PublicFile makes the contents of the file at PublicKeyPath from this host's ticket
// key alone, whatever stands there now.
func (c *Config) PublicFile() ([]byte, error) {
	data, err := c.readKey(account.RoleTicket)
	if err != nil {
		return nil, err
	}
	ring, err := seal.NewRing(map[string][]byte{account.RoleTicket: data})
	if err != nil {
		return nil, err
	}
	return ring.PublicFile()
}

// OpenStore opens the directory with the keys of the roles. It connects to
// nothing yet: the directory may come up later.
func (c *Config) OpenStore(roles ...string) (*ldapstore.Store, *seal.Ring, error) {
	ring, err := c.OpenRing(roles...)
	if err != nil {
		return nil, nil, err
	}
	cfg := c.storeConfig()
	if !cfg.SASLExternal {
		password, err := secretfile.ReadLine(c.Directory.BindPasswordFile)
		if err != nil {
			return nil, nil, fmt.Errorf("directory.bind_password_file: %w", err)
		}
		cfg.BindPassword = account.NewSecret(password)
	}
	store, err := ldapstore.Open(cfg, ring)
	return store, ring, err
}

// OpenAudit opens the audit log; failed hears about lines that could not be written.
func (c *Config) OpenAudit(failed func(error)) (*effect.Audit, error) {
	return effect.OpenAudit(c.Audit.File, c.Privacy.Address, failed)
}

// APIKey reads the key that callers over TCP must send.
func (c *Config) APIKey() (account.Secret, error) {
	key, err := secretfile.ReadLine(c.Policyserver.APIKeyFile)
	if err != nil {
		return account.Secret{}, fmt.Errorf("policyserver.api_key_file: %w", err)
	}
	if len(key) < 16 {
		return account.Secret{}, fmt.Errorf("policyserver.api_key_file: %s: the key must have at least 16 characters; make one with: openssl rand -hex 24", c.Policyserver.APIKeyFile)
	}
	return account.NewSecret(key), nil
}

// LoginSettings are the site's choices for package login. It reads the nonce of
// Dovecot's auth policy.
func (c *Config) LoginSettings() (login.Settings, error) {
	l := c.Login
	s := login.Settings{
		MainElsewhere:    l.MainPassword == MainByNext,
		UnknownElsewhere: l.UnknownUser == "next",
		Deadline:         time.Duration(l.Deadline),
		DenialTime:       time.Duration(l.DenialTime),
		MaxBinds:         l.MaxBinds,
		HelpURL:          l.HelpURL,
		ReturnUser:       l.ReturnUser,
		Observe:          c.observed(),
	}
	var err error
	if s.WebmailNetworks, err = c.WebmailNetworks(); err != nil {
		return s, fmt.Errorf("webhook.networks: %w", err)
	}
	if s.Masters, err = c.masters(); err != nil {
		return s, err
	}
	if c.Policyserver.HashNonceFile == "" {
		return s, nil
	}
	nonce, err := secretfile.ReadLine(c.Policyserver.HashNonceFile)
	if err != nil {
		return s, fmt.Errorf("policyserver.hash_nonce_file: %w", err)
	}
	s.HashNonce = account.NewSecret(nonce)
	return s, nil
}

func (c *Config) observed() map[string]login.Period {
	all := make(map[string]login.Period)
	for domain, until := range c.Login.Observe {
		all[strings.ToLower(domain)] = login.Period{Until: until}
	}
	return all
}

// masters reads the networks of login.master_users.
func (c *Config) masters() (map[string][]netip.Prefix, error) {
	all := make(map[string][]netip.Prefix)
	var errs []error
	for name, networks := range c.Login.MasterUsers {
		for _, text := range networks {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("login.master_users.%s: %q is not a network like 192.0.2.0/24", name, text))
				continue
			}
			all[name] = append(all[name], p.Masked())
		}
	}
	return all, errors.Join(errs...)
}

// FieldNames lists the configured reply fields in a fixed order.
func (c *Config) FieldNames() []string { return slices.Sorted(maps.Keys(c.Login.Fields)) }

// Path is the file the configuration was read from.
func (c *Config) Path() string { return c.path }
