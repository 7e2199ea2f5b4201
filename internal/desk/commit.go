package desk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/factor"
)

// order is a change that somebody asks for.
type order struct {
	who    Actor
	user   string           // as typed
	target *account.Account // the account itself, where it was found already; nil: by user
	action effect.Action    // what a failure is recorded as
	// credential is what the change is about, "totp:ID", where that is known before.
	credential string
}

// draft is a change in the making, on an account as just read.
type draft struct {
	account *account.Account
	who     Actor
	now     time.Time
	state   account.State // to be changed in place; Members are the store's
	touched bool          // state was changed
	edits   []account.Edit
	events  []effect.Event // recorded after the commit
}

func (d *draft) add(r account.Record) { d.edits = append(d.edits, account.Edit{Now: &r}) }

func (d *draft) remove(r account.Record) { d.edits = append(d.edits, account.Edit{Was: &r}) }

func (d *draft) swap(was, now account.Record) {
	d.edits = append(d.edits, account.Edit{Was: &was, Now: &now})
}

func (d *draft) event(a effect.Action, credential, detail string) {
	d.events = append(d.events, effect.Event{Action: a, Credential: credential, Detail: detail})
}

// setState lets f change the account's State.
func (d *draft) setState(f func(*account.State)) {
	f(&d.state)
	d.touched = true
}

const (
	attempts   = 8 // of one change, while others are faster
	retryPause = 40 * time.Millisecond
)

// commit reads the account, lets plan draft the change, and applies it; all of it
// again when somebody else was faster. plan must have no effects of its own. The
// events of the draft are recorded once the change is stored; otherwise one event
// says that it was refused or could not be made.
func (d *Desk) commit(ctx context.Context, o order, plan func(*draft) error) (*account.Account, error) {
	var (
		acct *account.Account
		err  error
	)
	for try := range attempts {
		var dr *draft
		dr, err = d.draft(ctx, o, plan)
		if dr != nil {
			acct = dr.account
		}
		if err == nil {
			err = d.apply(ctx, dr)
		}
		if err == nil {
			d.recordAll(o, dr)
			return acct, nil
		}
		if errors.Is(err, errIdle) {
			return acct, nil
		}
		if !errors.Is(err, account.ErrConflict) || errors.Is(err, ErrChanged) {
			break
		}
		err = ErrBusy
		if !pause(ctx, try) {
			break
		}
	}
	d.recordFailure(o, acct, err)
	return acct, err
}

// errIdle is a plan's answer that there is nothing to change, and nothing to tell.
var errIdle = errors.New("nothing to change")

// draft reads the account and makes the draft; the draft is nil if there is no account.
func (d *Desk) draft(ctx context.Context, o order, plan func(*draft) error) (*draft, error) {
	a, err := d.meant(ctx, o)
	if err != nil {
		return nil, err
	}
	dr := &draft{account: a, who: o.who, now: d.Now(), state: a.State.Clone()}
	if err := o.who.may(ctx, rights[o.action], a); err != nil {
		return dr, err
	}
	if err := plan(dr); err != nil {
		return dr, err
	}
	// Nobody but who makes changes sees to what is over (FEATURES E8).
	dr.edits = append(dr.edits, a.Overdue(dr.now, dr.edits...)...)
	dr.remember()
	return dr, nil
}

// meant reads the account that an order is about: an owner's own, or the one that was
// found already, by its key.
func (d *Desk) meant(ctx context.Context, o order) (*account.Account, error) {
	switch {
	case o.who.Owner != nil:
		return d.Store.Read(ctx, o.who.Owner)
	case o.target != nil:
		return d.Store.Read(ctx, o.target)
	}
	return d.read(ctx, o.user)
}

func (d *Desk) apply(ctx context.Context, dr *draft) error {
	err := d.Store.Apply(ctx, dr.account, dr.all()...)
	if errors.Is(err, account.ErrUnavailable) {
		return fmt.Errorf("%w; whether the change was made is not known, look at the account before trying again", err)
	}
	return err
}

// all returns the draft's edits, that of State among them if it was changed.
func (d *draft) all() []account.Edit {
	edits := d.edits
	if d.touched {
		edits = append(slices.Clip(edits), d.stateEdit())
	}
	return edits
}

