package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// This file is for posternctl doctor: what Diagnose cannot know from the service
// account's own rights.

// Seen is when a read server showed a change.
type Seen struct {
	URI   string
	After time.Duration // of the write; meaningless with Err
	Err   error         // not within the time, or the server cannot be asked
}

// markerPrefix begins a value that is there for as long as Lag takes. No key-check
// value looks like it.
const markerPrefix = "doctor "

const lagPoll = 50 * time.Millisecond

// Lag writes a marker into the site's entry, waits until each read server shows it,
// and removes it. at is the write server's clock at the change, whole seconds; zero if
// it does not say. Errors: as RegisterKeyChecks.
func (s *Store) Lag(ctx context.Context, marker string, wait time.Duration) (seen []Seen, at time.Time, err error) {
	marker = markerPrefix + marker
	if err := s.RegisterKeyChecks(ctx, []string{marker}); err != nil {
		return nil, time.Time{}, err
	}
	defer func() { err = errors.Join(err, s.removeMarker(context.WithoutCancel(ctx), marker)) }()
	written := time.Now()
	at, _ = s.changedAt(ctx)
	for _, srv := range s.reads {
		seen = append(seen, s.await(ctx, srv, marker, written, wait))
	}
	return seen, at, nil
}

func (s *Store) await(ctx context.Context, srv *server, marker string, written time.Time, wait time.Duration) Seen {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		var list []string
		err := srv.service.do(ctx, s.deadline(ctx, 1), true, func(c *conn) (err error) {
			list, err = s.keyChecks(c)
			return err
		})
		if err != nil {
			return Seen{URI: srv.uri, Err: srv.explain(err)}
		}
		if slices.Contains(list, marker) {
			return Seen{URI: srv.uri, After: time.Since(written)}
		}
		select {
		case <-time.After(lagPoll):
		case <-ctx.Done():
			return Seen{URI: srv.uri, Err: fmt.Errorf("%s does not show a change after %v", srv.uri, wait)}
		}
	}
}

func (s *Store) removeMarker(ctx context.Context, marker string) error {
	req := ldap.NewModifyRequest(s.siteDN(), nil)
	req.Delete(keyCheck, []string{marker})
	return s.changeError(s.siteDN(), s.write(ctx, func(c *conn) error { return c.Modify(req) }))
}

// changedAt is modifyTimestamp of the site's entry (RFC 4512 section 3.4.2).
func (s *Store) changedAt(ctx context.Context) (at time.Time, err error) {
	err = s.readWriter(ctx, func(c *conn) error {
		e, err := baseSearch(c, s.siteDN(), "modifyTimestamp")
		if err != nil || e == nil {
			return err
		}
		at, _ = time.Parse("20060102150405Z", value(e, "modifyTimestamp"))
		return nil
	})
	return at, err
}

// ExposedTo tells what the owner of an account can do with what Postern keeps, logged
// in to the write server with the main password: nothing is right. Nothing is changed.
// Errors: account.ErrWrong, account.ErrUnavailable.
func (s *Store) ExposedTo(ctx context.Context, a *account.Account, password account.Secret) ([]string, error) {
	var found []string
	err := s.as(ctx, func(c *ldap.Conn) error { return c.Bind(a.DN, string(password.Reveal())) }, func(c *ldap.Conn) error {
		found = append(s.readable(c, a), s.writable(c, a)...)
		return nil
	})
	return found, err
}

// ExposedToAll is ExposedTo for somebody who does not log in.
func (s *Store) ExposedToAll(ctx context.Context) ([]string, error) {
	var found []string
	err := s.as(ctx, nil, func(c *ldap.Conn) error {
		found = s.searchable(c)
		return nil
	})
	return found, err
}

// as runs f on a connection of its own to the write server.
func (s *Store) as(ctx context.Context, login Login, f func(*ldap.Conn) error) error {
	c, err := s.writer.users.dial(ctx, s.deadline(ctx, 1))
	if err != nil {
		return err
	}
	defer c.discard()
	if login != nil {
		if err := login(c.Conn); ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return account.ErrWrong
		} else if err != nil {
			return s.writer.explain(err)
		}
	}
	return f(c.Conn)
}

// secretAttributes are those which nobody but Postern may see.
func secretAttributes() []string {
	list := []string{keyCheck}
	for _, k := range account.Kinds {
		list = append(list, k.Attribute())
	}
	return list
}

// searchable finds attributes of Postern's by a filter, anywhere.
func (s *Store) searchable(c *ldap.Conn) []string {
	var found []string
	for _, name := range secretAttributes() {
		for _, base := range []string{s.cfg.Base, s.cfg.PosternBase} {
			res, err := c.Search(&ldap.SearchRequest{BaseDN: base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 1,
				Filter: "(" + name + "=*)", Attributes: []string{"1.1"}})
			if res != nil && len(res.Entries) > 0 && (err == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded)) {
				found = append(found, "find entries by "+name+" below "+base)
			}
		}
	}
	return found
}

