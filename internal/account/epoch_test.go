package account_test

import (
	"testing"
	"time"

	"postern/internal/account"
)

// TestAttack36_Void: what is left of sessions and trusted devices after a change of
// the password, or of the epoch. The change was in the second from noon on.
func TestAttack36_Void(t *testing.T) {
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	with := func(epoch int64, changed time.Time) *account.Account {
		a := attach(t, &account.State{Epoch: epoch})
		a.PasswordChanged = changed
		return a
	}
	changed := noon.Add(time.Second - time.Microsecond)
	before, after, unknown := with(7, noon.Add(-time.Hour)), with(7, changed), with(7, time.Time{})
	for name, row := range map[string]struct {
		at    *account.Account // as it was at the sign-in
		made  time.Time        // the record, by another clock than the directory's
		now   *account.Account
		ended bool
	}{
		"no change":                                {before, noon.Add(-time.Minute), before, false},
		"an hour before":                           {before, noon.Add(-time.Hour), after, true},
		"in the same second, before":               {before, noon.Add(100 * time.Millisecond), after, true},
		"in the same second, after":                {after, noon.Add(900 * time.Millisecond), after, false},
		"before, by a clock that is ahead":         {before, noon.Add(time.Minute), after, true},
		"after, by a clock that is behind":         {after, noon.Add(-time.Minute), after, false},
		"a newer epoch":                            {after, noon.Add(time.Minute), with(8, changed), true},
		"an older epoch, after a restore":          {after, noon.Add(time.Minute), with(6, changed), true},
		"an older password, after a restore":       {after, noon.Add(time.Minute), before, true},
		"changes are not known":                    {unknown, noon, unknown, false},
		"changes are not known, a newer epoch":     {unknown, noon, with(8, time.Time{}), true},
		"first known change, later":                {unknown, noon.Add(-time.Second), after, true},
		"first known change, in the same second":   {unknown, noon.Add(500 * time.Millisecond), after, true},
		"first known change, long before":          {unknown, noon.Add(time.Second), after, false},
		"changed nobody knows when":                {before, noon.Add(-time.Minute), with(7, account.Sometime()), true},
		"changed nobody knows when, not known yet": {unknown, noon.Add(-time.Minute), with(7, account.Sometime()), true},
		"begun with one that must be changed":      {with(7, account.Sometime()), noon, after, true},
		"still to be changed":                      {with(7, account.Sometime()), noon, with(7, account.Sometime()), false},
		"the directory tells no more":              {after, noon.Add(time.Minute), unknown, true},
		"the state cannot be read":                 {with(0, time.Time{}), noon, attach(t, nil), true},
	} {
		r := &account.Record{Kind: account.KindSession, Created: row.made}
		if name == "the state cannot be read" {
			row.now.HasHolder = true
			row.now.Attach(nil, plain{})
		}
		if got := row.now.Void(r, row.at.Epoch()); got != row.ended {
			t.Errorf("%s: ended %v", name, got)
		}
	}
}

// The epoch raised in the very second of a change is not taken for the one before.
func TestAttack36_EpochAndPasswordTogether(t *testing.T) {
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	a := attach(t, &account.State{})
	a.PasswordChanged = noon.Add(time.Second - time.Microsecond)
	r := &account.Record{Created: noon.Add(time.Hour)}
	begun := a.Epoch()
	b := attach(t, &account.State{Epoch: a.State.NextEpoch(noon)})
	for _, b.PasswordChanged = range []time.Time{a.PasswordChanged, {}, noon} {
		if !b.Void(r, begun) {
			t.Errorf("with a password of %v it goes on", b.PasswordChanged)
		}
	}
}

func TestPredatesPassword(t *testing.T) {
	changed := time.Date(2026, 6, 1, 23, 59, 59, 999999000, time.UTC) // some time of that day
	a := &account.Account{}
	r := &account.Record{Created: changed}
	if a.PredatesPassword(r) {
		t.Error("without a known change")
	}
	a.PasswordChanged = changed
	if !a.PredatesPassword(r) {
		t.Error("made on the day of the change: nobody knows which was first")
	}
	r.Created = changed.Add(time.Microsecond)
	if a.PredatesPassword(r) {
		t.Error("made on the day after")
	}
}