// stateEdit swaps State as it is stored, readable or not.
func (d *draft) stateEdit() account.Edit {
	body, err := account.Encode(d.state)
	if err != nil {
		panic(err) // a struct of plain fields always encodes
	}
	now := account.Record{Kind: account.KindState, ID: "state", Created: d.now, Body: body}
	was := d.account.StateRecord
	if was != nil {
		now.Created = was.Created
	} else if stored := d.account.Values(account.KindState); len(stored) > 0 {
		was = &account.Record{Kind: account.KindState, ID: stored[0].ID, Stored: stored[0].Stored}
	}
	return account.Edit{Was: was, Now: &now}
}

// pause waits a random while, longer with every try; false means that ctx ended.
func pause(ctx context.Context, try int) bool {
	t := time.NewTimer(rand.N(retryPause * time.Duration(try+1))) //nolint:gosec // not a secret
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// remember completes the events, and notes in State what the account's owner is to be
// told. A State that does not match its records is left alone: to swap it would seal
// the damage.
func (d *draft) remember() {
	for i := range d.events {
		e := &d.events[i]
		e.Outcome, e.Time, e.Account, e.Name = "done", d.now, d.account.ID, d.nameOf(e.Credential)
		d.who.sign(e)
		h, tell := e.Happening()
		if tell && (d.touched || d.account.Damage() == nil) {
			d.setState(func(s *account.State) { s.Note(h, effect.Ordinary) })
		}
	}
	if d.touched && d.state.Known.Stale(d.now) {
		d.state.Known = nil
	}
	if d.touched && d.state.PasswordSeen == 0 {
		d.state.PasswordSeen = d.account.PasswordStamp() // so that the next change is news
	}
}

// nameOf is the name of a credential that the draft changes.
func (d *draft) nameOf(credential string) string {
	for _, e := range d.edits {
		for _, r := range []*account.Record{e.Now, e.Was} {
			if r != nil && account.Credential(r.Kind, r.ID) == credential {
				return r.Name
			}
		}
	}
	return ""
}

// sign says in an event who made the change, and where from.
func (a *Actor) sign(e *effect.Event) {
	e.Actor, e.ByOwner, e.Client, e.Agent = a.Name, a.Owner != nil, a.Addr, a.Agent
}

func (d *Desk) recordAll(o order, dr *draft) {
	for _, e := range dr.events {
		d.record(o, dr.account, e)
	}
}

func (d *Desk) recordFailure(o order, a *account.Account, err error) {
	outcome, reason := failure(err)
	d.record(o, a, effect.Event{Action: o.action, Outcome: outcome, Reason: reason, Credential: o.credential})
}

// failure is how an event tells that a change was not made.
func failure(err error) (outcome, reason string) {
	reason = reasonOf(err)
	if reason == reasonUnavailable || reason == reasonBusy {
		return "unavailable", reason
	}
	return "refused", reason
}

func (d *Desk) record(o order, a *account.Account, e effect.Event) {
	o.who.sign(&e)
	e.Time, e.User = d.Now(), loggable(o.user)
	if a == nil {
		a = o.who.Owner
	}
	if a != nil {
		e.User, e.Account, e.Domain, e.Epoch = a.Name, a.ID, a.Domain, a.State.Epoch
	}
	d.Recorder.Record(e)
}

// The closed set of reasons in events of changes that were not made.
const (
	reasonUnavailable = "directory_unavailable"
	reasonBusy        = "busy"
	reasonOther       = "error"
)

var reasons = []struct {
	err    error
	reason string
}{
	{account.ErrUnknown, "unknown_user"},
	{account.ErrAmbiguous, "ambiguous_user"},
	{account.ErrNoRecord, "no_such_record"},
	{account.ErrDamaged, "damaged"},
	{factor.ErrEnrolToken, "enrolment_token"},
	{ErrChanged, "account_changed"},
	{admin.ErrForbidden, "forbidden"},
	{ErrForbidden, "forbidden_by_policy"},
	{ErrMaximum, "maximum"},
	{ErrInvalid, "invalid"},
	{ErrNothing, "nothing_to_do"},
	{ErrBusy, reasonBusy},
	{account.ErrUnavailable, reasonUnavailable},
	{context.Canceled, reasonUnavailable},
	{context.DeadlineExceeded, reasonUnavailable},
}

func reasonOf(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return reasonOther
}

// looksLikeCredential: a password pasted where the name belongs. It is neither
// looked up nor logged.
func looksLikeCredential(name string) bool { return factor.Loggable(name) != name }

func loggable(name string) string { return effect.Clean(factor.Loggable(name)) }
