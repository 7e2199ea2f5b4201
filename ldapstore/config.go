package ldapstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/policy"
)

// Layouts: where an account's records are.
const (
	LayoutEntry   = "entry"   // attributes of the user's own entry
	LayoutSubtree = "subtree" // an entry of their own below PosternBase
)

// Config says which directory and where in it. The names in brackets are the keys
// of the configuration file, in its table [directory] unless said.
type Config struct {
	ReadURIs     []string       // [read_uris] asked in this order
	WriteURI     string         // [write_uri] the one server to change; default: the first read URI
	StartTLS     bool           // [starttls] for the ldap:// URIs
	CAFile       string         // [ca_file] default: the system's
	Plaintext    bool           // [allow_plaintext] permits ldap:// without StartTLS to other hosts
	BindDN       string         // [bind_dn] the service account
	BindPassword account.Secret // [bind_password_file]
	SASLExternal bool           // [sasl_external] on ldapi://, instead of a password

	Base       string // [base]
	UserFilter string // [user_filter] with %u, %n (local part) or %d (domain)
	// IDAttribute [id_attribute] is the account's key; default entryUUID.
	// Binary values, such as objectGUID, become lower-case hex.
	IDAttribute string
	// LoginAttribute [login_attribute] holds the canonical name; default mail.
	// If it has several values, the first in alphabetical order counts.
	LoginAttribute string
	Layout         string            // [layout] entry (default) or subtree
	PosternBase    string            // [postern_base] Postern's own subtree
	StatusFilter   string            // [status_filter] matches disabled accounts; costs a second search, and sees only what the service account may search
	Fields         map[string]string // table [login.fields]: Dovecot's field = attribute
	// PasswordChanged [password_changed_attribute] tells when the main password was
	// last changed; see passwordChanged. Empty: nobody asks.
	PasswordChanged string

	Timeout  time.Duration // [timeout] of one operation; default 2s
	PoolSize int           // [pool_size] connections per server and pool; default 32

	DefaultPolicy policy.Layer // table [policy]

	Administrators Administrators // table [admin]
}

// Limits of the two settings for which a slip would be felt as an outage.
const (
	minTimeout  = 50 * time.Millisecond
	maxTimeout  = time.Minute
	maxPoolSize = 1024
)

func (c Config) withDefaults() Config {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	set(&c.IDAttribute, "entryUUID")
	set(&c.LoginAttribute, "mail")
	set(&c.Layout, LayoutEntry)
	if len(c.ReadURIs) > 0 {
		set(&c.WriteURI, c.ReadURIs[0])
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.PoolSize == 0 {
		c.PoolSize = 32
	}
	if c.DefaultPolicy.Origin == "" {
		c.DefaultPolicy.Origin = "default"
	}
	return c
}

// Validate reports every problem at once, each with its key in the configuration
// file. It reads no file and contacts nobody.
func (c Config) Validate() error {
	c = c.withDefaults()
	return errors.Join(c.validateServers(), c.validateLogin(), c.validateTree(), c.validateLimits(), c.Administrators.validate())
}

func (c *Config) validateServers() error {
	var errs []error
	if len(c.ReadURIs) == 0 {
		errs = append(errs, errors.New("directory.read_uris names no server"))
	}
	for _, uri := range c.ReadURIs {
		errs = append(errs, c.validateURI("directory.read_uris", uri))
	}
	if c.WriteURI != "" && !slices.Contains(c.ReadURIs, c.WriteURI) {
		errs = append(errs, c.validateURI("directory.write_uri", c.WriteURI))
	}
	return errors.Join(errs...)
}

func (c *Config) validateURI(key, uri string) error {
	ep, err := parseURI(uri)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", key, err)
	case c.SASLExternal && ep.network != "unix":
		return fmt.Errorf("%s: directory.sasl_external works on ldapi:// only, not on %s", key, uri)
	case ep.network == "tcp" && !ep.tls && !c.StartTLS && !c.Plaintext && !ep.loopback():
		return fmt.Errorf("%s: %s would send passwords in the clear; use ldaps://, directory.starttls = true, or (if the network is yours alone) directory.allow_plaintext = true", key, uri)
	}
	return nil
}

