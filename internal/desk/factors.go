package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

// Ref names one record of an account.
type Ref struct {
	Kind account.Kind
	ID   string
}

func (r Ref) String() string { return account.Credential(r.Kind, r.ID) }

// logged is for the audit log, where the id may be anything that somebody typed.
func (r Ref) logged() string { return account.Credential(r.Kind, loggable(r.ID)) }

// The events of factors, by kind.
var (
	added = map[account.Kind]effect.Action{
		account.KindTOTP: effect.TOTPAdded, account.KindPasskey: effect.PasskeyAdded, account.KindPlugin: effect.PluginAdded}
	removed = map[account.Kind]effect.Action{
		account.KindTOTP: effect.TOTPRemoved, account.KindPasskey: effect.PasskeyRemoved, account.KindPlugin: effect.PluginRemoved}
)

// Factor is a second factor of an account, without what it is checked by.
type Factor struct {
	Ref
	Name    string
	Created time.Time
	Used    account.Use
}

// find reads a record by what somebody typed. Errors: account.ErrNoRecord,
// account.ErrDamaged.
func (d *draft) find(ref Ref) (account.Record, error) {
	if looksLikeCredential(ref.ID) {
		return account.Record{}, fmt.Errorf("%s: %w", ref.Kind, account.ErrNoRecord)
	}
	return d.account.Record(ref.Kind, ref.ID)
}

// RemovedFactor says what is left after a factor was removed.
type RemovedFactor struct {
	User string
	Factor
	// Factors and BackupCodes are how many are left. With no factor 2FA stays on: mail
	// is open to app passwords only, until a factor is added or 2FA is switched off.
	Factors, BackupCodes int
	// MustEnrol says that no factor is left; Token is what its owner needs to add one,
	// where policy asks for it and no backup code is left to prove anything by. Show it
	// once.
	MustEnrol bool
	Token     EnrolToken
	Ended     Ended // sessions and devices
}

// RemoveFactor removes a second factor, and ends the sessions and trusted devices that
// it vouched for. It never switches 2FA off: after the last one the account must enrol,
// as after a Reset. Errors: account.ErrNoRecord, ErrLast, and those of every change.
func (d *Desk) RemoveFactor(ctx context.Context, who Actor, user string, ref Ref) (RemovedFactor, error) {
	action, ok := removed[ref.Kind]
	if !ok {
		return RemovedFactor{}, fmt.Errorf("%w: %s is no second factor", ErrInvalid, ref.Kind)
	}
	var gone RemovedFactor
	o := order{who: who, user: user, action: action, credential: ref.logged()}
	_, err := d.commit(ctx, o, func(dr *draft) (err error) {
		gone, err = dr.removeFactor(ref, d.tokenLife())
		return err
	})
	return gone, err
}

func (d *draft) removeFactor(ref Ref, life time.Duration) (RemovedFactor, error) {
	if err := intact(d.account); err != nil {
		return RemovedFactor{}, err
	}
	r, err := d.find(ref)
	if errors.Is(err, account.ErrNoRecord) {
		return RemovedFactor{}, err
	}
	// One that cannot be read goes, too, though there is nothing to tell about it.
	gone := RemovedFactor{User: d.account.Name, Factor: Factor{ref, r.Name, r.Created, r.Used},
		Factors: countFactors(d.account) - 1, BackupCodes: BackupLeft(d.account)}
	d.end(Selector{Kinds: []account.Kind{ref.Kind}, ID: ref.ID})
	d.event(removed[ref.Kind], ref.String(), "name "+r.Name)
	d.clearFailures(ref.Kind)
	if gone.Factors > 0 {
		gone.Ended = d.endVouchedBy(ref.String())
		return gone, nil
	}
	if d.who.Owner != nil && gone.BackupCodes == 0 && tokenNeeded(d.account) {
		return RemovedFactor{}, ErrLast
	}
	gone.MustEnrol = true
	gone.Ended, gone.Token = d.lastGone(gone.BackupCodes > 0, life)
	return gone, nil
}

// lastGone leaves an account without factors as a Reset would, but for its app
// passwords; and with backup codes left, what there is to prove goes on being asked for.
func (d *draft) lastGone(codes bool, life time.Duration) (Ended, EnrolToken) {
	d.newEpoch(func(s *account.State) { s.Enrolled, s.MustEnrol = codes, true })
	ended := d.endSessions("")
	if codes {
		return ended, EnrolToken{}
	}
	d.end(Selector{Kinds: recoverKinds})
	d.setState(forgetFactors)
	return ended, d.neededToken(life)
}

func countFactors(a *account.Account) int {
	n := 0
	for _, k := range factorKinds {
		n += len(a.Values(k))
	}
	return n
}

// BackupLeft counts the backup codes that the account could still use: also those that too
// many wrong tries have disabled for now.
func BackupLeft(a *account.Account) int {
	eff, err := a.Policy.Resolve()
	n, countErr := factor.CountBackup(a)
	if err != nil || countErr != nil || !eff.BackupCodes {
		return 0
	}
	return n.Left
}
