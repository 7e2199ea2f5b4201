package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
)

// Sweep is what a pass over all accounts does. Nobody else does: an account at which
// nothing happens is never written to.
//
// Each account is planned as it was listed, and only one with something to do is read
// from the write server, planned anew and written, like every change. So a sweep writes
// nothing that is as it should be, may be broken off and begun again, and several may run
// at the same time. A daemon without the keys of factors leaves their records alone.
type Sweep struct {
	// Keep is how long it is remembered what users did, and from where; 0: as long as
	// there is room. It counts in whole days (UTC), so that no account is written to
	// more than once a day for it.
	Keep time.Duration
	// Observed reports whether nothing is refused yet in a domain. Nil: nobody looks what
	// policy has come to refuse, for want of a way to end live sessions.
	Observed func(domain string, now time.Time) bool
	// MostEndings is how many accounts' live sessions end in one pass by what policy
	// refuses; the next pass goes on.
	MostEndings int
	DryRun      bool // change nothing
}

// Swept says what a Sweep did, or in a dry run would have done.
type Swept struct {
	Accounts   int // that have records
	Changed    int // of them
	Unreadable int // whose records do not match; they are left alone
	Busy       int // that others kept changing; the next sweep sees to them
	account.Forgotten
	Removed  Ended // records that were over
	Stopped  int   // app passwords that have expired
	Endings  int   // accounts whose live sessions end, because policy has come to refuse them
	Deferred int   // accounts beyond Sweep.MostEndings, left to the next pass
}

// String is the detail of the event.
func (s *Swept) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{s.Changed, "accounts changed"}, {s.Happenings, "happenings"}, {s.MainUses, "uses of main passwords"}, {s.Forgotten.Uses, "addresses of last uses"},
		{s.Browsers, "browsers"}, {s.Known, "known devices"}, {s.Bypasses, "bypasses"}, {s.Tokens, "enrolment tokens"}, {s.Removed.total(), "records that were over"},
		{s.Stopped, "app passwords that have expired"}, {s.Endings, "accounts whose live sessions end"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", p.what, p.n))
		}
	}
	return strings.Join(parts, ", ")
}

// sweeping is a Sweep under way.
type sweeping struct {
	*Desk
	Sweep
	who  Actor
	done Swept
}

// Sweep goes through all accounts that have records, and where live sessions can be ended
// through those that have none, as far as an error; what is returned beside it was done. One event tells of all that was deleted. Errors: account.ErrUnavailable,
// and those of the lister.
func (d *Desk) Sweep(ctx context.Context, who Actor, l Lister, s Sweep) (Swept, error) {
	w := &sweeping{Desk: d, Sweep: s, who: who, done: Swept{Removed: make(Ended)}}
	err := l.Each(ctx, func(a *account.Account) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.done.Accounts++
		return w.one(ctx, a)
	})
	if boxes, ok := l.(Mailboxes); err == nil && ok && s.Observed != nil {
		err = boxes.Mailboxes(ctx, "", func(a *account.Account) error {
			if a.HasHolder { // seen above
				return ctx.Err()
			}
			return errors.Join(ctx.Err(), w.one(ctx, a))
		})
	}
	if w.done.Changed > 0 && !s.DryRun {
		e := effect.Event{Time: d.Now(), Action: effect.Swept, Outcome: "done", Detail: w.done.String()}
		who.sign(&e)
		d.Recorder.Record(e)
	}
	return w.done, err
}

// one sweeps an account as it was listed.
func (w *sweeping) one(ctx context.Context, a *account.Account) error {
	if a.Damage() != nil {
		w.done.Unreadable++
		return nil //nolint:nilerr // it is counted
	}
	dr := &draft{account: a, who: w.who, now: w.Now(), state: a.State.Clone()}
	tally, work := w.plan(dr)
	switch {
	case !work && tally.Deferred > 0:
		w.done.Deferred++
		return nil
	case !work, a.DN == "": // a leaver's records: see posternctl leavers
		return nil
	case w.DryRun:
		w.done.add(&tally)
		return nil
	}
	return w.write(ctx, a)
}

func (w *sweeping) write(ctx context.Context, a *account.Account) error {
	var tally Swept
	_, err := w.commit(ctx, order{who: w.who, user: a.Name, target: a, action: effect.Swept}, func(dr *draft) error {
		work := false
		if dr.account.Damage() == nil {
			tally, work = w.plan(dr)
		}
		if !work {
			tally = Swept{}
			return errIdle
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrBusy):
		w.done.Busy++
		return nil
	case errors.Is(err, account.ErrUnknown): // gone meanwhile
		return nil
	case err == nil:
		w.done.add(&tally)
	}
	return err
}

// add counts what was done to one account, if anything.
func (s *Swept) add(one *Swept) {
	s.Changed += one.Changed
	s.Forgotten.Add(one.Forgotten)
	s.Removed.add(one.Removed)
	s.Stopped += one.Stopped
	s.Endings += one.Endings
	s.Deferred += one.Deferred
}

// plan drafts all that is to do at one account, and counts it; false: nothing is.
func (w *sweeping) plan(dr *draft) (one Swept, work bool) {
	one = Swept{Changed: 1, Removed: make(Ended)}
	dr.edits = append(dr.edits, dr.account.Overdue(dr.now)...)
	for _, e := range dr.edits {
		one.Removed[e.Was.Kind]++
	}
	if eff, err := dr.account.Policy.Resolve(); err == nil {
		one.Stopped = dr.stopApps(eff)
		w.tighten(dr, eff, &one)
	}
	if w.Keep > 0 {
		one.Forgotten = dr.forget(dr.now.UTC().Truncate(24 * time.Hour).Add(-w.Keep))
	}
	return one, len(dr.edits) > 0 || dr.touched
}

// forget deletes what is remembered of before a time. Records that cannot be opened are
// left to who has their keys.
func (d *draft) forget(before time.Time) account.Forgotten {
	f := d.state.Forget(before)
	d.touched = d.touched || f != account.Forgotten{}
	for _, k := range account.Kinds[1:] {
		for _, v := range d.account.Values(k) {
			was, err := d.account.Record(k, v.ID)
			if err != nil || d.edited(k, v) {
				continue
			}
			if now, old := was.ForgetUse(before); old {
				d.swap(was, now)
				f.Uses++
			}
		}
	}
	return f
}
