package ldapstore

import (
	"context"
	"errors"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// Erase removes all that Postern keeps of an account, its own policy and class among
// it, readable or not; the directory's own entry stays. With layout "entry" values that
// changed since a was read are a conflict. Errors: account.ErrConflict, and those of
// Apply.
func (s *Store) Erase(ctx context.Context, a *account.Account) error {
	if !a.HasHolder {
		return nil
	}
	if s.cfg.Layout == LayoutSubtree {
		err := s.RemoveHolder(ctx, a.ID)
		if errors.Is(err, account.ErrUnknown) { // gone already
			return nil
		}
		return err
	}
	req := ldap.NewModifyRequest(a.Holder, nil)
	for _, k := range account.Kinds {
		var stored []string
		for _, v := range a.Values(k) {
			stored = append(stored, string(v.Stored))
		}
		if len(stored) > 0 {
			req.Delete(k.Attribute(), stored)
		}
	}
	req.Replace(attrPolicy, nil)
	req.Replace(attrClass, nil)
	req.Delete("objectClass", []string{classAccount})
	err := s.write(ctx, func(c *conn) error { return c.Modify(req) })
	return s.modifyError(a.Holder, false, err)
}
