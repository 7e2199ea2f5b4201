package account

import "time"

// Epoch is what a sign-in keeps of the moment at which the main password was checked:
// in its transaction, in the session or trusted device that comes of it, in tickets. It
// changes with State.Epoch and with every change of the main password (ATTACKS 36).
//
// It is compared for equality, not with times: so neither the directory's clock, which
// is not ours, nor its whole seconds can make a session that began just before a change
// look like one that began just after. Take it from the account as read before the
// password was checked; one read later may know of a change that the check did not.
//
// Two changes within one second, or with shadowLastChange within one day, look like
// one where the directory tells no more: a sign-in between them outlives the second.
func (a *Account) Epoch() int64 {
	if a.PasswordChanged.IsZero() {
		return a.State.Epoch
	}
	return a.State.Epoch + a.PasswordChanged.UnixMicro() // seconds and microseconds: a sum of both is neither
}

// Void reports whether a session or trusted device, which keeps the Epoch of its
// sign-in, has ended with that epoch.
//
// One that began when nothing was known of the password's changes (no password policy
// then, or another password_changed_attribute) is judged by time, on the safe side: it
// must be younger than the whole second, or day, of the change.
func (a *Account) Void(r *Record, epoch int64) bool {
	switch {
	case a.stateErr != nil:
		return true
	case epoch == a.Epoch():
		return false
	case epoch == a.State.Epoch:
		return a.PredatesPassword(r)
	}
	return true
}

// PredatesPassword reports whether the record may be older than the main password:
// what policy may flag or revoke after a change. It is false where no change is known.
func (a *Account) PredatesPassword(r *Record) bool {
	return !a.PasswordChanged.IsZero() && !r.Created.After(a.PasswordChanged)
}

// PasswordStamp is PasswordChanged as State.PasswordSeen keeps it; 0 where nobody can
// say.
func (a *Account) PasswordStamp() int64 {
	if a.PasswordChanged.IsZero() || a.PasswordChanged.Equal(Sometime()) {
		return 0
	}
	return a.PasswordChanged.UnixMicro()
}

// Sometime stands in Account.PasswordChanged for a change of which nobody can say when
// it was. No record is younger.
func Sometime() time.Time { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }
