package ldapstore

import (
	"context"
	"slices"

	"github.com/go-ldap/ldap/v3"
)

// RemoveKeyChecks removes key-check values, of keys that are retired: a program that
// still seals with one of them does not start any more. Those that are not there are
// left out. Errors: a *SetupError; account.ErrUnavailable.
func (s *Store) RemoveKeyChecks(ctx context.Context, checks []string) error {
	var known []string
	err := s.readWriter(ctx, func(c *conn) (err error) {
		known, err = s.keyChecks(c)
		return err
	})
	if err != nil {
		return err
	}
	there := slices.DeleteFunc(slices.Clone(checks), func(v string) bool { return !slices.Contains(known, v) })
	if len(there) == 0 {
		return nil
	}
	req := ldap.NewModifyRequest(s.siteDN(), nil)
	req.Delete(keyCheck, there)
	return s.changeError(s.siteDN(), s.write(ctx, func(c *conn) error { return c.Modify(req) }))
}
