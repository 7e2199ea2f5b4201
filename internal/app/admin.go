package app

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/policy"
	"postern/internal/secretfile"
	"postern/ldapstore"
)

// Admin configures who administers: people by groups of the directory, panels by keys.
type Admin struct {
	SiteGroup       string                 `toml:"site_group" doc:"Group of site administrators, such as cn=mail-site-admins,ou=groups,dc=example,dc=test: groupOfNames or groupOfUniqueNames. Empty: none."`
	DomainGroup     string                 `toml:"domain_group" doc:"Groups of domain administrators, one per domain: %d stands for it, as in cn=%d,ou=mailadmins,dc=example,dc=test. Empty: none."`
	DomainAttribute string                 `toml:"domain_attribute" doc:"Instead, or besides: an attribute of an administrator's own entry that names the domains, such as mailAdminOf. Nobody but your own provisioning may write it. Empty: none."`
	HelpDeskGroup   string                 `toml:"helpdesk_group" doc:"Group of the help desk, who see status, reset accounts and make enrolment tokens; with %d, one per domain. Empty: none."`
	MemberUID       bool                   `toml:"member_uid" doc:"Also count members of posixGroups: a memberUid is whose entry alone is named uid=… so."`
	Clients         map[string]AdminClient `toml:"clients" doc:"Hosting panels that may call /v1/admin/, each with a key of its own: docs/admin-api.md"`
}

// AdminClient is one caller of /v1/admin/.
type AdminClient struct {
	KeyFile      string   `toml:"key_file" doc:"File with the client's key (mode 0600 or 0640), or credential:NAME."`
	Domains      []string `toml:"domains" doc:"What it administers, or [\"*\"]."`
	Scope        string   `toml:"scope" doc:"status, helpdesk, domain or site."`
	Networks     []string `toml:"networks" doc:"Where it calls from. Empty: from anywhere."`
	AppPasswords bool     `toml:"app_passwords" doc:"It may create app passwords for accounts without two-factor login."`
	Bypass       bool     `toml:"bypass" doc:"It may let accounts in without their second factor for a while."`
}

func (a *Admin) problems(ps *problemList) {
	for name, c := range a.Clients {
		c.problems("admin.clients."+name, ps)
	}
}

func (c *AdminClient) problems(key string, ps *problemList) {
	if c.KeyFile == "" {
		ps.add("%s.key_file: needed", key)
	}
	role, err := admin.ParseRole(c.Scope)
	if err != nil {
		ps.add("%s.scope: %w", key, err)
	}
	if len(c.Domains) == 0 {
		ps.add("%s.domains: needed: names of domains, or [\"*\"]", key)
	}
	every := slices.Contains(c.Domains, "*")
	switch {
	case every && len(c.Domains) > 1:
		ps.add("%s.domains: \"*\" means all domains, so no others beside it", key)
	case !every && role == admin.Site:
		ps.add("%s.domains: scope = \"site\" is about all: write [\"*\"], or scope = \"domain\"", key)
	}
	for _, d := range c.Domains {
		if _, err := policy.NewLevel(policy.LevelDomain, d); d != "*" && err != nil {
			ps.add("%s.domains: %w", key, err)
		}
	}
	if _, err := parseNetworks(c.Networks); err != nil {
		ps.add("%s.networks: %w", key, err)
	}
	if role < admin.Domain && (c.AppPasswords || c.Bypass) {
		ps.add("%s: app_passwords and bypass need scope = \"domain\" or \"site\"", key)
	}
}

// administrators is the part of it that package ldapstore needs.
func (a *Admin) administrators() ldapstore.Administrators {
	return ldapstore.Administrators{SiteGroup: a.SiteGroup, DomainGroup: a.DomainGroup, HelpDeskGroup: a.HelpDeskGroup,
		DomainAttribute: a.DomainAttribute, MemberUID: a.MemberUID}
}

// Roles tells who is an administrator.
func (c *Config) Roles(store *ldapstore.Store) *admin.Roles {
	return &admin.Roles{Directory: store, Now: time.Now}
}

// Panel is a caller of /v1/admin/.
type Panel struct {
	Name      string
	Key       account.Secret
	Authority admin.Authority
	Networks  []netip.Prefix // empty: from anywhere
	// AppPasswords and Bypass say that it may do what lets somebody in.
	AppPasswords, Bypass bool
}

// Panels reads the callers of /v1/admin/ and their keys, by name. No key may be that of
// another, nor of a webmail.
func (c *Config) Panels(roles *admin.Roles) ([]Panel, error) {
	taken, err := c.HookKeys()
	if err != nil {
		return nil, err
	}
	var list []Panel
	for _, name := range slices.Sorted(maps.Keys(c.Admin.Clients)) {
		client := c.Admin.Clients[name]
		key, err := adminKey(name, client.KeyFile)
		if err != nil {
			return nil, err
		}
		for other, k := range taken {
			if k.Equal(key) {
				return nil, fmt.Errorf("admin.clients.%s and %s have the same key; each needs its own", name, other)
			}
		}
		taken["admin.clients."+name] = key
		role, err := admin.ParseRole(client.Scope)
		if err != nil {
			return nil, err // Load reported it
		}
		p := Panel{Name: name, Key: key, Authority: roles.Panel(name, role, client.Domains...),
			AppPasswords: client.AppPasswords, Bypass: client.Bypass}
		if p.Networks, err = parseNetworks(client.Networks); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func adminKey(name, file string) (account.Secret, error) {
	key, err := secretfile.ReadLine(file)
	if err != nil {
		return account.Secret{}, fmt.Errorf("admin.clients.%s.key_file: %w", name, err)
	}
	if len(key) < minKey {
		return account.Secret{}, fmt.Errorf("admin.clients.%s.key_file: %s: the key must have at least %d characters; make one with: openssl rand -hex 24",
			name, filepath.Base(file), minKey)
	}
	return account.NewSecret(key), nil
}
