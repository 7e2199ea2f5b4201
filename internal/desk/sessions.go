package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
	"postern/internal/session"
)

// Device is a browser that is trusted at webmail.
type Device struct {
	ID, Name         string // Name: the browser's own, unless renamed
	Created, Expires time.Time
	Used             account.Use
	Via              string // what was proved when it was trusted: "totp:ID"
}

// Session is a session of webmail that goes on.
type Session struct {
	ID               string
	Client           string // hook client that it is of
	Strong           bool   // begun with a second factor, or a device that stood in for it
	Via              string // what began it: "main", "totp:ID", "device:ID"
	Created, Expires time.Time
	Used             account.Use
}

// devicesOf lists the devices that are trusted, the latest used first. Unreadable ones
// are left out and reported in the error.
func devicesOf(a *account.Account, eff policy.Effective, now time.Time) ([]Device, error) {
	records, err := a.Records(account.KindDevice)
	list := make([]Device, 0, len(records))
	for i := range records {
		r := &records[i]
		body, decodeErr := session.DecodeDevice(r.Body)
		err = errors.Join(err, decodeErr)
		if decodeErr == nil && body.Trusted(a, r, eff, now) {
			list = append(list, Device{ID: r.ID, Name: r.Name, Created: r.Created, Expires: r.Expires, Used: r.Used, Via: body.Via})
		}
	}
	slices.SortStableFunc(list, func(x, y Device) int { return y.Used.At.Compare(x.Used.At) })
	return list, err
}

// sessionsOf lists the sessions that go on, the latest used first. Unreadable ones are
// left out and reported in the error.
func sessionsOf(a *account.Account, eff policy.Effective, now time.Time) ([]Session, error) {
	records, err := a.Records(account.KindSession)
	list := make([]Session, 0, len(records))
	for i := range records {
		r := &records[i]
		body, decodeErr := session.Decode(r.Body)
		err = errors.Join(err, decodeErr)
		if decodeErr == nil && body.Alive(a, r, eff, now) {
			list = append(list, Session{ID: r.ID, Client: body.Client, Strong: body.Strong, Via: body.Via,
				Created: r.Created, Expires: r.Expires, Used: r.Used})
		}
	}
	slices.SortStableFunc(list, func(x, y Session) int { return y.Used.At.Compare(x.Used.At) })
	return list, err
}

// endSessions ends all sessions and devices, after newEpoch, but the session that the
// owner acts in. That one goes on in the new epoch; and as one begun with the
// credential that its owner has just proved in it, if via names one.
func (d *draft) endSessions(via string) Ended {
	own, body, ok := d.ownSession()
	if !ok {
		return d.end(Selector{Kinds: sessionKinds})
	}
	ended := d.end(Selector{Kinds: sessionKinds, But: own.ID})
	next := *d.account
	next.State = d.state
	body.Epoch = next.Epoch()
	if via != "" {
		body.Strong, body.Via = true, via
	}
	encoded, err := account.Encode(body)
	if err != nil {
		panic(err) // a struct of plain fields always encodes
	}
	kept := own
	kept.Body = encoded
	d.swap(own, kept)
	return ended
}

// ownSession is the session that the owner acts in, if it goes on.
func (d *draft) ownSession() (account.Record, session.Session, bool) {
	if d.who.Owner == nil || d.who.Session == "" {
		return account.Record{}, session.Session{}, false
	}
	r, err := d.account.Record(account.KindSession, d.who.Session)
	if err != nil {
		return r, session.Session{}, false
	}
	body, err := session.Decode(r.Body)
	return r, body, err == nil && r.Live(d.now) && !d.account.Void(&r, body.Epoch)
}

// endVouchedBy ends the devices that a credential vouched for, and the sessions that it
// or one of them did, each with an event of its own. The session that the owner acts in
// goes on.
func (d *draft) endVouchedBy(credential string) Ended {
	ended := make(Ended)
	vouched := []string{credential}
	for _, v := range d.account.Values(account.KindDevice) {
		r, err := d.open(account.KindDevice, v)
		if err != nil {
			continue
		}
		if body, err := session.DecodeDevice(r.Body); err == nil && body.Via == credential {
			vouched = append(vouched, account.Credential(r.Kind, r.ID))
			d.endWith(&r, effect.DeviceRemoved, ended)
		}
	}
	for _, v := range d.account.Values(account.KindSession) {
		r, err := d.open(account.KindSession, v)
		if err != nil || d.who.Owner != nil && r.ID == d.who.Session {
			continue
		}
		if body, err := session.Decode(r.Body); err == nil && slices.Contains(vouched, body.Via) {
			d.endWith(&r, effect.WebSessionEnded, ended)
		}
	}
	return ended
}

