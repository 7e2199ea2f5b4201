package account

import (
	"time"

	"postern/internal/policy"
)

// Access is what of an account policy refuses or excuses, by no change of the account
// itself. A sweep keeps it in State and compares: what began while more was allowed ends.
type Access uint8

// What there is to compare. What the account's own records refuse is not among it: whoever
// changes those ends what began before.
const (
	MainRefused Access = 1 << iota // no main password, though the account has no factor
	MainExcused                    // the main password alone, though it must not be enough: observed
	AppsRefused                    // none of the app passwords that it has
	AllRefused                     // disabled in the directory
)

// AccessOf is what holds for the account now; observed says that its domain is.
func (a *Account) AccessOf(eff policy.Effective, now time.Time, observed bool) Access {
	if a.Status == Disabled {
		return AllRefused
	}
	var seen Access
	switch needs := a.NeedsFactor(eff, now); {
	case needs && observed:
		seen |= MainExcused
	case needs && !a.TwoFactor():
		seen |= MainRefused
	}
	if !eff.AppPasswords && a.worksBy(KindApp, now) {
		seen |= AppsRefused
	}
	return seen
}

// worksBy reports whether the account has a record of a kind that would work.
func (a *Account) worksBy(k Kind, now time.Time) bool {
	for _, v := range a.values[k] {
		if r, err := a.Record(k, v.ID); err == nil && r.Live(now) {
			return true
		}
	}
	return false
}

// Tightened reports whether less is allowed now than was seen before; needs says that the
// main password alone must not be enough.
func (was Access) Tightened(now Access, needs bool) bool {
	refused := now &^ MainExcused
	excused := was&MainExcused != 0 && now&MainExcused == 0
	return refused&^was != 0 || excused && needs
}
