package desk

import (
	"context"
	"fmt"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

// NewBackupCodes stores new backup codes (factor.NewBackup), which void the older ones.
// Errors: ErrForbidden when policy has no backup codes, ErrInvalid when there is no 2FA
// that they could stand in for, and those of every change.
func (d *Desk) NewBackupCodes(ctx context.Context, who Actor, user string, body []byte) (factor.BackupCount, error) {
	o := order{who: who, user: user, action: effect.BackupCodesMade, credential: backupRef.String()}
	_, err := d.commit(ctx, o, func(dr *draft) error {
		if err := intact(dr.account); err != nil {
			return err
		}
		s := &dr.account.State
		switch {
		case s.MustEnrol && !s.Enrolled:
			return fmt.Errorf("%w: %s must enrol first, and has no factor that codes could stand in for", ErrInvalid, dr.account.Name)
		case !s.Enrolled:
			return fmt.Errorf("%w: two-factor login is off for %s", ErrInvalid, dr.account.Name)
		}
		return dr.putBackup(body)
	})
	if err != nil {
		return factor.BackupCount{}, err
	}
	b, err := factor.DecodeBackupCodes(body)
	return factor.BackupCount{Left: len(b.Left)}, err
}

var backupRef = Ref{account.KindBackup, factor.BackupID}

// putBackup stores backup codes in place of those that are there, readable or not.
func (d *draft) putBackup(body []byte) error {
	eff, err := d.account.Policy.Resolve()
	if err != nil {
		return fmt.Errorf("%w: the policy cannot be read: %w", ErrForbidden, err)
	}
	if !eff.BackupCodes {
		return fmt.Errorf("%w: backup codes are switched off by the policy of %s (backup_codes)", ErrForbidden, eff.Origin["backup_codes"])
	}
	b, err := factor.DecodeBackupCodes(body)
	if err != nil {
		return invalid(err)
	}
	next := factor.NewBackup{Body: body}
	r := next.Record(d.now)
	if stored := d.account.Values(account.KindBackup); len(stored) > 0 {
		d.swap(account.Record{Kind: r.Kind, ID: r.ID, Stored: stored[0].Stored}, r)
	} else {
		d.add(r)
	}
	d.clearFailures(account.KindBackup)
	d.event(effect.BackupCodesMade, backupRef.String(), fmt.Sprintf("%d codes", len(b.Left)))
	return nil
}