func (d *draft) endWith(r *account.Record, a effect.Action, ended Ended) {
	one := d.end(Selector{Kinds: []account.Kind{r.Kind}, ID: r.ID})
	if len(one) > 0 {
		ended.add(one)
		d.event(a, account.Credential(r.Kind, r.ID), "name "+r.Name)
	}
}

// RemoveDevice makes a trusted device an ordinary one, and ends the sessions that it
// vouched for. Errors: account.ErrNoRecord.
func (d *Desk) RemoveDevice(ctx context.Context, who Actor, user, id string) (Ended, error) {
	return d.endOne(ctx, order{who: who, user: user, action: effect.DeviceRemoved}, Ref{account.KindDevice, id})
}

// EndSession ends a session of webmail. Errors: account.ErrNoRecord, ErrNothing when it
// has ended before.
func (d *Desk) EndSession(ctx context.Context, who Actor, user, id string) (Ended, error) {
	return d.endOne(ctx, order{who: who, user: user, action: effect.WebSessionEnded}, Ref{account.KindSession, id})
}

// LogOut ends a session as its own webmail asks for, which closes its mail sessions by
// itself. One that is over already is no error.
func (d *Desk) LogOut(ctx context.Context, who Actor, user, id string) error {
	_, err := d.endOne(ctx, order{who: who, user: user, action: effect.LoggedOut}, Ref{account.KindSession, id})
	if errors.Is(err, ErrNothing) || errors.Is(err, account.ErrNoRecord) {
		return nil
	}
	return err
}

// endOne ends a device or session, and what it vouched for.
func (d *Desk) endOne(ctx context.Context, o order, ref Ref) (Ended, error) {
	var ended Ended
	o.credential = ref.logged()
	_, err := d.commit(ctx, o, func(dr *draft) error {
		r, err := dr.find(ref)
		if errors.Is(err, account.ErrNoRecord) {
			return err
		}
		if err == nil && !r.Ended.IsZero() {
			return fmt.Errorf("%w: it ended at %s", ErrNothing, r.Ended.UTC().Format(time.RFC3339))
		}
		ended = dr.end(Selector{Kinds: []account.Kind{ref.Kind}, ID: ref.ID})
		dr.event(o.action, ref.String(), "name "+r.Name)
		ended.add(dr.endVouchedBy(ref.String()))
		return nil
	})
	return ended, err
}

// RemoveAllDevices makes all trusted devices ordinary ones, and ends the sessions that
// they vouched for. Errors: ErrNothing if there is none.
func (d *Desk) RemoveAllDevices(ctx context.Context, who Actor, user string) (Ended, error) {
	var ended Ended
	_, err := d.commit(ctx, order{who: who, user: user, action: effect.DeviceRemoved}, func(dr *draft) error {
		ended = make(Ended)
		for _, v := range dr.account.Values(account.KindDevice) {
			ref := Ref{account.KindDevice, v.ID}
			ended.add(dr.end(Selector{Kinds: []account.Kind{ref.Kind}, ID: ref.ID}))
			dr.event(effect.DeviceRemoved, ref.String(), "")
			ended.add(dr.endVouchedBy(ref.String()))
		}
		if len(ended) == 0 {
			return fmt.Errorf("%w: %s has no trusted device", ErrNothing, dr.account.Name)
		}
		return nil
	})
	return ended, err
}

// EndAllSessions logs out of webmail everywhere: all its sessions end, that of the
// owner who asks for it among them, and no device is trusted any more. App passwords go
// on. Errors: account.ErrDamaged when State cannot be read.
func (d *Desk) EndAllSessions(ctx context.Context, who Actor, user string) (Changed, error) {
	return d.whole(ctx, order{who: who, user: user, action: effect.LoggedOutAll}, func(dr *draft) (Ended, error) {
		if err := intact(dr.account); err != nil {
			return nil, err
		}
		dr.newEpoch(func(*account.State) {})
		return dr.end(Selector{Kinds: sessionKinds}), nil
	})
}
