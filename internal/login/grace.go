package login

import (
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/policy"
)

// needsFactor is account.NeedsFactor.
func needsFactor(a *account.Account, eff policy.Effective, now time.Time) bool {
	return a.NeedsFactor(eff, now)
}

// mustEnrol reports whether the account's owner is to enrol at the next sign-in at
// webmail, with nothing but the password to prove: after a reset, because policy demands
// a factor, or because no factor and no backup code is left. Nobody owns a service
// account.
func mustEnrol(a *account.Account, eff policy.Effective) bool {
	switch {
	case eff.ServiceAccount || a.Damage() != nil:
		return false
	case a.State.Enrolled:
		return factorless(a, eff) && desk.BackupLeft(a) == 0
	}
	return a.State.MustEnrol || eff.TwoFactor == policy.Mandatory
}

// GraceEnds is account.GraceEnds.
func GraceEnds(a *account.Account, eff policy.Effective, now time.Time) time.Time {
	return a.GraceEnds(eff, now)
}

// noteGrace begins the grace of an account that is seen under a mandatory policy for
// the first time.
func (g *Gate) noteGrace(a *account.Account, eff policy.Effective) {
	if eff.TwoFactor == policy.Mandatory && !eff.ServiceAccount && eff.Grace > 0 && eff.GraceStart.IsZero() &&
		a.State.GraceStart.IsZero() && !a.TwoFactor() {
		g.touches.grace(a, g.now())
	}
}

// noWebmail reports whether nobody signs in at webmail: a service account is no person.
// While Postern is switched off, it is as any other.
func noWebmail(a *account.Account, eff policy.Effective) bool {
	return eff.ServiceAccount && !a.SwitchedOff
}
