package account

import (
	"time"

	"postern/internal/policy"
)

// NeedsFactor reports whether the main password alone must not be enough: by the
// account's own records, because policy demands a factor and the grace is over, or
// because policy makes it a service account, which has app passwords only.
func (a *Account) NeedsFactor(eff policy.Effective, now time.Time) bool {
	if a.SwitchedOff {
		return false
	}
	return eff.ServiceAccount || a.TwoFactor() || eff.TwoFactor == policy.Mandatory && !now.Before(a.GraceEnds(eff, now))
}

// GraceEnds is when an account without a factor, under a mandatory policy, may no
// longer go without: grace after the policy's own date, or else after the account
// was first seen under it. One that was not seen yet is seen now.
func (a *Account) GraceEnds(eff policy.Effective, now time.Time) time.Time {
	start := eff.GraceStart
	if start.IsZero() {
		start = a.State.GraceStart
	}
	if start.IsZero() {
		start = now
	}
	return start.Add(eff.Grace)
}
