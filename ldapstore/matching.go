package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// ErrFilter: a text that is no LDAP filter.
var ErrFilter = errors.New("not an LDAP filter")

// Matching is Mailboxes of those accounts that a filter of an administrator matches, too.
// It is no template: nothing in it is replaced, and it can only narrow what user_filter
// finds. With layout "subtree" it sees the user's own entry, not the records. Errors:
// ErrFilter, and those of Mailboxes.
func (s *Store) Matching(ctx context.Context, domain, filter string, f func(*account.Account) error) error {
	filter = strings.TrimSpace(filter)
	if err := checkFilter(filter); err != nil {
		return err
	}
	return s.eachMailbox(ctx, "(&"+s.mailboxFilter(domain)+filter+")", f)
}

// checkFilter wants one filter in parentheses (RFC 4515 section 3): one that is put beside
// another must not end before its own end.
func checkFilter(filter string) error {
	if !strings.HasPrefix(filter, "(") {
		return fmt.Errorf("%w: %q does not begin with a parenthesis, as (ou=students) does", ErrFilter, filter)
	}
	if _, err := ldap.CompileFilter(filter); err != nil {
		return fmt.Errorf("%w: %q: %s", ErrFilter, filter, reasonOfFilter(err))
	}
	return nil
}

// reasonOfFilter is the library's reason without its prefix.
func reasonOfFilter(err error) string {
	var e *ldap.Error
	if errors.As(err, &e) && e.Err != nil {
		return strings.TrimPrefix(e.Err.Error(), "ldap: ")
	}
	return err.Error()
}
