package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// Ping reports whether a read server answers: what readiness means. Errors:
// account.ErrUnavailable.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(c *conn) error { return ping(c.Conn) })
}

// Diagnose looks for everything that would keep Postern from working with the
// directory: server by server whether it can be reached and logged in to, whether
// both bases exist and the schema is loaded, and whether the service account may
// write what it must. It changes nothing. The error holds one line per problem,
// each saying what to do.
func (s *Store) Diagnose(ctx context.Context) error {
	var errs []error
	for _, srv := range s.servers() {
		errs = append(errs, s.diagnoseServer(ctx, srv))
	}
	return errors.Join(errs...)
}

// servers lists each server once.
func (s *Store) servers() []*server {
	if slices.Contains(s.reads, s.writer) {
		return s.reads
	}
	return append(s.reads[:len(s.reads):len(s.reads)], s.writer)
}

func (s *Store) diagnoseServer(ctx context.Context, srv *server) error {
	var problems []error
	err := srv.service.do(ctx, s.deadline(ctx, 1), true, func(c *conn) error {
		problems = problems[:0]
		for _, check := range s.checks(srv) {
			problem, err := check(c.Conn)
			if err != nil {
				return err
			}
			if problem != nil {
				problems = append(problems, fmt.Errorf("%s: %w", srv.uri, problem))
			}
		}
		return nil
	})
	if err != nil {
		problems = append(problems, srv.explain(err))
	}
	return errors.Join(problems...)
}

// check looks at one thing. err means that the server did not answer as it should,
// so that going on makes no sense.
type check func(*ldap.Conn) (problem, err error)

func (s *Store) checks(srv *server) []check {
	list := []check{
		baseExists(s.cfg.Base, "check directory.base, and that the service account may see it"),
		baseExists(s.cfg.PosternBase, "create it, see contrib/slapd/postern-base.ldif, or check directory.postern_base"),
		s.schemaLoaded, s.policiesReadable,
	}
	if srv == s.writer {
		list = append(list, s.mayWriteRecords, s.mayWriteSite)
	}
	return list
}

func baseExists(dn, hint string) check {
	return func(c *ldap.Conn) (error, error) {
		e, err := baseSearch(c, dn, "1.1")
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) || err == nil && e == nil {
			return &SetupError{fmt.Sprintf("base %s does not exist: %s", dn, hint), err}, nil
		}
		return nil, err
	}
}

// schemaLoaded reads the schema the server publishes (RFC 4512 section 4.4).
func (s *Store) schemaLoaded(c *ldap.Conn) (problem, err error) {
	root, err := baseSearch(c, "", "subschemaSubentry")
	if err != nil || root == nil || value(root, "subschemaSubentry") == "" {
		return nil, err // AD's root DSE names another entry; then only writing tells
	}
	schema, err := baseSearch(c, value(root, "subschemaSubentry"), "attributeTypes", "objectClasses")
	if err != nil || schema == nil {
		return nil, err
	}
	if len(values(schema, "attributeTypes")) == 0 {
		return nil, nil // not shown to us
	}
	known := make(map[string]bool)
	for _, attribute := range []string{"attributeTypes", "objectClasses"} {
		for _, v := range values(schema, attribute) {
			collectNames(known, string(v))
		}
	}
	var missing []string
	for _, name := range append(schemaNames(), classAccount, classHolder, classSite, classPolicy) {
		if !known[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return &SetupError{"the schema lacks " + strings.Join(missing, ", ") + ": " + loadSchema, nil}, nil
	}
	return nil, nil
}

// schemaNames are the attributes that Postern reads or writes.
func schemaNames() []string {
	names := []string{attrPolicy, attrClass, "posternHolderOf", keyCheck}
	for _, k := range account.Kinds {
		names = append(names, k.Attribute())
	}
	return names
}

// collectNames finds Postern's names in a definition: NAME 'x' or NAME ( 'x' 'y' ).
func collectNames(known map[string]bool, definition string) {
	if !strings.Contains(definition, "'postern") {
		return
	}
	for i, part := range strings.Split(definition, "'") {
		if i%2 == 1 && strings.HasPrefix(part, "postern") {
			known[part] = true
		}
	}
}

// policiesReadable looks for policies that cannot be read, contradict each other, or
// are nobody's.
func (s *Store) policiesReadable(c *ldap.Conn) (problem, err error) {
	site, err := s.searchPolicies(c)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil, nil // baseExists has said so
	}
	if err != nil {
		return nil, err
	}
	problems := site.Check()
	for _, l := range site.Levels() {
		if layer, _ := site.Layer(l); layer.Err != nil {
			problems = append(problems, fmt.Errorf("the policy of %s cannot be read, and its accounts cannot log in: %w", l, layer.Err))
		}
	}
	for _, dn := range site.Stray {
		problems = append(problems, fmt.Errorf("%s is nobody's policy: its name must be cn=domain NAME or cn=class NAME", dn))
	}
	if len(problems) == 0 {
		return nil, nil
	}
	return &SetupError{strings.ReplaceAll(errors.Join(problems...).Error(), "\n", "; "), nil}, nil
}

// probeValue is never stored: no sealed record looks like it.
const probeValue = "postern access probe"

// mayWriteRecords asks the server to delete values that no entry has. A server
// looks at access first: one that grants it answers "no such attribute", and one
// that does not says so. Nothing is changed either way.
func (s *Store) mayWriteRecords(c *ldap.Conn) (problem, err error) {
	dn := s.cfg.PosternBase
	if s.cfg.Layout == LayoutEntry {
		if dn, err = s.someUser(c); err != nil || dn == "" {
			return nil, err
		}
	}
	req := ldap.NewModifyRequest(dn, nil)
	if s.cfg.Layout == LayoutEntry {
		req.Add("objectClass", []string{classAccount})
	}
	for _, k := range account.Kinds {
		req.Delete(k.Attribute(), []string{probeValue})
	}
	return s.probe(c, req)
}

func (s *Store) mayWriteSite(c *ldap.Conn) (problem, err error) {
	req := ldap.NewModifyRequest(s.siteDN(), nil)
	req.Delete(keyCheck, []string{probeValue})
	return s.probe(c, req)
}

// probe sends a Modify that must fail, and tells why it did.
func (s *Store) probe(c *ldap.Conn, req *ldap.ModifyRequest) (problem, err error) {
	err = c.Modify(req)
	switch {
	case err == nil:
		return fmt.Errorf("%s had a value %q, which is gone now", req.DN, probeValue), nil
	case !answered(err):
		return nil, err
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultAttributeOrValueExists, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultUndefinedAttributeType, ldap.LDAPResultInvalidAttributeSyntax, ldap.LDAPResultObjectClassViolation):
		return nil, nil // schemaLoaded has said so
	default:
		return s.changeError(req.DN, err), nil
	}
}

// someUser is the DN of any user; "" if there is none.
func (s *Store) someUser(c *ldap.Conn) (string, error) {
	res, err := c.Search(&ldap.SearchRequest{
		BaseDN: s.cfg.Base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 1,
		Filter: "(" + s.cfg.LoginAttribute + "=*)", Attributes: []string{"1.1"},
	})
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultNoSuchObject) {
		err = nil
	}
	if err != nil || len(res.Entries) == 0 {
		return "", err
	}
	return res.Entries[0].DN, nil
}
