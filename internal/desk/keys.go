package desk

import (
	"context"
	"errors"
	"fmt"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
)

// Reseal seals anew, with the keys that seal now, the records of an account that old says
// are sealed with another. Nothing else of them changes. It returns how many there were.
// Errors: admin.ErrForbidden, account.ErrDamaged, ErrBusy, account.ErrUnavailable.
func (d *Desk) Reseal(ctx context.Context, who Actor, a *account.Account, old func(account.Kind, []byte) bool) (int, error) {
	if !who.root {
		return 0, fmt.Errorf("%w: keys are for who runs the command", admin.ErrForbidden)
	}
	for try := range attempts {
		fresh, err := d.Store.Read(ctx, a)
		if err != nil {
			return 0, err
		}
		edits, err := resealed(fresh, d, old)
		if err != nil || len(edits) == 0 {
			return 0, err
		}
		err = d.Store.Apply(ctx, fresh, edits...)
		if err == nil {
			return len(edits), nil
		}
		if !errors.Is(err, account.ErrConflict) {
			return 0, err
		}
		if !pause(ctx, try) {
			break
		}
	}
	return 0, ErrBusy
}

func resealed(a *account.Account, d *Desk, old func(account.Kind, []byte) bool) ([]account.Edit, error) {
	if err := a.Damage(); err != nil {
		return nil, err
	}
	var edits []account.Edit
	for _, k := range account.Kinds {
		for _, v := range a.Values(k) {
			if k == account.KindState || !old(k, v.Stored) {
				continue
			}
			was, err := a.Record(k, v.ID)
			if err != nil {
				return nil, err
			}
			now := was
			now.Stored = nil
			edits = append(edits, account.Edit{Was: &was, Now: &now})
		}
	}
	if r := a.StateRecord; r != nil && old(account.KindState, r.Stored) {
		state, err := a.StateEdit(a.State.Clone(), d.Now())
		if err != nil {
			return nil, err
		}
		edits = append(edits, state...)
	}
	return edits, nil
}

// KeysChanged records what was done with the site's keys.
func (d *Desk) KeysChanged(who Actor, detail string) {
	d.record(order{who: who}, nil, effect.Event{Action: effect.KeysChanged, Outcome: "done", Detail: detail})
}

// Rebinder is a store whose accounts can have got other keys; package ldapstore's is one.
type Rebinder interface {
	Bound(ctx context.Context, a *account.Account, old account.ID) (*account.Account, error)
	Rebind(ctx context.Context, a *account.Account) error
}

// Rebind gives an account the records that are bound to its former key. Errors: ErrNothing
// when there are none or it has them already; account.ErrAmbiguous, ErrDamaged,
// ErrConflict, ErrUnavailable; admin.ErrForbidden.
func (d *Desk) Rebind(ctx context.Context, who Actor, a *account.Account, old account.ID) error {
	o := order{who: who, user: a.Name, action: effect.Rebound}
	store, ok := d.Store.(Rebinder)
	if !ok || !who.root {
		return fmt.Errorf("%w: keys are for who runs the command", admin.ErrForbidden)
	}
	bound, err := store.Bound(ctx, a, old)
	if err == nil {
		err = store.Rebind(ctx, bound)
	}
	if errors.Is(err, account.ErrNoRecord) {
		return fmt.Errorf("%w: %w", ErrNothing, err)
	}
	if err != nil {
		d.recordFailure(o, a, err)
		return err
	}
	d.record(o, bound, effect.Event{Action: effect.Rebound, Outcome: "done", Detail: "from key " + string(old)})
	return nil
}
