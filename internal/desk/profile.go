package desk

import (
	"context"
	"fmt"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

// FetchProfile notes that a device fetches the profile with an app password in it: once,
// whoever else asks. Errors: ErrNothing when it was fetched before,
// account.ErrNoRecord when there is no such app password any more, and those of every
// change.
func (d *Desk) FetchProfile(ctx context.Context, who Actor, user, id string) (AppPassword, error) {
	var fetched AppPassword
	o := order{who: who, user: user, action: effect.ProfileFetched, credential: "app:" + loggable(id)}
	_, err := d.commit(ctx, o, func(dr *draft) error {
		r, err := dr.account.Record(account.KindApp, id)
		if err != nil {
			return err
		}
		if !r.Live(dr.now) {
			return fmt.Errorf("app password %s has ended: %w", id, account.ErrNoRecord)
		}
		body, err := factor.DecodeAppPassword(r.Body)
		if err != nil {
			return err
		}
		if body.Fetched {
			return fmt.Errorf("%w: the profile was fetched before", ErrNothing)
		}
		body.Fetched = true
		now := r
		if now.Body, err = account.Encode(body); err != nil {
			return err
		}
		fetched = listedApp(dr.account, &r, &body)
		dr.swap(r, now)
		dr.event(effect.ProfileFetched, "app:"+id, "name "+r.Name)
		return nil
	})
	return fetched, err
}