// readable is what c sees of the account's records: by reading, by comparing, by filter.
func (s *Store) readable(c *ldap.Conn, a *account.Account) []string {
	found := s.searchable(c)
	e, err := baseSearch(c, a.Holder, append(secretAttributes(), attrPolicy, attrClass)...)
	if err == nil && e != nil {
		for _, attribute := range e.Attributes {
			found = append(found, "read "+attribute.Name)
		}
	}
	for _, v := range a.Values(account.KindState) {
		if _, err := c.Compare(a.Holder, account.KindState.Attribute(), string(v.Stored)); err == nil {
			found = append(found, "compare "+account.KindState.Attribute())
		}
	}
	return found
}

// writable asks for changes that must fail: a server looks at access first, and then
// finds that a value to delete is not there.
func (s *Store) writable(c *ldap.Conn, a *account.Account) []string {
	var found []string
	for _, name := range append(secretAttributes(), attrPolicy, attrClass) {
		if name == keyCheck {
			continue // not an attribute of accounts
		}
		req := ldap.NewModifyRequest(a.Holder, nil)
		if name == attrPolicy || name == attrClass {
			req.Add(name, []string{"{}"})
		}
		req.Delete(name, []string{probeValue})
		err := c.Modify(req)
		if err == nil || ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultConstraintViolation,
			ldap.LDAPResultAttributeOrValueExists, ldap.LDAPResultObjectClassViolation) {
			found = append(found, "write "+name)
		}
	}
	return found
}

// ErrNotShown: the directory does not show its configuration to whoever asked.
var ErrNotShown = errors.New("the directory does not show its configuration")

// MissingIndexes lists attributes that Postern searches by and OpenLDAP has no index of,
// by its configuration (cn=config), which login must be allowed to read. Errors:
// ErrNotShown, account.ErrUnavailable.
func (s *Store) MissingIndexes(ctx context.Context, login Login) ([]string, error) {
	var missing []string
	err := s.as(ctx, login, func(c *ldap.Conn) error {
		res, err := c.Search(&ldap.SearchRequest{BaseDN: "cn=config", Scope: ldap.ScopeWholeSubtree,
			Filter: "(olcSuffix=*)", Attributes: []string{"olcSuffix", "olcDbIndex"}})
		if err != nil || len(res.Entries) == 0 {
			return ErrNotShown
		}
		missing = s.lacking(res.Entries)
		return nil
	})
	return missing, err
}

// lacking compares the indexes of the database that holds base with what searches need.
func (s *Store) lacking(databases []*ldap.Entry) []string {
	indexed := map[string]bool{}
	for _, e := range databases {
		if !strings.HasSuffix(strings.ToLower(s.cfg.Base), strings.ToLower(value(e, "olcSuffix"))) {
			continue
		}
		for _, v := range values(e, "olcDbIndex") {
			names, kinds, _ := strings.Cut(string(v), " ")
			for name := range strings.SplitSeq(names, ",") {
				indexed[strings.ToLower(name)] = kinds == "" || strings.Contains(kinds, "eq")
			}
		}
	}
	need := []string{"objectClass", s.cfg.IDAttribute, s.cfg.LoginAttribute}
	if s.cfg.Layout == LayoutSubtree {
		need = append(need, "posternHolderOf")
	}
	return slices.DeleteFunc(need, func(name string) bool { return indexed[strings.ToLower(name)] })
}

// Login identifies somebody on a new connection.
type Login func(*ldap.Conn) error

// External logs in by SASL EXTERNAL, as the system's user on ldapi://.
func External(c *ldap.Conn) error { return c.ExternalBind() }

// Simple logs in by a password.
func Simple(dn string, password account.Secret) Login {
	return func(c *ldap.Conn) error {
		if password.Empty() {
			return account.ErrWrong // would be anonymous
		}
		return c.Bind(dn, string(password.Reveal()))
	}
}

// Person is an account that an administrator makes for a while.
type Person struct {
	DN, Mail, UID string
	Hash          string // userPassword, hashed
}

// AddPerson adds an account, logged in as an administrator. Errors: account.ErrWrong,
// account.ErrUnavailable, and the directory's refusal.
func (s *Store) AddPerson(ctx context.Context, login Login, p Person) error {
	return s.as(ctx, login, func(c *ldap.Conn) error {
		req := ldap.NewAddRequest(p.DN, nil)
		req.Attribute("objectClass", []string{"inetOrgPerson"})
		for name, v := range map[string]string{"uid": p.UID, "cn": p.UID, "sn": p.UID, "mail": p.Mail,
			"userPassword": p.Hash, "description": "Made by posternctl doctor for a minute; delete it if you read this"} {
			req.Attribute(name, []string{v})
		}
		return c.Add(req)
	})
}

// RemovePerson removes an account that AddPerson made, and its records.
func (s *Store) RemovePerson(ctx context.Context, login Login, dn string) error {
	return s.as(ctx, login, func(c *ldap.Conn) error {
		err := c.Del(ldap.NewDelRequest(dn, nil))
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil
		}
		return err
	})
}

// RemoveHolder removes the records of an account whose own entry is gone (layout
// subtree). Errors: account.ErrUnknown if there are none.
func (s *Store) RemoveHolder(ctx context.Context, id account.ID) error {
	if s.cfg.Layout != LayoutSubtree {
		return account.ErrUnknown
	}
	dn := s.holderDN(id)
	err := s.write(ctx, func(c *conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return account.ErrUnknown
	}
	return s.changeError(dn, err)
}
