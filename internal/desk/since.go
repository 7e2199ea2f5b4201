package desk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/session"
)

// RevokedSince says what RevokeSince ended and left.
type RevokedSince struct {
	Changed
	// Factors is how many second factors are left; MustEnrol says that none is, though
	// one was there: 2FA stays on, and the account's owner must enrol anew.
	Factors   int
	MustEnrol bool
}

// RevokeSince ends what an intruder may have made or used since a time: app passwords,
// sessions and trusted devices that were made or used since then, second factors and
// backup codes that were made since then, and whatever those vouched for. It is the
// answer to credentials that leaked at a known time: what is older and was not used
// goes on. A use counts from an hour before, as uses are written down once an hour.
// 2FA is never switched off. Errors: ErrInvalid for a time that is zero or to come,
// ErrForbidden for owners, ErrNothing, account.ErrDamaged.
func (d *Desk) RevokeSince(ctx context.Context, who Actor, user string, since time.Time) (RevokedSince, error) {
	var r RevokedSince
	changed, err := d.whole(ctx, order{who: who, user: user, action: effect.RevokedSince}, func(dr *draft) (Ended, error) {
		switch {
		case who.Owner != nil:
			return nil, fmt.Errorf("%w: only an administrator revokes by time", ErrForbidden)
		case since.IsZero() || since.After(dr.now):
			return nil, fmt.Errorf("%w: the time to revoke from must have passed", ErrInvalid)
		}
		if err := intact(dr.account); err != nil {
			return nil, err
		}
		var ended Ended
		ended, r = dr.revokeSince(since, d.tokenLife())
		return ended, dr.maySince(ctx, ended)
	})
	token := r.Token
	r.Changed = changed
	r.Token = token
	if err != nil {
		return RevokedSince{}, err
	}
	return r, nil
}

// maySince: who may only revoke must not remove factors by way of a time.
func (d *draft) maySince(ctx context.Context, ended Ended) error {
	if ended.total() == 0 && len(d.events) == 0 {
		return fmt.Errorf("%w: %s has nothing that was made or used since then", ErrNothing, d.account.Name)
	}
	for _, k := range slices.Concat(factorKinds, recoverKinds) {
		if ended[k] > 0 {
			return d.who.may(ctx, admin.RemoveFactor, d.account)
		}
	}
	return nil
}

func (d *draft) revokeSince(since time.Time, life time.Duration) (Ended, RevokedSince) {
	d.forgetKnown()
	gone := d.since(factorKinds, since)
	ended := d.end(Selector{Kinds: slices.Concat(factorKinds, recoverKinds), Since: since, Made: true})
	gone = append(gone, d.since(sessionKinds, since)...)
	ended.add(d.end(Selector{Kinds: slices.Concat(appKinds, sessionKinds), Since: since}))
	if b := d.account.State.Bypass; b != nil && !b.From.Before(since) {
		d.endBypass()
	}
	for _, ref := range gone {
		if action, ok := removed[ref.Kind]; ok {
			d.event(action, ref.String(), "made since "+since.UTC().Format(time.RFC3339))
			d.clearFailures(ref.Kind)
		}
		ended.add(d.endVouchedBy(ref.String()))
	}
	left := RevokedSince{Factors: countFactors(d.account) - ended.factors()}
	switch {
	case ended.factors() > 0 && left.Factors == 0:
		left.MustEnrol = true
		more, token := d.lastGone(BackupLeft(d.account) > 0 && ended[account.KindBackup] == 0, life)
		ended.add(more)
		left.Token = token
	case ended.total() > 0:
		d.carryOn()
	}
	return ended, left
}

// since lists the factors that were made, and the devices and sessions that were made or
// used, since a time: what else they let in is to end with them.
func (d *draft) since(kinds []account.Kind, since time.Time) []Ref {
	var list []Ref
	for _, k := range kinds {
		for _, v := range d.account.Values(k) {
			r, err := d.open(k, v)
			if err != nil || touchedSince(&r, Selector{Since: since, Made: k.IsFactor()}) {
				list = append(list, Ref{k, v.ID})
			}
		}
	}
	return list
}

// touchedSince reports whether the record was made, or used, since a time. An hour is
// how rarely a use is written down.
func touchedSince(r *account.Record, s Selector) bool {
	return !r.Created.Before(s.Since) || !s.Made && !r.Used.At.Before(s.Since.Add(-account.UseEvery))
}

// carryOn begins a new epoch, by which read servers show that they have the change,
// and takes the sessions and devices along that go on.
func (d *draft) carryOn() {
	d.newEpoch(func(*account.State) {})
	next := *d.account
	next.State = d.state
	for _, k := range sessionKinds {
		for _, v := range d.account.Values(k) {
			r, err := d.open(k, v)
			if err != nil || d.edited(k, v) || !r.Live(d.now) {
				continue
			}
			if body, ok := d.inEpoch(&r, next.Epoch()); ok {
				moved := r
				moved.Body = body
				d.swap(r, moved)
			}
		}
	}
}

// inEpoch is the body of a session or device in another epoch; false if it is void, or
// cannot be read.
func (d *draft) inEpoch(r *account.Record, epoch int64) ([]byte, bool) {
	var body any
	if r.Kind == account.KindDevice {
		b, err := session.DecodeDevice(r.Body)
		if err != nil || d.account.Void(r, b.Epoch) {
			return nil, false
		}
		b.Epoch = epoch
		body = b
	} else {
		b, err := session.Decode(r.Body)
		if err != nil || d.account.Void(r, b.Epoch) {
			return nil, false
		}
		b.Epoch = epoch
		body = b
	}
	encoded, err := account.Encode(body)
	return encoded, err == nil
}
