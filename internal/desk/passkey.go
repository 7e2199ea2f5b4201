package desk

import (
	"context"
	"errors"
	"fmt"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

// SetPasswordless switches on or off that a passkey may sign in alone. Errors:
// ErrNothing when it is so already; ErrForbidden when policy has no sign-in without
// password; account.ErrNoRecord, and those of every change.
func (d *Desk) SetPasswordless(ctx context.Context, who Actor, user, id string, on bool) error {
	o := order{who: who, user: user, action: effect.PasswordlessSet, credential: Ref{account.KindPasskey, id}.logged()}
	_, err := d.commit(ctx, o, func(dr *draft) error { return dr.setPasswordless(id, on) })
	return err
}

func (d *draft) setPasswordless(id string, on bool) error {
	if err := intact(d.account); err != nil {
		return err
	}
	ref := Ref{account.KindPasskey, id}
	was, err := d.find(ref)
	if err != nil {
		return err
	}
	body, err := factor.DecodePasskey(was.Body)
	if err != nil {
		return err
	}
	eff, err := d.account.Policy.Resolve()
	switch {
	case err != nil:
		return fmt.Errorf("%w: the policy cannot be read: %w", ErrForbidden, err)
	case on && !eff.Passwordless:
		return fmt.Errorf("%w: sign-in without password is switched off by the policy of %s (passwordless)", ErrForbidden, eff.Origin["passwordless"])
	case body.Passwordless == on:
		return fmt.Errorf("%w: it is so already", ErrNothing)
	}
	body.Passwordless = on
	now := was
	if now.Body, err = account.Encode(body); err != nil {
		return err
	}
	d.swap(was, now)
	d.event(effect.PasswordlessSet, ref.logged(), map[bool]string{true: "on", false: "off"}[on])
	return nil
}

// Passkey is a passkey or security key of an account.
type Passkey struct {
	Factor
	RPID         string // relying party
	Passwordless bool   // may sign in alone
}

// ListPasskeys lists the account's passkeys. Unreadable ones are left out and reported
// in the error, beside the list.
func (d *Desk) ListPasskeys(ctx context.Context, user string) ([]Passkey, error) {
	a, err := d.read(ctx, user)
	if err != nil {
		return nil, err
	}
	records, err := a.Records(account.KindPasskey)
	list := make([]Passkey, 0, len(records))
	for _, r := range records {
		body, decodeErr := factor.DecodePasskey(r.Body)
		if decodeErr != nil {
			err = errors.Join(err, decodeErr)
			continue
		}
		list = append(list, Passkey{Factor{Ref{r.Kind, r.ID}, r.Name, r.Created, r.Used}, body.RPID, body.Passwordless})
	}
	return list, err
}
