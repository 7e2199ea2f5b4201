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
// using one can be told apart from a guesser; ended sessions, so that no repeated
// exchange begins them anew.
//
// Owners change their own account at the pages, which have asked them for a fresh
// factor first; administrators, any. What each change does besides:
//
//	change                     events                         ends                                epoch
//	-------------------------  -----------------------------  ----------------------------------  -----
//	Enrol, the first factor    X_added, two_factor_on         sessions, devices (1)               rises
//	Enrol, one more            X_added                        -                                   -
//	  with backup codes        and backup_codes_made          older codes                         -
//	RemoveFactor               X_removed                      sessions, devices it vouched for    -
//	RemoveFactor, the last     X_removed                      sessions, devices (1), (2)          rises
//	Rename                     renamed                        -                                   -
//	NewBackupCodes             backup_codes_made              older codes                         -
//	RemoveDevice               device_removed                 sessions it vouched for             -
//	RemoveAllDevices           device_removed of each         sessions they vouched for           -
//	EndSession                 web_session_ended              it                                  -
//	LogOut                     logged_out                     it                                  -
//	EndAllSessions             logged_out_everywhere          sessions, devices                   rises
//	DisableTwoFactor           two_factor_off                 factors, codes, sessions (1),       rises
//	                                                          devices
//	Reset                      reset                          the same, and app passwords (3)     rises
//	NewEnrolToken              enrol_token_made               the older token                     -
//	RevokeAll                  revoked_all                    app passwords, sessions, devices    rises
//	RevokeSince                revoked_since, X_removed,      app passwords, sessions, devices    rises (4)
//	                           known_devices_ended            of since then, factors made then
//	Bypass                     bypass_granted                 sessions of an older one, and       -
//	                                                          all at its end
//	Enrol, with known devices  known_devices_kept             all, when their days are over       -
//	EndBypass                  bypass_ended                   sessions that it let in             -
//	CreateAppPassword          app_password_created           -                                   -
//	RevokeAppPassword          app_password_revoked           it                                  -
//	RenewAppPassword           app_password_renewed           -                                   -
//	Sweep                      swept, app_password_stopped,   what is over; live sessions that    -
//	                           access_tightened               policy does not allow any more
//
// (1) but the session that the owner acts in (Actor.Session), which goes on in the new
// epoch. (2) 2FA stays on: the account must enrol, by a token where policy asks for
// one, unless backup codes are left to prove something by; owners without any are
// refused instead (ErrLast). (3) The account must enrol.
// (4) What goes on is taken along. If no factor is left it is as at (2).
// Enrol of the first factor, DisableTwoFactor, Reset and RevokeAll also end an open bypass.
// Whatever makes the epoch rise but Enrol, and RevokeSince always, forgets known devices.
// What an owner is to be told (effect.TopicOf) is also noted in State, in the same Modify.
// Whatever ends a session by itself is also a web_session_ended of that session. A rise
// of the epoch voids sessions and devices also where a stale copy of them survives.
//
// Turning 2FA off is a thing of its own: removing the last factor leaves it on, and
// only DisableTwoFactor ends it, by an administrator, or by an owner whom policy lets.
package desk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
)

// Errors of changes, besides account.ErrUnknown, ErrAmbiguous, ErrUnavailable,
// ErrNoRecord and ErrDamaged. Their texts say what to do.
var (
	// ErrForbidden: the account's policy does not allow it.
	ErrForbidden = errors.New("not allowed by policy")
	// ErrLast: without this factor an owner could not enrol anew, for want of backup codes
	// and of an administrator's token. It is an ErrForbidden.
	ErrLast = fmt.Errorf("%w: this is the last factor; add another one first", ErrForbidden)
	// ErrMaximum: as many as there may be are there already.
	ErrMaximum = errors.New("too many")
	// ErrInvalid: what was asked for cannot be.
	ErrInvalid = errors.New("not possible")
	// ErrNameTaken: another of that kind has that name. It is an ErrInvalid.
	ErrNameTaken = fmt.Errorf("%w: another one has that name", ErrInvalid)
	// ErrChanged: the account has changed since what the change rests on was proved.
	// Unlike any other account.ErrConflict it is final.
	ErrChanged = fmt.Errorf("%w; begin again", account.ErrConflict)
	// ErrNothing: it is already so.
	ErrNothing = errors.New("nothing to do")
	// ErrBusy: others kept changing the account; nothing was done.
	ErrBusy = errors.New("others are changing this account; nothing was done, try again")
)

// Actor is who makes a change.
type Actor struct {
	Name string // for the audit log: "posternctl root@host"
	// Owner is set when owners change their own account at the pages: the account as
	// their session knows it. It is the one that is changed, whatever name the change
	// was asked for by; and policy says what they may. Nil: an administrator.
	Owner *account.Account
	// Authority is what an administrator may do; it is asked about the account as just
	// read. Who is neither an owner nor an administrator nor Root may nothing.
	Authority *admin.Authority
	root      bool // see Root
	// Session is the id of the webmail session that an owner acts in.
	Session string
	// Addr and Agent are the address and the browser that the change comes from, where
	// that is known.
	Addr  netip.Addr
	Agent string
}

// Root is who runs the administrator's command on a host that has the keys: there is
// nothing that could be kept from them.
func Root(name string) Actor { return Actor{Name: name, root: true} }

// Administrator is an administrator at the pages, or a hosting panel.
func Administrator(a *admin.Authority) Actor { return Actor{Name: a.Name, Authority: a} }

// Desk makes changes. All fields but TokenLife must be set; it is safe for concurrent use if
// they are.
type Desk struct {
	Store    account.Store
	Recorder effect.Recorder
	Now      func() time.Time // time.Now outside tests
	// TokenLife is how long enrolment tokens are good for; 72 hours if zero.
	TokenLife time.Duration
}

const tokenLife = 72 * time.Hour

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
