package account

import (
	"time"

	"postern/internal/policy"
)

// UnusedEnds is when an app password expires unless it is used before; zero: never. It
// is counted from the last use, or else from its creation. Last uses are written once an
// hour at most, so it may come up to an hour early. Those of service accounts never do:
// a scanner may stand still for a year.
func (r *Record) UnusedEnds(eff policy.Effective) time.Time {
	if eff.AppPasswordUnusedDays <= 0 || eff.ServiceAccount {
		return time.Time{}
	}
	last := r.Created
	if r.Used.At.After(last) {
		last = r.Used.At
	}
	return last.Add(time.Duration(eff.AppPasswordUnusedDays) * 24 * time.Hour)
}

// StopsAt is when an app password stops to work: when it expires, or nobody has used it
// for too long, whichever comes first; zero: never.
func (r *Record) StopsAt(eff policy.Effective) (at time.Time, unused bool) {
	end := r.UnusedEnds(eff)
	if !end.IsZero() && (r.Expires.IsZero() || end.Before(r.Expires)) {
		return end, true
	}
	return r.Expires, false
}

// AppLive is Live of an app password under a policy: one that nobody used for too long
// has expired.
func (r *Record) AppLive(eff policy.Effective, now time.Time) bool {
	end := r.UnusedEnds(eff)
	return r.Live(now) && (end.IsZero() || now.Before(end))
}

// unusedLong reports whether an app password expired unused, and keep ago. Under a policy
// that cannot be read none has.
func (a *Account) unusedLong(r *Record, now time.Time, keep time.Duration) bool {
	eff, err := a.Policy.Resolve()
	if err != nil || r.Kind != KindApp {
		return false
	}
	end := r.UnusedEnds(eff)
	return !end.IsZero() && now.Sub(end) >= keep
}