func (c *Config) validateLogin() error {
	var errs []error
	switch {
	case c.SASLExternal && (c.BindDN != "" || !c.BindPassword.Empty()):
		errs = append(errs, errors.New("directory.sasl_external excludes directory.bind_dn and directory.bind_password_file"))
	case c.SASLExternal:
	case c.BindDN == "":
		errs = append(errs, errors.New("directory.bind_dn is missing: the service account (or set directory.sasl_external)"))
	case c.BindPassword.Empty():
		errs = append(errs, errors.New("directory.bind_password_file is missing: an empty password would be an anonymous bind"))
	}
	if c.BindDN != "" {
		errs = append(errs, validateDN("directory.bind_dn", c.BindDN))
	}
	return errors.Join(errs...)
}

func (c *Config) validateTree() error {
	errs := []error{validateDN("directory.base", c.Base), validateDN("directory.postern_base", c.PosternBase)}
	if t, err := parseTemplate(c.UserFilter); err != nil {
		errs = append(errs, fmt.Errorf("directory.user_filter: %w", err))
	} else if _, err := ldap.CompileFilter(t.expand("user@example.test")); err != nil {
		errs = append(errs, fmt.Errorf("directory.user_filter %q is not an LDAP filter: %w", c.UserFilter, err))
	}
	if c.StatusFilter != "" {
		if _, err := ldap.CompileFilter(c.StatusFilter); err != nil {
			errs = append(errs, fmt.Errorf("directory.status_filter %q is not an LDAP filter: %w", c.StatusFilter, err))
		}
	}
	if c.Layout != LayoutEntry && c.Layout != LayoutSubtree {
		errs = append(errs, fmt.Errorf("directory.layout must be entry or subtree, not %q", c.Layout))
	}
	errs = append(errs, validateAttribute("directory.id_attribute", c.IDAttribute),
		validateAttribute("directory.login_attribute", c.LoginAttribute))
	if c.PasswordChanged != "" {
		errs = append(errs, validateAttribute("directory.password_changed_attribute", c.PasswordChanged))
	}
	for field, attribute := range c.Fields {
		errs = append(errs, validateAttribute("login.fields."+field, attribute))
	}
	return errors.Join(errs...)
}

func (c *Config) validateLimits() error {
	var errs []error
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		errs = append(errs, fmt.Errorf("directory.timeout must be from %v to %v, not %v", minTimeout, maxTimeout, c.Timeout))
	}
	if c.PoolSize < 1 || c.PoolSize > maxPoolSize {
		errs = append(errs, fmt.Errorf("directory.pool_size must be from 1 to %d, not %d", maxPoolSize, c.PoolSize))
	}
	return errors.Join(errs...)
}

func validateDN(key, dn string) error {
	if dn == "" {
		return fmt.Errorf("%s is missing", key)
	}
	if _, err := ldap.ParseDN(dn); err != nil {
		return fmt.Errorf("%s %q is not a distinguished name: %w", key, dn, err)
	}
	return nil
}

// validateAttribute refuses what would change the meaning of an attribute list:
// "*", "+", options, blanks (RFC 4512 section 1.4, descr).
func validateAttribute(key, name string) error {
	letters := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if name == "" || !strings.Contains(letters, name[:1]) || strings.Trim(name, letters+"0123456789-") != "" {
		return fmt.Errorf("%s: %q is not the name of an attribute", key, name)
	}
	return nil
}

// tlsConfig always verifies; there is no switch against it.
func (c *Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("directory.ca_file: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("directory.ca_file: %s holds no certificate in PEM", c.CAFile)
	}
	return t, nil
}

// attributes lists what a search asks for, of a user's entry and of a holder.
// Operational attributes have to be named, so all are.
func (c *Config) attributes() (user, holder []string) {
	holder = []string{"objectClass", attrPolicy, attrClass}
	for _, k := range account.Kinds {
		holder = append(holder, k.Attribute())
	}
	user = []string{c.IDAttribute, c.LoginAttribute}
	for _, rule := range statusRules {
		user = append(user, rule.attribute)
	}
	for _, attribute := range c.Fields {
		user = append(user, attribute)
	}
	if c.PasswordChanged != "" {
		user = append(user, c.PasswordChanged)
	}
	if c.Layout == LayoutEntry {
		user = append(user, holder...)
	}
	if c.versioned() {
		user = append(user, attrVersion)
	}
	slices.Sort(user)
	return slices.Compact(user), holder
}
