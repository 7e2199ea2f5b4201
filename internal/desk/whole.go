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
)

// Changed says what a change of a whole account ended and left.
type Changed struct {
	User  string
	Ended Ended
	// AppPasswords is how many app passwords still work.
	AppPasswords int
	// Required says that policy demands 2FA all the same: the main password stays refused.
	Required bool
	// Token is what the account's owner needs to enrol anew, after a Reset under a
	// policy that asks for it. Show it once.
	Token EnrolToken
}

// DisableTwoFactor switches 2FA off: factors, backup codes, devices and sessions
// end, the main password opens mail again. App passwords are kept. Errors:
// ErrNothing if it is off, ErrForbidden for owners whom policy does not let,
// account.ErrDamaged.
func (d *Desk) DisableTwoFactor(ctx context.Context, who Actor, user string) (Changed, error) {
	return d.whole(ctx, order{who: who, user: user, action: effect.TwoFactorOff}, func(dr *draft) (Ended, error) {
		if err := intact(dr.account); err != nil {
			return nil, err
		}
		if !dr.account.TwoFactor() {
			return nil, fmt.Errorf("%w: two-factor login is off for %s", ErrNothing, dr.account.Name)
		}
		if err := dr.mayDisable(); err != nil {
			return nil, err
		}
		ended := dr.end(Selector{Kinds: slices.Concat(factorKinds, recoverKinds)})
		dr.newEpoch(func(s *account.State) {
			s.Enrolled, s.MustEnrol = false, false
			forgetFactors(s)
		})
		dr.endBypass()
		ended.add(dr.endSessions(""))
		return ended, nil
	})
}

// mayDisable: an administrator may, by name. Owners must have a factor, or they would
// be whoever knows their password (ATTACKS 37).
func (d *draft) mayDisable() error {
	if d.who.Owner == nil {
		return nil
	}
	if !d.account.State.Enrolled {
		return fmt.Errorf("%w: this account must enrol first", ErrForbidden)
	}
	if eff, err := d.account.Policy.Resolve(); err != nil || !MayDisable(eff) {
		return errors.Join(ErrForbidden, err)
	}
	return nil
}

// MayDisable reports whether policy lets owners switch 2FA off.
func MayDisable(eff policy.Effective) bool {
	return eff.UserMayDisable && eff.TwoFactor != policy.Mandatory
}

// forgetFactors drops what State remembers of factors that are gone.
func forgetFactors(s *account.State) {
	s.Failures, s.FailedAt, s.EnrolHash, s.EnrolUntil = nil, nil, nil, time.Time{}
}

// Reset ends everything that an account signs in with beside its main password,
// and makes its owner enrol anew: until then the mail doors stay closed to the main
// password, and enrolment needs the token that this returns, if policy asks for one
// (ATTACKS 37). It also starts an account anew whose records are damaged. Errors:
// ErrNothing if 2FA is off.
func (d *Desk) Reset(ctx context.Context, who Actor, user string) (Changed, error) {
	var token EnrolToken
	changed, err := d.whole(ctx, order{who: who, user: user, action: effect.Reset}, func(dr *draft) (Ended, error) {
		if !dr.account.TwoFactor() {
			return nil, fmt.Errorf("%w: two-factor login is off for %s; app passwords end by: posternctl user revoke-all %s",
				ErrNothing, dr.account.Name, dr.account.Name)
		}
		ended := dr.end(Selector{Kinds: slices.Concat(factorKinds, recoverKinds, sessionKinds, appKinds)})
		dr.newEpoch(func(s *account.State) {
			s.Enrolled, s.MustEnrol = false, true
			forgetFactors(s)
			s.Members = dr.remaining()
		})
		dr.endBypass()
		token = dr.neededToken(d.tokenLife())
		return ended, nil
	})
	if err == nil {
		changed.Token = token
	}
	return changed, err
}

// RevokeAll ends all app passwords, sessions and devices, and keeps the factors:
// the answer to a stolen telephone or a guessed password. Errors: account.ErrDamaged
// when State cannot be read.
func (d *Desk) RevokeAll(ctx context.Context, who Actor, user string) (Changed, error) {
	return d.whole(ctx, order{who: who, user: user, action: effect.RevokedAll}, func(dr *draft) (Ended, error) {
		if dr.account.StateRecord == nil {
			if err := intact(dr.account); err != nil {
				return nil, err
			}
		}
		ended := dr.end(Selector{Kinds: slices.Concat(appKinds, sessionKinds)})
		dr.newEpoch(func(*account.State) {})
		dr.endBypass()
		return ended, nil
	})
}

// newEpoch voids sessions and devices also where a stale copy of them survives, and
// forgets where the main password was known.
func (d *draft) newEpoch(f func(*account.State)) {
	d.setState(func(s *account.State) {
		s.Epoch, s.Known = s.NextEpoch(d.now), nil
		f(s)
	})
}

func (d *Desk) whole(ctx context.Context, o order, end func(*draft) (Ended, error)) (Changed, error) {
	var ended Ended
	a, err := d.commit(ctx, o, func(dr *draft) (err error) {
		if ended, err = end(dr); err == nil {
			dr.event(o.action, "", "ended "+ended.String())
		}
		return err
	})
	if err != nil {
		return Changed{}, err
	}
	return Changed{User: a.Name, Ended: ended, AppPasswords: liveApps(a, d.Now()), Required: required(a)}, nil
}

// required reports whether policy demands 2FA; one that cannot be read may.
func required(a *account.Account) bool {
	eff, err := a.Policy.Resolve()
	return err != nil || eff.TwoFactor == policy.Mandatory
}
