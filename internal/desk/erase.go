package desk

import (
	"context"
	"errors"
	"fmt"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
)

// eraser is a store that can forget an account.
type eraser interface {
	Erase(ctx context.Context, a *account.Account) error
}

// Erased says what Erase removed, of whom.
type Erased struct {
	User    string
	Records int
	// Required says that policy demands 2FA all the same: the account must enrol as a new one.
	Required bool
}

// Erase removes all that is kept about an account; afterwards it is as one that was
// never seen, and its main password opens mail unless policy demands 2FA. It needs a
// reason where 2FA is on or demanded. Live sessions end. The audit log keeps its lines.
// Errors: ErrInvalid without that reason, ErrForbidden for owners, ErrNothing.
func (d *Desk) Erase(ctx context.Context, who Actor, user, reason string) (Erased, error) {
	o := order{who: who, user: user, action: effect.Erased}
	var (
		a   *account.Account
		err error
	)
	for try := range attempts {
		a, err = d.eraseOnce(ctx, o, reason)
		if !errors.Is(err, account.ErrConflict) {
			break
		}
		err = ErrBusy
		if !pause(ctx, try) {
			break
		}
	}
	if err != nil {
		d.recordFailure(o, a, err)
		return Erased{}, err
	}
	gone := Erased{User: a.Name, Required: required(a)}
	for _, k := range account.Kinds {
		gone.Records += len(a.Values(k))
	}
	after := *a
	after.State = account.State{} // no epoch is left for a read server to show
	d.record(o, &after, effect.Event{Action: effect.Erased, Outcome: "done", Detail: "reason: " + reason})
	return gone, nil
}

func (d *Desk) eraseOnce(ctx context.Context, o order, reason string) (*account.Account, error) {
	a, err := d.read(ctx, o.user)
	if err != nil {
		return nil, err
	}
	store, ok := d.Store.(eraser)
	switch {
	case o.who.Owner != nil:
		return a, fmt.Errorf("%w: only an administrator erases an account", ErrForbidden)
	case !ok:
		return a, fmt.Errorf("%w: this store erases nothing", ErrInvalid)
	}
	if err := o.who.may(ctx, admin.Erase, a); err != nil {
		return a, err
	}
	if err := mayErase(a, reason); err != nil {
		return a, err
	}
	return a, store.Erase(ctx, a)
}

func mayErase(a *account.Account, reason string) error {
	records := 0
	for _, k := range account.Kinds {
		records += len(a.Values(k))
	}
	if records == 0 && a.Class == "" && a.StateRecord == nil && a.Damage() == nil {
		return fmt.Errorf("%w: nothing is kept about %s", ErrNothing, a.Name)
	}
	if reason == "" && !a.TwoFactor() && !required(a) {
		return nil
	}
	if _, err := checkReason(reason); err != nil {
		return fmt.Errorf("%w: two-factor login of %s is on or demanded: %w", ErrInvalid, a.Name, err)
	}
	return nil
}

// Exported is all that is kept about an account, without what anything is checked by.
type Exported struct {
	Account *account.Account
	Records []account.Record // of all kinds but State, over or not; without Body and Stored
	Bodies  []map[string]any // what is kept besides, of each of Records: see ExportFields
	Apps    []AppPassword
	// Unreadable is what could not be read, and is left out; nil: nothing.
	Unreadable error
}

// Export reads all that is kept about an account. It is audited. Errors: those of Look.
func (d *Desk) Export(ctx context.Context, who Actor, user string) (Exported, error) {
	o := order{who: who, user: user, action: effect.Exported}
	a, err := d.look(ctx, o, admin.Erase)
	if err != nil {
		return Exported{}, err
	}
	x := Exported{Account: a}
	var errs []error
	for _, k := range account.Kinds[1:] {
		list, err := a.Records(k)
		errs = append(errs, err)
		for _, r := range list {
			body, err := bodyOf(&r)
			errs = append(errs, err)
			x.Bodies = append(x.Bodies, ExportFields(body))
			r.Body, r.Stored = nil, nil
			x.Records = append(x.Records, r)
		}
	}
	x.Apps, err = appsOf(a)
	x.Unreadable = errors.Join(append(errs, err, a.Damage())...)
	d.record(o, a, effect.Event{Action: effect.Exported, Outcome: "done"})
	return x, nil
}
