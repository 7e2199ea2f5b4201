package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/policy"
)

// Administrators says where the directory names them [table admin]. Groups are
// groupOfNames, groupOfUniqueNames or posixGroup; groups within groups are not followed.
type Administrators struct {
	SiteGroup     string // [site_group] its name in the directory
	DomainGroup   string // [domain_group] one per domain, with %d for the domain
	HelpDeskGroup string // [helpdesk_group] with or without %d
	// DomainAttribute [domain_attribute] of an administrator's own entry names domains.
	// Whoever may write it there is an administrator of any domain.
	DomainAttribute string
	// MemberUID [member_uid] lets memberUid of posixGroups count, too.
	MemberUID bool
}

// members is who is an administrator, by the normalised name of the entry.
type members map[string][]admin.Grant

// Grants implements admin.Members. What counts is the name of the entry in the directory,
// which its owner cannot change as they may change an address (ATTACKS 27).
func (m members) Grants(a *account.Account) []admin.Grant {
	dn, err := normalDN(a.DN)
	if err != nil {
		return nil
	}
	return m[dn]
}

// normalDN is a name in the one form that names are compared in: types, case and blanks
// as the directory matches them (RFC 4517 section 4.2.15).
func normalDN(text string) (string, error) {
	dn, err := ldap.ParseDN(text)
	if err != nil {
		return "", err
	}
	list := make([]string, len(dn.RDNs))
	for i, rdn := range dn.RDNs {
		list[i] = normalRDN(rdn)
	}
	return strings.Join(list, ","), nil
}

func normalRDN(rdn *ldap.RelativeDN) string {
	parts := make([]string, len(rdn.Attributes))
	for i, a := range rdn.Attributes {
		value := strings.ToLower(strings.Join(strings.Fields(a.Value), " "))
		parts[i] = strings.ToLower(a.Type) + "=" + ldap.EscapeDN(value)
	}
	slices.Sort(parts)
	return strings.Join(parts, "+")
}

