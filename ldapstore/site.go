package ldapstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

const keyCheck = "posternKeyCheck"

// registerAttempts bounds how often RegisterKeyChecks starts again because
// somebody else registered at the same time.
const registerAttempts = 4

// siteDN is the entry for what exists once per site.
func (s *Store) siteDN() string { return "cn=site," + s.cfg.PosternBase }

// KeyChecks returns the key-check values of the site (seal.Ring.Check); nil when
// none has been registered. Errors: account.ErrUnavailable.
func (s *Store) KeyChecks(ctx context.Context) ([]string, error) {
	var list []string
	err := s.read(ctx, func(c *conn) (err error) {
		list, err = s.keyChecks(c)
		return err
	})
	return list, err
}

func (s *Store) keyChecks(c *conn) ([]string, error) {
	e, err := baseSearch(c, s.siteDN(), keyCheck)
	if err = absent(err); err != nil || e == nil {
		return nil, err
	}
	var list []string
	for _, v := range values(e, keyCheck) {
		list = append(list, string(v))
	}
	return list, nil
}

// searcher answers searches: a conn, or the library's.
type searcher interface {
	Search(*ldap.SearchRequest) (*ldap.SearchResult, error)
}

// baseSearch reads one entry; nil if the answer holds none.
func baseSearch(c searcher, dn string, attributes ...string) (*ldap.Entry, error) {
	res, err := c.Search(&ldap.SearchRequest{
		BaseDN: dn, Scope: ldap.ScopeBaseObject, SizeLimit: 1, EnforceSizeLimit: true,
		Filter: anything, Attributes: attributes,
	})
	if err != nil || len(res.Entries) == 0 {
		return nil, err
	}
	return res.Entries[0], nil
}

// RegisterKeyChecks adds the values that are not there yet, and makes the site's
// entry if need be. Errors: a *SetupError when Postern's base is missing or may
// not be written; account.ErrUnavailable.
func (s *Store) RegisterKeyChecks(ctx context.Context, checks []string) error {
	for range registerAttempts {
		done, err := s.register(ctx, checks)
		if err != nil || done {
			return err
		}
	}
	return fmt.Errorf("%s keeps changing: %w", s.siteDN(), account.ErrUnavailable)
}

// register makes one attempt; not done means that somebody else was faster.
func (s *Store) register(ctx context.Context, checks []string) (done bool, err error) {
	var known []string
	err = s.readWriter(ctx, func(c *conn) (err error) {
		known, err = s.keyChecks(c)
		return err
	})
	if err != nil {
		return false, err
	}
	missing := slices.DeleteFunc(slices.Clone(checks), func(v string) bool { return slices.Contains(known, v) })
	if len(missing) == 0 {
		return true, nil
	}
	err = s.write(ctx, func(c *conn) error {
		req := ldap.NewModifyRequest(s.siteDN(), nil)
		req.Add(keyCheck, missing)
		err := c.Modify(req)
		if !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return err
		}
		add := ldap.NewAddRequest(s.siteDN(), nil)
		add.Attribute("objectClass", []string{"top", classSite})
		add.Attribute("cn", []string{"site"})
		add.Attribute(keyCheck, missing)
		return c.Add(add)
	})
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultAttributeOrValueExists, ldap.LDAPResultEntryAlreadyExists) {
		return false, nil
	}
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return false, s.noPosternBase(err)
	}
	return true, s.changeError(s.siteDN(), err)
}
