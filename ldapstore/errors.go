package ldapstore

import (
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// SetupError is a fault that an administrator has to mend: Problem is one line
// that says what and how. It wraps account.ErrUnavailable.
type SetupError struct {
	Problem string
	Err     error // the directory's answer; may be nil
}

func (e *SetupError) Error() string { return e.Problem }

// Unwrap makes errors.Is find account.ErrUnavailable.
func (e *SetupError) Unwrap() []error {
	if e.Err == nil {
		return []error{account.ErrUnavailable}
	}
	return []error{account.ErrUnavailable, e.Err}
}

// errDoubt marks an answer after which the connection is not to be used again.
var errDoubt = errors.New("unexpected answer")

// answered reports whether err is the server's own answer. The library numbers
// its own errors from 200.
func answered(err error) bool {
	var e *ldap.Error
	return errors.As(err, &e) && e.ResultCode < ldap.ErrorNetwork
}

// keeps reports whether the connection is still good after err.
func keeps(err error) bool { return err == nil || answered(err) && !errors.Is(err, errDoubt) }

// down reports whether err speaks against the server rather than the request.
func down(err error) bool {
	return err != nil && (!answered(err) || ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable))
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", account.ErrUnavailable, err) }

const (
	loadSchema = "load contrib/slapd/postern.ldif (389-ds: contrib/389ds/99postern.ldif)"
	noSchema   = "the directory does not know Postern's attributes and classes: " + loadSchema
	seeACL     = "see contrib/slapd/postern-acl.ldif"
)

// modifyError maps the answer to a Modify of the entry dn. With first, the Modify
// was to add what has one value, such as the account's first State.
func (s *Store) modifyError(dn string, first bool, err error) error {
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultAttributeOrValueExists, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultAssertionFailed),
		// Two first writes: the loser would make it have two values.
		first && ldap.IsErrorWithCode(err, ldap.LDAPResultConstraintViolation):
		return fmt.Errorf("%w: %w", account.ErrConflict, err)
	default:
		return s.changeError(dn, err)
	}
}

// addError maps the answer to an Add of the entry dn below Postern's base.
func (s *Store) addError(dn string, err error) error {
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists):
		return fmt.Errorf("%w: %w", account.ErrConflict, err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return s.noPosternBase(err)
	default:
		return s.changeError(dn, err)
	}
}

func (s *Store) noPosternBase(err error) error {
	return &SetupError{s.cfg.PosternBase + " does not exist: create it, see contrib/slapd/postern-base.ldif, or check directory.postern_base", err}
}

// changeError maps what is the same for every change. What the directory said
// stays readable for logs by errors.As.
func (s *Store) changeError(dn string, err error) error {
	problem := ""
	switch {
	case err == nil || errors.Is(err, account.ErrUnavailable):
		return err
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultUndefinedAttributeType, ldap.LDAPResultInvalidAttributeSyntax, ldap.LDAPResultObjectClassViolation,
		ldap.LDAPResultInvalidDNSyntax): // of posternHolderOf=…
		problem = noSchema
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights):
		problem = "the service account may not write Postern's attributes on " + dn + ": " + seeACL
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		problem = s.writer.uri + " is a read-only replica: set directory.write_uri to the server that takes changes"
	default:
		return s.writer.explain(err)
	}
	return &SetupError{problem, err}
}