// Members implements admin.Directory: all groups as the write server has them. Errors: a
// *SetupError when a group is not there or shows no members to the service account, which
// is not the same as having none; account.ErrUnavailable.
func (s *Store) Members(ctx context.Context) (admin.Members, error) {
	m := make(members)
	err := s.readWriter(ctx, func(c *conn) error {
		clear(m)
		for _, g := range s.cfg.groups() {
			if err := s.readGroups(c, &g, m); err != nil {
				return err
			}
		}
		return s.readAdminAttribute(c, m)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// adminGroup is one setting that names groups.
type adminGroup struct {
	key  string // of the configuration
	role admin.Role
	dn   *ldap.DN // with %d in it, or not
}

func (c *Config) groups() []adminGroup {
	var list []adminGroup
	for _, g := range []struct {
		key, dn string
		role    admin.Role
	}{
		{"admin.site_group", c.Administrators.SiteGroup, admin.Site},
		{"admin.domain_group", c.Administrators.DomainGroup, admin.Domain},
		{"admin.helpdesk_group", c.Administrators.HelpDeskGroup, admin.HelpDesk},
	} {
		if dn, err := ldap.ParseDN(g.dn); err == nil && g.dn != "" {
			list = append(list, adminGroup{g.key, g.role, dn})
		}
	}
	return list
}

const (
	anyDomain   = "%d"
	groupFilter = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=group))"
)

// holes are the indices of the parts of the name with a %d.
func (g *adminGroup) hole() int {
	return slices.IndexFunc(g.dn.RDNs, func(r *ldap.RelativeDN) bool {
		return slices.ContainsFunc(r.Attributes, func(a *ldap.AttributeTypeAndValue) bool { return strings.Contains(a.Value, anyDomain) })
	})
}

// request searches the groups: the one that is named, or all below what is behind the %d.
func (g *adminGroup) request() *ldap.SearchRequest {
	req := &ldap.SearchRequest{BaseDN: g.dn.String(), Scope: ldap.ScopeBaseObject, Filter: anything,
		Attributes: []string{"member", "uniqueMember", "memberUid"}}
	if i := g.hole(); i >= 0 {
		base := ldap.DN{RDNs: g.dn.RDNs[i+1:]}
		req.BaseDN, req.Scope, req.Filter = base.String(), ldap.ScopeWholeSubtree, groupFilter
	}
	return req
}

// domainOf is the domain of a group by its name; false if the name is not of that form. A
// name without a dot is no domain: groups of other kinds may stand beside those of domains,
// whose members would else be made administrators by it.
func (g *adminGroup) domainOf(dn *ldap.DN) (string, bool) {
	hole := g.hole()
	if len(dn.RDNs) != len(g.dn.RDNs) {
		return "", false
	}
	for i, rdn := range g.dn.RDNs {
		if i != hole && normalRDN(rdn) != normalRDN(dn.RDNs[i]) {
			return "", false
		}
	}
	if len(dn.RDNs[hole].Attributes) != 1 {
		return "", false
	}
	was, is := g.dn.RDNs[hole].Attributes[0], dn.RDNs[hole].Attributes[0]
	before, after, _ := strings.Cut(was.Value, anyDomain)
	name, ok1 := strings.CutPrefix(strings.ToLower(is.Value), strings.ToLower(before))
	name, ok2 := strings.CutSuffix(name, strings.ToLower(after))
	l, err := policy.NewLevel(policy.LevelDomain, name)
	if !strings.Contains(l.Name, ".") {
		return "", false // a group of another kind beside them, such as the help desk's
	}
	return l.Name, ok1 && ok2 && err == nil && strings.EqualFold(was.Type, is.Type)
}

// readGroups adds the members of the groups of one setting.
func (s *Store) readGroups(c *conn, g *adminGroup, m members) error {
	req := g.request()
	entries, err := pages(c, req)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return &SetupError{fmt.Sprintf("%s does not exist, or the service account may not see it: check %s", req.BaseDN, g.key), err}
	}
	if err != nil {
		return err
	}
	shown := 0
	for _, e := range entries {
		n, err := s.addGroup(c, g, e, m)
		if err != nil {
			return err
		}
		shown += n
	}
	if shown == 0 && len(entries) > 0 {
		return &SetupError{fmt.Sprintf("%s: no members can be seen of %s: let the service account read member and uniqueMember (for posixGroups, set admin.member_uid), put somebody in, or remove the setting",
			g.key, req.BaseDN), nil}
	}
	return nil
}

// addGroup returns how many members the group shows, whoever they are.
func (s *Store) addGroup(c *conn, g *adminGroup, e *ldap.Entry, m members) (int, error) {
	grant := admin.Grant{Role: g.role, All: true, Source: e.DN}
	names := append(textValues(e, []string{"member"}), textValues(e, []string{"uniqueMember"})...)
	shown := len(names)
	if g.hole() >= 0 {
		dn, err := ldap.ParseDN(e.DN)
		if err != nil {
			return shown, nil //nolint:nilerr // a name that is no name is not that of a domain
		}
		domain, ok := g.domainOf(dn)
		if !ok {
			return shown, nil
		}
		grant.All, grant.Domain = false, domain
	}
	if s.cfg.Administrators.MemberUID {
		for _, uid := range textValues(e, []string{"memberUid"}) {
			shown++
			dn, err := s.dnOfUID(c, uid)
			if err != nil {
				return 0, err
			}
			names = append(names, dn)
		}
	}
	m.add(grant, names...)
	return shown, nil
}

func (m members) add(g admin.Grant, names ...string) {
	for _, name := range names {
		if dn, err := normalDN(name); err == nil && dn != "" && !slices.Contains(m[dn], g) {
			m[dn] = append(m[dn], g)
		}
	}
}

