package account

import (
	"slices"
	"time"
)

// How long records stay that are over, and how many of a kind there may be.
const (
	// KeepEndedApp is how long a revoked or expired app password stays, so that a later
	// try with it is known for what it is (FEATURES P4).
	KeepEndedApp = 90 * 24 * time.Hour
	// KeepEndedSession is how long an ended session stays: longer than a transaction
	// lives, so that a repeated exchange cannot begin it anew.
	KeepEndedSession = 15 * time.Minute
	// MaxSessions and MaxDevices bound what one account can make the directory store.
	MaxSessions = 50
	MaxDevices  = 25
)

// upkeep says of a kind how long a record stays when it is over, and how many there
// may be; 0 is no bound.
var upkeep = []struct {
	kind Kind
	keep time.Duration
	most int
}{
	{KindApp, KeepEndedApp, 0},
	{KindDevice, 0, MaxDevices},
	{KindSession, KeepEndedSession, MaxSessions},
}

// Overdue returns the edits that remove what nobody needs any more: whoever writes to
// an account adds them to the write, and no cron job has to (FEATURES E8). Besides
// records that are over these are, of sessions and trusted devices, the longest unused
// beyond the most there may be, those that planned adds among them. It leaves alone
// the records that planned is about, those that cannot be read, and everything on an
// account whose records do not match.
func (a *Account) Overdue(now time.Time, planned ...Edit) []Edit {
	if a.Damage() != nil {
		return nil
	}
	var edits []Edit
	for _, u := range upkeep {
		var live, ended []Record
		for _, v := range a.values[u.kind] {
			r, err := a.Record(u.kind, v.ID)
			switch {
			case err != nil || concerns(planned, &r):
			case r.over(now, u.keep) || a.unusedLong(&r, now, u.keep):
				edits = append(edits, Edit{Was: &r})
			case r.Ended.IsZero():
				live = append(live, r)
			default:
				ended = append(ended, r)
			}
		}
		if u.most > 0 {
			edits = append(edits, beyond(live, u.most-added(planned, u.kind))...)
			edits = append(edits, beyond(ended, u.most)...)
		}
	}
	return edits
}

// over reports whether the record ended or expired, and that keep ago.
func (r *Record) over(now time.Time, keep time.Duration) bool {
	past := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) >= keep }
	return past(r.Ended) || past(r.Expires)
}

// lastTouched is when something last happened to the record.
func (r *Record) lastTouched() time.Time {
	return slices.MaxFunc([]time.Time{r.Created, r.Used.At, r.Ended}, time.Time.Compare)
}

// beyond removes the longest unused of too many.
func beyond(list []Record, most int) []Edit {
	slices.SortStableFunc(list, func(x, y Record) int { return y.lastTouched().Compare(x.lastTouched()) })
	var edits []Edit
	for i := max(most, 0); i < len(list); i++ {
		edits = append(edits, Edit{Was: &list[i]})
	}
	return edits
}

func concerns(planned []Edit, r *Record) bool {
	return slices.ContainsFunc(planned, func(e Edit) bool {
		return e.Was != nil && e.Was.Kind == r.Kind && e.Was.ID == r.ID
	})
}

// added counts the live records of a kind that are there once planned is done, those
// left out of Overdue's own count.
func added(planned []Edit, k Kind) int {
	n := 0
	for _, e := range planned {
		if e.Now != nil && e.Now.Kind == k && e.Now.Ended.IsZero() {
			n++
		}
	}
	return n
}
