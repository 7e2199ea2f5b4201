package desk

import (
	"context"
	"errors"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
)

// Overview is all that a page or command shows of an account, as one read had it.
type Overview struct {
	Summary
	Factors      []Factor        // of every kind
	TOTP         []Authenticator // the authenticators among them, with what they are like
	Backup       Backup
	Devices      []Device
	Sessions     []Session
	AppPasswords []AppPassword // revoked ones among them
	// Failures are wrong tries in a row, by kind of factor.
	Failures map[account.Kind]uint
	// EnrolUntil is when the enrolment token expires that was handed out; zero: none was.
	EnrolUntil time.Time
	// Bypass is the bypass that is open; nil: none is.
	Bypass *Bypass
	// Unreadable is what could not be read, and is left out of the lists; nil: nothing.
	Unreadable error
}

// Backup is the state of an account's backup codes.
type Backup struct {
	factor.BackupCount
	Created  time.Time // zero: none were made
	LastUsed time.Time // when the last one was used; zero: none was
}

// Overview reads one account from the write server.
func (d *Desk) Overview(ctx context.Context, user string) (Overview, error) {
	a, err := d.read(ctx, user)
	if err != nil {
		return Overview{}, err
	}
	return OverviewOf(a, d.Now()), nil
}

// OverviewOf is Overview of an account that was read already.
func OverviewOf(a *account.Account, now time.Time) Overview {
	o := Overview{Summary: Summarize(a, now), Failures: a.State.Failures, EnrolUntil: a.State.EnrolUntil, Bypass: shownBypass(a, now)}
	var errs [6]error
	o.Factors, errs[0] = factorsOf(a)
	o.TOTP, errs[5] = totpsOf(a)
	o.Backup, errs[1] = backupOf(a)
	o.Devices, errs[2] = devicesOf(a, o.Policy, now)
	o.Sessions, errs[3] = sessionsOf(a, o.Policy, now)
	o.AppPasswords, errs[4] = appsOf(a)
	o.Unreadable = errors.Join(errs[:]...)
	return o
}

func factorsOf(a *account.Account) ([]Factor, error) {
	var (
		list []Factor
		errs []error
	)
	for _, k := range factorKinds {
		records, err := a.Records(k)
		errs = append(errs, err)
		for i := range records {
			r := &records[i]
			list = append(list, Factor{Ref{k, r.ID}, r.Name, r.Created, r.Used})
		}
	}
	return list, errors.Join(errs...)
}

func backupOf(a *account.Account) (Backup, error) {
	r, err := a.Record(account.KindBackup, factor.BackupID)
	if errors.Is(err, account.ErrNoRecord) {
		return Backup{}, nil
	}
	if err != nil {
		return Backup{}, err
	}
	n, err := factor.CountBackup(a)
	return Backup{BackupCount: n, Created: r.Created, LastUsed: r.Used.At}, err
}