// dnOfUID is the one entry that is named by that uid: not one that merely has it as a
// further value, which its owner may be able to add. Empty if there is none, or several.
func (s *Store) dnOfUID(c *conn, uid string) (string, error) {
	res, err := c.Search(&ldap.SearchRequest{BaseDN: s.cfg.Base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2, EnforceSizeLimit: true,
		Filter: "(uid=" + ldap.EscapeFilter(uid) + ")", Attributes: []string{"1.1"}})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || errors.Is(err, ldap.ErrSizeLimitExceeded) {
		return "", nil
	}
	if err != nil || len(res.Entries) != 1 {
		return "", err
	}
	dn, err := ldap.ParseDN(res.Entries[0].DN)
	if err != nil || len(dn.RDNs) == 0 {
		return "", nil //nolint:nilerr // as above
	}
	for _, a := range dn.RDNs[0].Attributes {
		if strings.EqualFold(a.Type, "uid") && strings.EqualFold(a.Value, uid) {
			return res.Entries[0].DN, nil
		}
	}
	return "", nil
}

// readAdminAttribute adds those whose own entries name domains.
func (s *Store) readAdminAttribute(c *conn, m members) error {
	name := s.cfg.Administrators.DomainAttribute
	if name == "" {
		return nil
	}
	entries, err := pages(c, &ldap.SearchRequest{BaseDN: s.cfg.Base, Scope: ldap.ScopeWholeSubtree,
		Filter: "(" + name + "=*)", Attributes: []string{name}})
	if err != nil {
		return s.missingBase(err)
	}
	for _, e := range entries {
		for _, v := range textValues(e, []string{name}) {
			if l, err := policy.NewLevel(policy.LevelDomain, v); err == nil {
				m.add(admin.Grant{Role: admin.Domain, Domain: l.Name, Source: name + " of " + e.DN}, e.DN)
			}
		}
	}
	return nil
}

// pages makes a search page by page, so that no limit of the server cuts off some
// entries without a word.
func pages(c searcher, req *ldap.SearchRequest) ([]*ldap.Entry, error) {
	paging := ldap.NewControlPaging(pageSize)
	req.Controls = []ldap.Control{paging}
	var all []*ldap.Entry
	for {
		res, err := c.Search(req)
		if err != nil {
			return nil, err
		}
		all = append(all, res.Entries...)
		answer, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(answer.Cookie) == 0 {
			return all, nil
		}
		paging.SetCookie(answer.Cookie)
	}
}

// Administrators lists who is an administrator, by the name of the entry, and why.
// Errors: those of Members.
func (s *Store) Administrators(ctx context.Context) (map[string][]admin.Grant, error) {
	m, err := s.Members(ctx)
	if err != nil {
		return nil, err
	}
	return m.(members), nil //nolint:forcetypeassert // of Members
}

func (a *Administrators) validate() error {
	var errs []error
	for _, g := range []struct {
		key, dn string
		hole    int // 1: needed, 0: allowed, -1: not
	}{
		{"admin.site_group", a.SiteGroup, -1}, {"admin.domain_group", a.DomainGroup, 1}, {"admin.helpdesk_group", a.HelpDeskGroup, 0},
	} {
		if g.dn == "" {
			continue
		}
		holes := strings.Count(g.dn, anyDomain)
		switch dn, err := ldap.ParseDN(g.dn); {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s %q is not a distinguished name: %w", g.key, g.dn, err))
		case g.hole < 0 && holes > 0:
			errs = append(errs, fmt.Errorf("%s: %%d has no meaning there: there is one site", g.key))
		case g.hole > 0 && holes != 1, holes > 1:
			errs = append(errs, fmt.Errorf("%s %q must have %%d once, for the domain", g.key, g.dn))
		case holes == 1 && ((&adminGroup{dn: dn}).hole() < 0 || (&adminGroup{dn: dn}).hole() == len(dn.RDNs)-1):
			errs = append(errs, fmt.Errorf("%s %q: there must be something behind the part with %%d, to search below", g.key, g.dn))
		}
	}
	if a.DomainAttribute != "" {
		errs = append(errs, validateAttribute("admin.domain_attribute", a.DomainAttribute))
	}
	return errors.Join(errs...)
}
