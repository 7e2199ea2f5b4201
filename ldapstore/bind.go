package ldapstore

import (
	"context"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// Bind implements account.Store: it asks the directory whether the password is
// right, by a simple bind as a.DN. Only the answers that are about the password
// are account.ErrWrong; everything else, a lock-out that the server reports with
// another code included, is account.ErrUnavailable: could not check.
//
// A password is sent to a second server only if the first was not reached: a bind
// without an answer may have been counted against the account.
func (s *Store) Bind(ctx context.Context, a *account.Account, password account.Secret) error {
	if password.Empty() {
		return account.ErrWrong // RFC 4513 section 5.1.2: would be an anonymous bind
	}
	if a.DN == "" {
		return fmt.Errorf("the account has no DN: %w", account.ErrUnavailable) // an anonymous bind, too
	}
	list := s.candidates()
	last := unavailable(ctx.Err())
	for i, srv := range list {
		if ctx.Err() != nil {
			return unavailable(ctx.Err())
		}
		sent, err := srv.bind(ctx, s.deadline(ctx, len(list)-i), a.DN, password)
		if sent {
			return err
		}
		last = err
	}
	return last
}

// bind checks a password on one server. sent reports whether it may have left.
func (s *server) bind(ctx context.Context, deadline time.Time, dn string, password account.Secret) (sent bool, err error) {
	var wrong bool
	err = s.users.do(ctx, deadline, false, func(c *conn) error {
		sent = true
		err := c.Bind(dn, string(password.Reveal()))
		wrong = ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication)
		if err != nil && !wrong {
			return fmt.Errorf("%w: %w", errDoubt, err)
		}
		return nil
	})
	s.note(err)
	if wrong {
		return true, account.ErrWrong
	}
	return sent, s.explain(err)
}
