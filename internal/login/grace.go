package login

import (
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

// needsFactor reports whether the main password alone must not be enough: by the
// account's own records, or because policy demands a factor and the grace is over.
func needsFactor(a *account.Account, eff policy.Effective, now time.Time) bool {
	if a.SwitchedOff {
		return false
	}
	return a.TwoFactor() || eff.TwoFactor == policy.Mandatory && !now.Before(GraceEnds(a, eff, now))
}

// mustEnrol reports whether the account's owner is to enrol at the next sign-in at
// webmail: after a reset, or because policy demands a factor.
func mustEnrol(a *account.Account, eff policy.Effective) bool {
	if a.State.Enrolled || a.Damage() != nil {
		return false
	}
	return a.State.MustEnrol || eff.TwoFactor == policy.Mandatory
}

// GraceEnds is when an account without a factor, under a mandatory policy, may no
// longer go without: grace after the policy's own date, or else after the account
// was first seen under it. One that was not seen yet is seen now.
func GraceEnds(a *account.Account, eff policy.Effective, now time.Time) time.Time {
	start := eff.GraceStart
	if start.IsZero() {
		start = a.State.GraceStart
	}
	if start.IsZero() {
		start = now
	}
	return start.Add(eff.Grace)
}

// noteGrace begins the grace of an account that is seen under a mandatory policy for
// the first time.
func (g *Gate) noteGrace(a *account.Account, eff policy.Effective) {
	if eff.TwoFactor == policy.Mandatory && eff.Grace > 0 && eff.GraceStart.IsZero() &&
		a.State.GraceStart.IsZero() && !a.TwoFactor() {
		g.touches.grace(a, g.now())
	}
}
