package ldapstore

import (
	"context"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// Person is an account that an administrator makes for a while.
type Person struct {
	DN, Mail, UID string
	Hash          string // userPassword, hashed
}

// PersonPrefix begins the uid of every Person.
const PersonPrefix = "postern-canary-"

// madeForAMinute marks those entries for whoever finds one.
const madeForAMinute = "Made by posternctl doctor for a minute; delete it if you read this"

// AddPerson adds an account, logged in as an administrator. Errors: account.ErrWrong,
// account.ErrUnavailable, and the directory's refusal.
func (s *Store) AddPerson(ctx context.Context, login Login, p Person) error {
	return s.as(ctx, s.writer, login, func(c *ldap.Conn) error {
		req := ldap.NewAddRequest(p.DN, nil)
		req.Attribute("objectClass", []string{"inetOrgPerson"})
		for name, v := range map[string]string{"uid": p.UID, "cn": p.UID, "sn": p.UID, "mail": p.Mail,
			"userPassword": p.Hash, "description": madeForAMinute} {
			req.Attribute(name, []string{v})
		}
		return c.Add(req)
	})
}

// LeftPerson is one that is still there.
type LeftPerson struct {
	DN   string
	Made time.Time // by the directory's clock; zero if it does not say
}

// LeftPersons finds whom AddPerson made, below base and not deeper: those of a run that
// goes on elsewhere among them. Errors: account.ErrUnavailable.
func (s *Store) LeftPersons(ctx context.Context, base string) ([]LeftPerson, error) {
	var left []LeftPerson
	err := s.as(ctx, s.writer, s.cfg.login, func(c *ldap.Conn) error {
		res, err := c.Search(&ldap.SearchRequest{BaseDN: base, Scope: ldap.ScopeSingleLevel,
			Filter: "(uid=" + PersonPrefix + "*)", Attributes: []string{"uid", "description", "createTimestamp"}})
		if err != nil {
			return s.writer.explain(err)
		}
		for _, e := range res.Entries {
			if value(e, "description") != madeForAMinute || !strings.HasPrefix(value(e, "uid"), PersonPrefix) {
				continue // somebody else's, whatever its name
			}
			at, _ := time.Parse(generalizedTime, value(e, "createTimestamp"))
			left = append(left, LeftPerson{e.DN, at})
		}
		return nil
	})
	return left, err
}

// RemovePerson removes an account that AddPerson made, and its records.
func (s *Store) RemovePerson(ctx context.Context, login Login, dn string) error {
	return s.as(ctx, s.writer, login, func(c *ldap.Conn) error {
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

// KeyOf is the key of the account whose entry has that name on the write server. Errors:
// account.ErrUnknown, account.ErrUnavailable.
func (s *Store) KeyOf(ctx context.Context, dn string) (account.ID, error) {
	var e *ldap.Entry
	err := s.readWriter(ctx, func(c *conn) (err error) {
		e, err = baseSearch(c, dn, s.cfg.IDAttribute)
		return absent(err)
	})
	if err != nil {
		return "", err
	}
	if e == nil {
		return "", account.ErrUnknown
	}
	return s.key(e)
}
