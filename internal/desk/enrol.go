package desk

import (
	"bytes"
	"context"
	"fmt"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
)

// maxFactors bounds how many factors an account may have.
const maxFactors = 20

// Enrolment is a factor that an account's owner has just proved to have.
type Enrolment struct {
	Record account.Record // of factor.Factor.Check, with the Name that it is to have
	Method string         // factor.Factor.Name; may be empty for kinds that have one name only
	Backup []byte         // body of new backup codes, to be stored along with it; nil: none
	Token  account.Secret // an administrator's, which an account may need after a reset
	// Handle is the WebAuthn user handle that a passkey was made with; nil for others.
	Handle []byte
	// Epoch is account.Account.Epoch as it was when the factor was proved. Nothing is
	// added to an account whose epoch has changed: it may have got its first factor,
	// which then had to be proved, too (ATTACKS 2).
	Epoch int64
	// Proved says that a factor or backup code of the account was asked for and right, as
	// of owners at their settings always: an account with two-factor login takes no factor
	// from anybody else without an administrator's token.
	Proved bool
	// Alone says that the factor is the account's only one or none: it is added on the way
	// in, and whoever came first would have to be asked (ATTACKS 2).
	Alone bool
}

// Enrolled is a factor that was added.
type Enrolled struct {
	User string
	Ref
	Name string
	// First says that it switched 2FA on: sessions that began without it are over, and
	// mail programs need app passwords from now on.
	First bool
}

// Enrol adds a factor together with backup codes; the first one switches 2FA on. An
// account that must enrol after a reset needs its token, which is used up. Errors:
// ErrNothing when it was added already, ErrChanged, ErrForbidden, ErrMaximum,
// ErrInvalid, factor.ErrEnrolToken, and those of every change.
func (d *Desk) Enrol(ctx context.Context, who Actor, user string, e Enrolment) (Enrolled, error) {
	ref := Ref{e.Record.Kind, e.Record.ID}
	action, ok := added[ref.Kind]
	if !ok {
		return Enrolled{}, fmt.Errorf("%w: %s is no second factor", ErrInvalid, ref.Kind)
	}
	var first bool
	var name string
	o := order{who: who, user: user, action: action, credential: ref.String()}
	a, err := d.commit(ctx, o, func(dr *draft) (err error) {
		name, first, err = dr.enrol(e)
		return err
	})
	if err != nil {
		return Enrolled{}, err
	}
	return Enrolled{User: a.Name, Ref: ref, Name: name, First: first}, nil
}

func (d *draft) enrol(e Enrolment) (name string, first bool, err error) {
	r := e.Record
	switch {
	case len(r.Body) == 0 || r.ID == "" || r.Stored != nil:
		return "", false, fmt.Errorf("%w: the record of the new factor is incomplete", ErrInvalid)
	case intact(d.account) != nil:
		return "", false, intact(d.account)
	case d.account.State.Has(r.Kind, r.ID):
		return "", false, fmt.Errorf("%w: this factor was added already", ErrNothing)
	case d.account.Epoch() != e.Epoch, d.otherHandle(e.Handle), e.Alone && d.account.HasFactor():
		return "", false, ErrChanged
	}
	if err := d.mayAdd(r.Kind, method(e)); err != nil {
		return "", false, err
	}
	if err := d.mayEnrol(e.Token, e.Proved); err != nil {
		return "", false, err
	}
	if name, err = checkName(r.Name); err != nil {
		return "", false, invalid(err)
	}
	r.Name, r.Created = d.freeName(r.Kind, name), d.now
	if e.Handle != nil {
		d.setState(func(s *account.State) { s.Handle = e.Handle })
	}
	first = d.addFactor(r)
	if e.Backup != nil {
		err = d.putBackup(e.Backup)
	}
	return r.Name, first, err
}

// otherHandle: the account has got another user handle since; a passkey that was made
// with this one could never sign in alone.
func (d *draft) otherHandle(handle []byte) bool {
	has := d.account.State.Handle
	return handle != nil && len(has) > 0 && !bytes.Equal(has, handle)
}

// method is how policies call the factor.
func method(e Enrolment) string {
	switch {
	case e.Method != "":
		return e.Method
	case e.Record.Kind == account.KindTOTP:
		return factor.NameTOTP
	case e.Record.Kind == account.KindPasskey:
		return factor.NamePasskey
	}
	return "" // of plug-ins, no policy allows one without a name
}

// mayAdd checks the account's policy, and how many factors there are.
func (d *draft) mayAdd(k account.Kind, name string) error {
	eff, err := d.account.Policy.Resolve()
	switch {
	case err != nil:
		return fmt.Errorf("%w: the policy cannot be read: %w", ErrForbidden, err)
	case eff.ServiceAccount:
		return noService(d.account, eff)
	case eff.TwoFactor == policy.Off:
		return fmt.Errorf("%w: second factors are switched off by the policy of %s (twofactor)", ErrForbidden, eff.Origin["twofactor"])
	case !factor.Allowed(eff, k, name):
		return fmt.Errorf("%w: %s is not among the methods that the policy of %s allows (methods)", ErrForbidden, name, eff.Origin["methods"])
	case countFactors(d.account) >= maxFactors:
		return fmt.Errorf("%w factors: %d are there; remove one first", ErrMaximum, maxFactors)
	}
	return nil
}

// mayEnrol checks the token of an account that has nothing to prove itself by, or whose
// owner has not.
func (d *draft) mayEnrol(token account.Secret, proved bool) error {
	s := &d.account.State
	if s.Enrolled && proved || !s.Enrolled && !s.MustEnrol || !tokenNeeded(d.account) {
		return nil
	}
	return factor.CheckEnrolToken(s, token, d.now)
}

// tokenNeeded reports whether policy wants proof of who enrols after a reset. A policy
// that cannot be read may.
func tokenNeeded(a *account.Account) bool {
	eff, err := a.Policy.Resolve()
	return err != nil || eff.ResetNeedsToken
}

// addFactor adds the record of a factor, and switches 2FA on if it is the first: the
// new epoch ends what began with the main password alone (FEATURES E7). It reports
// whether it did.
func (d *draft) addFactor(r account.Record) (first bool) {
	first = !d.account.State.Enrolled
	ref := Ref{r.Kind, r.ID}
	d.add(r)
	d.event(added[r.Kind], ref.String(), "name "+r.Name)
	d.clearFailures(r.Kind)
	if !first {
		if d.state.MustEnrol {
			d.setState(func(s *account.State) { s.MustEnrol = false })
		}
		return false
	}
	d.newEpoch(func(s *account.State) {
		s.Enrolled, s.MustEnrol = true, false
		forgetFactors(s)
	})
	d.endBypass()
	d.event(effect.TwoFactorOn, "", "ended "+d.endSessions(ref.String()).String())
	d.keepKnown()
	return true
}

// clearFailures forgets the wrong tries of a kind: what they were tried on has changed.
func (d *draft) clearFailures(k account.Kind) {
	if d.state.Failures[k] > 0 || !d.state.FailedAt[k].IsZero() {
		d.setState(func(s *account.State) { delete(s.Failures, k); delete(s.FailedAt, k) })
	}
}
