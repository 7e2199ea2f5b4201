package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/policy"
)

// maxName is longer than any mail address (RFC 5321 section 4.5.3.1).
const maxName = 512

// anything is the filter of base searches.
const anything = "(objectClass=*)"

// found is what the directory answered about one account.
type found struct {
	user      *ldap.Entry // nil: none
	holder    *ldap.Entry // layout subtree; nil: none
	ambiguous bool
	filtered  bool         // the status filter matches
	site      *policy.Site // the policies of domains and classes
}

// Find implements account.Store: one search below the base for the name, which is
// escaped; with layout subtree one more for the holder, with a status filter
// another. They go to one and the same server. Every few seconds a search for the
// policies of domains and classes goes on beside them.
func (s *Store) Find(ctx context.Context, name string) (*account.Account, error) {
	if !plausible(name) {
		return nil, account.ErrUnknown
	}
	req := &ldap.SearchRequest{
		BaseDN: s.cfg.Base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2, EnforceSizeLimit: true,
		Filter: s.filter.expand(name), Attributes: s.wanted,
	}
	return s.found(ctx, req, s.read)
}

// Read implements account.Store: it asks the write server for a.DN, and believes
// the entry only if it still is the same account. Errors: account.ErrUnknown when
// it is not there any more, account.ErrUnavailable, account.ErrDamaged.
func (s *Store) Read(ctx context.Context, a *account.Account) (*account.Account, error) {
	req := &ldap.SearchRequest{
		BaseDN: a.DN, Scope: ldap.ScopeBaseObject, SizeLimit: 2, EnforceSizeLimit: true,
		Filter: anything, Attributes: s.wanted,
	}
	fresh, err := s.found(ctx, req, func(ctx context.Context, op func(*conn) error) error {
		return s.readWriter(ctx, func(c *conn) error { return absent(op(c)) })
	})
	if err != nil {
		return nil, err
	}
	if fresh.ID != a.ID {
		return nil, fmt.Errorf("%s is another account now: %w", a.DN, account.ErrUnknown)
	}
	return fresh, nil
}

// found searches for one account, where and how ask does. What is known of policies
// is looked up first: an account that exists must not answer otherwise than one that
// does not while they cannot be read (ATTACKS 10).
func (s *Store) found(ctx context.Context, req *ldap.SearchRequest, ask func(context.Context, func(*conn) error) error) (*account.Account, error) {
	site, err := s.policies.get(ctx)
	if err != nil {
		return nil, err
	}
	var f found
	err = ask(ctx, func(c *conn) (err error) {
		f, err = s.search(c, req)
		return err
	})
	if err != nil {
		return nil, s.missingBase(err)
	}
	f.site = site
	return s.account(&f)
}

// plausible keeps out names that no entry can have, so that they cost no search.
func plausible(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// absent turns "no such entry" of a base search into an empty answer.
func absent(err error) error {
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil
	}
	return err
}

// search asks one server all that makes up an account.
func (s *Store) search(c *conn, req *ldap.SearchRequest) (found, error) {
	res, err := c.Search(req)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || errors.Is(err, ldap.ErrSizeLimitExceeded) {
		return found{ambiguous: true}, nil
	}
	if err != nil {
		return found{}, err
	}
	if len(res.Entries) != 1 {
		return found{ambiguous: len(res.Entries) > 1}, nil
	}
	f := found{user: res.Entries[0]}
	if s.cfg.Layout == LayoutSubtree {
		if f.holder, err = s.searchHolder(c, f.user); err != nil {
			return found{}, err
		}
	}
	if s.cfg.StatusFilter != "" {
		f.filtered, err = matches(c, f.user.DN, s.cfg.StatusFilter)
	}
	return f, err
}

// searchHolder reads the entry with the records of the user; nil if there is none.
func (s *Store) searchHolder(c *conn, user *ldap.Entry) (*ldap.Entry, error) {
	id, err := s.key(user)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // account reports it
	}
	res, err := c.Search(&ldap.SearchRequest{
		BaseDN: s.holderDN(id), Scope: ldap.ScopeBaseObject, SizeLimit: 1, EnforceSizeLimit: true,
		Filter: anything, Attributes: s.holder,
	})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidDNSyntax) {
		return nil, &SetupError{noSchema, err}
	}
	if err = absent(err); err != nil || res == nil || len(res.Entries) == 0 {
		return nil, err
	}
	return res.Entries[0], nil
}

// matches reports whether the entry matches a filter. LDAP cannot say so within a
// search for something else.
func matches(c *conn, dn, filter string) (bool, error) {
	res, err := c.Search(&ldap.SearchRequest{
		BaseDN: dn, Scope: ldap.ScopeBaseObject, SizeLimit: 1, EnforceSizeLimit: true,
		Filter: filter, Attributes: []string{"1.1"},
	})
	if err = absent(err); err != nil {
		return false, err
	}
	return res != nil && len(res.Entries) > 0, nil
}

// missingBase names the setting that is wrong when a search has no base.
func (s *Store) missingBase(err error) error {
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return &SetupError{fmt.Sprintf("base %s does not exist: check directory.base, and that the service account may see it", s.cfg.Base), err}
	}
	return err
}

// account makes an account of what was found. Errors: account.ErrUnknown,
// account.ErrAmbiguous, account.ErrDamaged.
func (s *Store) account(f *found) (*account.Account, error) {
	switch {
	case f.ambiguous:
		return nil, account.ErrAmbiguous
	case f.user == nil:
		return nil, account.ErrUnknown
	}
	a, err := s.identity(f.user)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.user.DN, err)
	}
	s.setStatus(a, f, s.now())
	a.PasswordChanged = passwordChanged(f.user, s.cfg.PasswordChanged)
	s.setFields(a, f.user)
	s.setRecords(a, f)
	return a, nil
}

func (s *Store) setStatus(a *account.Account, f *found, now time.Time) {
	a.Status, a.Cause = status(f.user, now)
	if f.filtered {
		a.Status, a.Cause = account.Disabled, "directory.status_filter"
	}
}
