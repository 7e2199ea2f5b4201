package ldapstore

import (
	"context"
	"errors"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// Access is one thing that somebody can do.
type Access struct {
	Verb      string // "read", "compare", "write", "find"
	Attribute string
	DN        string // the entry; of "find", the base
}

// Exposure is what one server lets somebody do with what Postern keeps: nothing is right.
type Exposure struct {
	URI   string
	Found []Access
	Err   error // what could not be asked; Found holds what was found before
}

// Exposed tells, for every server, what somebody can do with what Postern keeps, of the
// site and of some accounts. Access rules are each server's own: what one refuses,
// another may show. A nil login is somebody who does not log in.
//
// Nothing is changed: writing is tried by changes that delete a value which is not there,
// and are therefore refused as a whole, by whom access is granted to, too. Err is
// account.ErrWrong where the login is refused, and account.ErrUnavailable.
func (s *Store) Exposed(ctx context.Context, login Login, accounts ...*account.Account) []Exposure {
	var list []Exposure
	for _, srv := range s.servers() {
		l := looker{store: s, writer: srv == s.writer}
		err := s.as(ctx, srv, login, func(c *ldap.Conn) error {
			l.conn = c
			l.search()
			l.entry(s.siteDN(), []string{keyCheck}, nil)
			for _, a := range accounts {
				l.entry(a.Holder, holderAttributes(), a)
			}
			return errors.Join(l.failed...)
		})
		list = append(list, Exposure{srv.uri, l.found, srv.explainLogin(err)})
	}
	return list
}

// explainLogin leaves a wrong password what it is.
func (s *server) explainLogin(err error) error {
	if errors.Is(err, account.ErrWrong) {
		return err
	}
	return s.explain(err)
}

// holderAttributes are what Postern keeps of an account.
func holderAttributes() []string {
	list := []string{attrPolicy, attrClass}
	for _, k := range account.Kinds {
		list = append(list, k.Attribute())
	}
	return list
}

// looker is somebody's connection to one server, and what it saw.
type looker struct {
	store  *Store
	writer bool // the server takes changes
	conn   *ldap.Conn
	found  []Access
	failed []error
}

func (l *looker) can(verb, attribute, dn string) {
	l.found = append(l.found, Access{verb, attribute, dn})
}

// refused reports whether the server denied access, or denied that there is anything. An
// answer that is neither is kept: it proves nothing.
func (l *looker) refused(err error, more ...uint16) bool {
	denials := append(more, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultNoSuchObject, ldap.LDAPResultStrongAuthRequired,
		ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultUnwillingToPerform,
		ldap.LDAPResultUndefinedAttributeType)
	if ldap.IsErrorAnyOf(err, denials...) {
		return true
	}
	l.failed = append(l.failed, err)
	return false
}

// search finds attributes of Postern's by a filter, anywhere. First all at once: where
// nothing has an index for presence, each search reads the whole directory. A server that
// therefore gives up has shown nothing; the entries that are looked at by name prove more.
func (l *looker) search() {
	names := append(holderAttributes(), keyCheck, "posternHolderOf")
	var either strings.Builder
	for _, name := range names {
		either.WriteString("(" + name + "=*)")
	}
	for _, base := range []string{l.store.cfg.Base, l.store.cfg.PosternBase} {
		if !l.matches(base, "(|"+either.String()+")") {
			continue
		}
		for _, name := range names {
			if l.matches(base, "("+name+"=*)") {
				l.can("find", name, base)
			}
		}
	}
}

func (l *looker) matches(base, filter string) bool {
	res, err := l.conn.Search(&ldap.SearchRequest{BaseDN: base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 1,
		Filter: filter, Attributes: []string{"1.1"}})
	if res != nil && len(res.Entries) > 0 {
		return true
	}
	if err != nil {
		l.refused(err, ldap.LDAPResultAdminLimitExceeded, ldap.LDAPResultTimeLimitExceeded)
	}
	return false
}

// entry looks at one by its name: reading, comparing, writing. a is whose records are
// there; nil for an entry that is nobody's.
func (l *looker) entry(dn string, attributes []string, a *account.Account) {
	e, err := baseSearch(l.conn, dn, attributes...)
	if err != nil {
		l.refused(err)
	}
	if e != nil {
		for _, attribute := range e.Attributes {
			l.can("read", attribute.Name, dn)
		}
	}
	if a != nil {
		for _, k := range account.Kinds {
			l.compare(dn, k.Attribute(), a.Values(k))
		}
	}
	if l.writer {
		for _, name := range attributes {
			l.write(dn, name)
		}
	}
}

// compare guesses one value, which is there.
func (l *looker) compare(dn, attribute string, values []account.Value) {
	if len(values) == 0 {
		return
	}
	_, err := l.conn.Compare(dn, attribute, string(values[0].Stored))
	if err == nil {
		l.can("compare", attribute, dn)
		return
	}
	l.refused(err, ldap.LDAPResultNoSuchAttribute)
}

// write asks for a change that must fail: a server looks at access first, and then finds
// that a value to delete is not there.
func (l *looker) write(dn, attribute string) {
	req := ldap.NewModifyRequest(dn, nil)
	if attribute == attrPolicy || attribute == attrClass {
		req.Add(attribute, []string{"{}"})
	}
	req.Delete(attribute, []string{probeValue})
	err := l.conn.Modify(req)
	if err == nil || ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultAttributeOrValueExists, ldap.LDAPResultObjectClassViolation) {
		l.can("write", attribute, dn)
		return
	}
	l.refused(err)
}

// errEnough ends a listing.
var errEnough = errors.New("enough")

// Another is some account that has records, and is none of those; nil if there is none.
// Errors: account.ErrUnavailable.
func (s *Store) Another(ctx context.Context, but ...account.ID) (*account.Account, error) {
	var found *account.Account
	err := s.Each(ctx, func(a *account.Account) error {
		for _, id := range but {
			if a.ID == id {
				return nil
			}
		}
		if len(a.Values(account.KindState)) > 0 {
			found = a
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}
