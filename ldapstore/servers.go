package ldapstore

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// ReadServers lists the URIs of the servers that Find asks.
func (s *Store) ReadServers() []string {
	uris := make([]string, len(s.reads))
	for i, srv := range s.reads {
		uris[i] = srv.uri
	}
	return uris
}

// At reads the account with a key from one of the ReadServers, whatever state that
// is in: who waits for a change to arrive everywhere must ask each. Errors:
// account.ErrUnknown, account.ErrAmbiguous, account.ErrDamaged,
// account.ErrUnavailable.
func (s *Store) At(ctx context.Context, uri string, id account.ID) (*account.Account, error) {
	return s.found(ctx, s.byKey(id, s.wanted), func(ctx context.Context, op func(*conn) error) error {
		return s.readAt(ctx, uri, op)
	})
}

// byKey searches the user's entry with that key.
func (s *Store) byKey(id account.ID, attributes []string) *ldap.SearchRequest {
	return &ldap.SearchRequest{
		BaseDN: s.cfg.Base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2, EnforceSizeLimit: true,
		Filter: s.keyFilter(id), Attributes: attributes,
	}
}

// readAt runs op on one read server.
func (s *Store) readAt(ctx context.Context, uri string, op func(*conn) error) error {
	for _, srv := range s.reads {
		if srv.uri == uri {
			return srv.explain(srv.service.do(ctx, s.deadline(ctx, 1), true, op))
		}
	}
	return fmt.Errorf("%s is not among directory.read_uris: %w", uri, account.ErrUnavailable)
}

// compared finds in a user filter the attributes that a whole name, or its part
// before the @, is compared with.
var compared = regexp.MustCompile(`\(\s*([A-Za-z][A-Za-z0-9-]*)\s*=%([un])\)`)

// Names returns what the account's owner may log in by, as far as the user filter
// tells: the values of the login attribute, of every attribute that the filter
// compares with %u, and of those that it compares with %n, alone and before each
// of the other names' domains. None if there is no such account. The write server
// is asked. Errors: account.ErrUnavailable.
func (s *Store) Names(ctx context.Context, id account.ID) ([]string, error) {
	whole, local := s.nameAttributes()
	var e *ldap.Entry
	err := s.readWriter(ctx, func(c *conn) error {
		res, err := c.Search(s.byKey(id, slices.Concat(whole, local)))
		if err == nil && len(res.Entries) == 1 {
			e = res.Entries[0]
		}
		return err
	})
	if err != nil || e == nil {
		return nil, err
	}
	known := textValues(e, whole)
	names := slices.Clone(known)
	for _, n := range textValues(e, local) {
		names = append(names, withDomains(n, known)...)
	}
	return names, nil
}

func (s *Store) nameAttributes() (whole, local []string) {
	whole = []string{s.cfg.LoginAttribute}
	for _, m := range compared.FindAllStringSubmatch(s.cfg.UserFilter, -1) {
		if m[2] == "u" {
			whole = append(whole, m[1])
		} else {
			local = append(local, m[1])
		}
	}
	return whole, local
}

func textValues(e *ldap.Entry, attributes []string) []string {
	var list []string
	for _, a := range attributes {
		for _, v := range values(e, a) {
			list = append(list, string(v))
		}
	}
	return list
}

// withDomains is a local part alone, and before the domain of each name.
func withDomains(local string, names []string) []string {
	list := []string{local}
	for _, n := range names {
		if _, domain := splitName(n); domain != "" && !strings.Contains(local, "@") {
			list = append(list, local+"@"+domain)
		}
	}
	return list
}

// Attributes reads some attributes of the account's entry, as text and by the names
// asked for. Errors: account.ErrUnknown, account.ErrUnavailable.
func (s *Store) Attributes(ctx context.Context, id account.ID, names ...string) (map[string][]string, error) {
	var e *ldap.Entry
	err := s.read(ctx, func(c *conn) error {
		res, err := c.Search(s.byKey(id, names))
		if err == nil && len(res.Entries) == 1 {
			e = res.Entries[0]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, account.ErrUnknown
	}
	all := make(map[string][]string, len(names))
	for _, name := range names {
		all[name] = textValues(e, []string{name})
	}
	return all, nil
}
