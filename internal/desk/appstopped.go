package desk

import (
	"context"
	"fmt"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
)

// stopApps notes which app passwords have stopped to work since somebody looked, each
// once, and which work again because policy has changed; it returns how many stopped.
// Whether they work nobody asks the note.
func (d *draft) stopApps(eff policy.Effective) (stopped int) {
	for _, v := range d.account.Values(account.KindApp) {
		was, err := d.account.Record(account.KindApp, v.ID)
		if err != nil || d.edited(account.KindApp, v) || !was.Ended.IsZero() {
			continue
		}
		now := was
		at, unused := was.StopsAt(eff)
		switch over := over(at, d.now); {
		case over && was.Stopped.IsZero():
			now.Stopped = d.now
			d.tellStopped(&was, at, unused)
			stopped++
		case !over && !was.Stopped.IsZero():
			now.Stopped = time.Time{}
		default:
			continue
		}
		d.swap(was, now)
	}
	return stopped
}

func (d *draft) tellStopped(r *account.Record, at time.Time, unused bool) {
	reason := effect.ReasonExpired
	if unused {
		reason = effect.ReasonUnused
	}
	d.events = append(d.events, effect.Event{Action: effect.AppPasswordStopped, Reason: reason, At: at,
		Credential: account.Credential(r.Kind, r.ID), Detail: fmt.Sprintf("name %s, since %s", r.Name, at.UTC().Format(time.RFC3339))})
}

// RenewAppPassword lets an app password work again that has expired, or that nobody used
// for too long. It is as if it was made now: policy must allow one, for as long as it was
// made for, and RevokeSince ends it as one that was made now. Errors: account.ErrNoRecord;
// ErrNothing if it works; ErrInvalid for a revoked one; and those of CreateAppPassword.
func (d *Desk) RenewAppPassword(ctx context.Context, who Actor, user, id string) (AppPassword, error) {
	var renewed AppPassword
	o := order{who: who, user: user, action: effect.AppPasswordRenewed, credential: "app:" + loggable(id)}
	_, err := d.commit(ctx, o, func(dr *draft) (err error) {
		renewed, err = dr.renewAppPassword(id)
		return err
	})
	if err != nil {
		return AppPassword{}, err
	}
	return renewed, nil
}

func (d *draft) renewAppPassword(id string) (AppPassword, error) {
	if err := intact(d.account); err != nil {
		return AppPassword{}, err
	}
	if err := d.noPanel(); err != nil {
		return AppPassword{}, err
	}
	was, body, err := d.stoppedApp(id)
	if err != nil {
		return AppPassword{}, err
	}
	eff, err := d.mayCreate()
	if err != nil {
		return AppPassword{}, err
	}
	if err := mayScope(&body, eff); err != nil {
		return AppPassword{}, err
	}
	if was.AppLive(eff, d.now) {
		return AppPassword{}, fmt.Errorf("%w: app password %s works", ErrNothing, id)
	}
	now := was
	if !was.Expires.IsZero() {
		now.Expires = d.now.Add(was.Expires.Sub(was.Created))
	}
	now.Created, now.Stopped = d.now, time.Time{}
	d.swap(was, now)
	d.event(effect.AppPasswordRenewed, account.Credential(was.Kind, id), "name "+was.Name)
	return listedApp(d.account, &now, &body), nil
}

// stoppedApp reads an app password that was not revoked.
func (d *draft) stoppedApp(id string) (account.Record, factor.AppPassword, error) {
	r, err := d.account.Record(account.KindApp, id)
	if err != nil {
		return r, factor.AppPassword{}, fmt.Errorf("app password %q: %w", loggable(id), err)
	}
	if !r.Ended.IsZero() {
		return r, factor.AppPassword{}, fmt.Errorf("%w: app password %s was revoked on %s; make a new one", ErrInvalid, id, r.Ended.UTC().Format(time.RFC3339))
	}
	body, err := factor.DecodeAppPassword(r.Body)
	return r, body, err
}
