package ldapstore

import (
	"context"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/seal"
)

// Bound returns the account a with the records that are bound to its former key old: they
// are in its entry (layout "entry"), or in the entry of that key (layout "subtree").
// Rebind seals them for the key that it has now. Errors: account.ErrNoRecord when there is nothing to
// rebind; account.ErrAmbiguous when records of both keys are there; account.ErrDamaged
// when the records are not bound to old either; account.ErrUnavailable.
func (s *Store) Bound(ctx context.Context, a *account.Account, old account.ID) (*account.Account, error) {
	fresh, err := s.Read(ctx, a)
	if err != nil {
		return nil, err
	}
	own := len(fresh.Values(account.KindState)) > 0
	if own && fresh.Damage() == nil {
		if s.cfg.Layout == LayoutSubtree {
			return nil, s.bothKeys(ctx, old)
		}
		return nil, fmt.Errorf("the records are bound to the account's key: %w", account.ErrNoRecord)
	}
	if s.cfg.Layout == LayoutSubtree && !fresh.HasHolder {
		if err := s.attachHolder(ctx, fresh, old); err != nil {
			return nil, err
		}
	}
	values := make(map[account.Kind][]account.Value)
	for _, k := range account.Kinds {
		values[k] = fresh.Values(k)
	}
	fresh.Attach(values, seal.BoundTo{Ring: s.ring, ID: old})
	if len(values[account.KindState]) == 0 {
		return nil, fmt.Errorf("there are no records of the key %s: %w", old, account.ErrNoRecord)
	}
	if err := fresh.Damage(); err != nil {
		return nil, fmt.Errorf("these records are not bound to the key %s: %w", old, err)
	}
	return fresh, nil
}

// bothKeys: the account has sound records of its own. Those of the former key, if any,
// must not take their place.
func (s *Store) bothKeys(ctx context.Context, old account.ID) error {
	e, err := s.holderOf(ctx, old)
	switch {
	case err != nil:
		return err
	case e != nil:
		return fmt.Errorf("there are records of the account's key and of its former one: %w", account.ErrAmbiguous)
	}
	return fmt.Errorf("the records are bound to the account's key: %w", account.ErrNoRecord)
}

func (s *Store) holderOf(ctx context.Context, id account.ID) (*ldap.Entry, error) {
	var e *ldap.Entry
	err := s.readWriter(ctx, func(c *conn) (err error) {
		e, err = baseSearch(c, s.holderDN(id), s.holder...)
		return absent(err)
	})
	return e, err
}

// attachHolder gives an account the values of the entry of another key.
func (s *Store) attachHolder(ctx context.Context, a *account.Account, old account.ID) error {
	e, err := s.holderOf(ctx, old)
	if err != nil {
		return err
	}
	if e == nil {
		return fmt.Errorf("there are no records of the key %s: %w", old, account.ErrNoRecord)
	}
	a.HasHolder, a.Holder = true, e.DN
	a.Attach(sealed(e), s.ring)
	return nil
}

// Rebind seals the records of an account as Bound returned it for the key that it has
// now, in one Modify. With layout "subtree" their entry is renamed first: interrupted in
// between, the account counts as damaged, and the next Rebind goes on. Errors:
// account.ErrConflict and those of Apply.
func (s *Store) Rebind(ctx context.Context, a *account.Account) error {
	var edits []account.Edit
	for _, k := range account.Kinds {
		if k == account.KindState {
			continue
		}
		for _, v := range a.Values(k) {
			was, err := a.Record(k, v.ID)
			if err != nil {
				return err
			}
			now := was
			now.Stored = nil
			edits = append(edits, account.Edit{Was: &was, Now: &now})
		}
	}
	state, err := a.StateEdit(a.State.Clone(), s.now())
	if err != nil {
		return err
	}
	if err := s.renameHolder(ctx, a); err != nil {
		return err
	}
	return s.Apply(ctx, a, append(edits, state...)...)
}

func (s *Store) renameHolder(ctx context.Context, a *account.Account) error {
	if s.cfg.Layout != LayoutSubtree || a.Holder == s.holderDN(a.ID) {
		return nil
	}
	req := ldap.NewModifyDNRequest(a.Holder, "posternHolderOf="+ldap.EscapeDN(string(a.ID)), true, "")
	if err := s.write(ctx, func(c *conn) error { return c.ModifyDN(req) }); err != nil {
		return s.addError(s.holderDN(a.ID), err)
	}
	a.Holder = s.holderDN(a.ID)
	return nil
}
