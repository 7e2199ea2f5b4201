// Package desk makes the changes to an account: authorised, audited, and atomic.
// posternctl works at it today, the hosted pages will.
//
// Every change takes the same way (commit.go): the account is found by the name
// that was typed, read again from the write server, a draft of the change is made
// on that fresh state, and the store applies it as one Modify. If somebody else
// was faster, all of it is done again, so a limit such as the number of app
// passwords is never judged by an old state. An audit event is written after the
// commit, never before; a change that was refused or could not be made is one, too.
//
// What ends credentials is one function with a Selector (end.go). Revoked app
// passwords stay as tombstones for a while, so that the telephone that goes on
// using one can be told apart from a guesser.
//
// Turning 2FA off is a thing of its own: removing the last authenticator leaves it
// on, and only DisableTwoFactor, an administrator by name, ends it.
package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
)

// Errors of changes, besides account.ErrUnknown, ErrAmbiguous, ErrUnavailable,
// ErrNoRecord and ErrDamaged. Their texts say what to do.
var (
	// ErrForbidden: the account's policy does not allow it.
	ErrForbidden = errors.New("not allowed by policy")
	// ErrMaximum: as many app passwords as the policy allows are in use.
	ErrMaximum = errors.New("too many app passwords")
	// ErrInvalid: what was asked for cannot be.
	ErrInvalid = errors.New("not possible")
	// ErrNothing: it is already so.
	ErrNothing = errors.New("nothing to do")
	// ErrBusy: others kept changing the account; nothing was done.
	ErrBusy = errors.New("others are changing this account; nothing was done, try again")
)

// Actor is who makes a change, as the audit log names them: "posternctl root@host".
type Actor struct{ Name string }

// Desk makes changes. All fields must be set; it is safe for concurrent use if
// they are.
type Desk struct {
	Store    account.Store
	Recorder effect.Recorder
	Now      func() time.Time // time.Now outside tests
}

// read returns the account by name as the write server has it.
func (d *Desk) read(ctx context.Context, user string) (*account.Account, error) {
	if looksLikeCredential(user) {
		return nil, account.ErrUnknown
	}
	found, err := d.Store.Find(ctx, user)
	if err != nil {
		return nil, err
	}
	return d.Store.Read(ctx, found)
}

// intact refuses accounts whose records do not match: a change would seal the
// damage, and with it perhaps somebody's forgery.
func intact(a *account.Account) error {
	if err := a.Damage(); err != nil {
		return fmt.Errorf("%w; look into it, then start the account anew with: posternctl user reset %s", err, a.Name)
	}
	return nil
}
