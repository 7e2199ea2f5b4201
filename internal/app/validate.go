package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
)

// replyFields are the fields that an attribute's value may be given to Dovecot as.
// The list is closed: "user", "password", "nopassword" or "allow_nets" from a
// directory entry could change what a login means.
var replyFields = []string{
	"userdb_uid", "userdb_gid", "userdb_home", "userdb_mail", "userdb_quota_rule",
	"userdb_quota_storage_size", "userdb_namespace", "host",
}

// problems lists what is wrong with values, each with its key.
func (c *Config) problems() []error {
	var ps problemList
	ps.oneOf("login.main_password", c.Login.MainPassword, MainByBind, MainByNext, MainByDovecot)
	ps.socket("login.auth_socket", c.Login.AuthSocket)
	ps.oneOf("login.unknown_user", c.Login.UnknownUser, "deny", "next")
	ps.oneOf("privacy.address", string(c.Privacy.Address),
		string(effect.AddressFull), string(effect.AddressPrefix), string(effect.AddressNone))
	ps.between("login.deadline", c.Login.Deadline, 100*time.Millisecond, 30*time.Second)
	ps.between("login.denial_time", c.Login.DenialTime, 0, 5*time.Second)
	ps.count("login.max_binds", c.Login.MaxBinds)
	ps.count("policyserver.max_connections", c.Policyserver.MaxConns)
	for key := range c.Login.Fields {
		if !slices.Contains(replyFields, key) {
			ps.add("login.fields.%s: Dovecot can be given only %s", key, strings.Join(replyFields, ", "))
		}
	}
	_, err := c.masters()
	ps.join("", err)
	ps.helpURL(c.Login.HelpURL)
	c.listeners(&ps)
	c.Webhook.problems(&ps)
	c.Pages.problems(&ps)
	c.ClientSetup.problems(&ps)
	c.OIDC.problems(&ps, c.Webhook.Clients)
	c.Passkeys.problems(&ps)
	c.pluginProblems(&ps)
	c.Sessions.problems(&ps)
	c.Admin.problems(&ps)
	c.Mail.problems(&ps)
	c.Doctor.problems(&ps)
	c.sweepProblems(&ps)
	ps.absolute("keys.directory", c.Keys.Directory)
	if c.Audit.File != "" {
		ps.absolute("audit.file", c.Audit.File)
	}
	ps.join("policy", c.Policy.Validate())
	if eff, err := (policy.Layers{{Origin: "default", Settings: c.Policy}}).Resolve(); err == nil {
		ps.join("policy", errors.Join(eff.Check()...))
	}
	ps.join("", c.Throttle.Validate())
	store := c.storeConfig() // whose problems carry the directory's keys already
	if c.Directory.BindPasswordFile != "" {
		store.BindPassword = account.SecretString("read when the store is opened")
	}
	ps.join("", store.Validate())
	return ps
}

func (c *Config) listeners(ps *problemList) {
	p := c.Policyserver
	if p.Socket != "" {
		ps.socket("policyserver.socket", p.Socket)
	}
	if p.Listen == "" {
		return
	}
	if _, _, err := net.SplitHostPort(p.Listen); err != nil {
		ps.add("policyserver.listen: %q is not host:port", p.Listen)
	}
	if p.APIKeyFile == "" {
		ps.add("policyserver.api_key_file: needed with policyserver.listen: anybody could ask otherwise")
	}
}

type problemList []error

func (ps *problemList) add(format string, args ...any) {
	*ps = append(*ps, fmt.Errorf(format, args...))
}

func (ps *problemList) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		ps.add("%s: must be one of %q, not %q", key, allowed, value)
	}
}

func (ps *problemList) between(key string, d Duration, low, high time.Duration) {
	if v := time.Duration(d); v < low || v > high {
		ps.add("%s: must be from %v to %v, not %v", key, low, high, v)
	}
}

func (ps *problemList) count(key string, n int) {
	if n < 1 || n > 1<<16 {
		ps.add("%s: must be from 1 to 65536, not %d", key, n)
	}
}

func (ps *problemList) absolute(key, path string) {
	if !filepath.IsAbs(path) {
		ps.add("%s: %q is not an absolute path", key, path)
	}
}

func (ps *problemList) socket(key, path string) {
	ps.absolute(key, path)
	if len(path) > 107 { // sun_path, unix(7)
		ps.add("%s: the path is longer than 107 bytes", key)
	}
}

// helpURL must fit the lines that mail protocols carry it in.
func (ps *problemList) helpURL(text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(text) > 200 ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		ps.add("login.help_url: must be an https:// URL of at most 200 plain characters")
	}
}

// join adds each of a joined error's parts.
func (ps *problemList) join(key string, err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the outermost error only
		for _, part := range many.Unwrap() {
			ps.join(key, part)
		}
		return
	}
	if key != "" {
		err = fmt.Errorf("%s.%w", key, err)
	}
	*ps = append(*ps, err)
}
