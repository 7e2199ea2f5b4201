package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/ldapstore"
)

// Canary is the account by which the doors are tried: one that the site has prepared,
// or one that doctor makes below Base and removes again.
type Canary struct {
	User     string         // a prepared account's login name
	Password account.Secret // and its main password

	Base, Domain string          // or where to make one, and its mail domain
	Admin        ldapstore.Login // who may make it

	// Open opens what changes accounts, with its audit log.
	Open  func() (*desk.Desk, error)
	Actor desk.Actor
}

const (
	canaryTime  = 3 * time.Minute
	cleanupTime = 20 * time.Second
	// canaryLife is longer than any run takes: what is older was left by a killed one.
	canaryLife = canaryTime + 4*cleanupTime
)

// tryDoors proves by real logins what was only read so far.
func (e *examination) tryDoors(ctx context.Context) {
	switch {
	case e.NoLogin:
		e.add(Finding{ID: "canary", Status: Skipped, Text: "left out by --no-login: no door was tried"})
		return
	case e.Canary == nil || e.Canary.User == "" && (e.Canary.Base == "" || e.Canary.Admin == nil):
		e.unchecked("canary", "", "no account is named by which the doors could be tried")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, canaryTime)
	defer cancel()
	store, _, err := e.Config.OpenStore(account.RoleDoor, account.RoleFactor)
	if err != nil {
		e.unchecked("canary", "", err.Error())
		return
	}
	defer store.Close()
	d, err := e.Canary.Open()
	if err != nil {
		e.unchecked("canary", "", err.Error())
		return
	}
	b := &bird{Canary: e.Canary, store: store, desk: d, user: e.Canary.User, main: e.Canary.Password, now: e.Now}
	if b.user == "" {
		e.removeLeft(ctx, b)
	}
	e.fly(ctx, b)
}

// fly tries the doors; whatever happens, also an interrupt, the canary is as before
// afterwards, or gone.
func (e *examination) fly(ctx context.Context, b *bird) {
	defer e.land(ctx, b)
	if err := b.prepare(ctx); err != nil {
		e.unchecked("canary", valueOr(b.user, b.Base), err.Error())
		return
	}
	if len(b.left) > 0 {
		e.warn("canary-left", b.user, "a run that was killed had left it "+strings.Join(b.left, " and ")+": removed now")
	}
	e.ok("canary", b.user, "has two-factor login and an app password")
	e.withNeighbour(ctx, b)
	e.doors(ctx, b)
}

// land removes what b was given, and says if that fails.
func (e *examination) land(ctx context.Context, b *bird) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if err := b.clean(ctx); err != nil {
		e.wrong("canary-left", b.user, "the canary could not be removed: "+err.Error())
	}
}

// withNeighbour looks with the canary's eyes at its own records and another account's:
// where doctor makes accounts, at one of its own, too.
func (e *examination) withNeighbour(ctx context.Context, b *bird) {
	if b.dn == "" {
		other, err := b.store.Another(ctx, b.account.ID)
		if err != nil {
			e.unchecked("acl-owner", "", err.Error())
			return
		}
		e.ownerSees(ctx, b, other)
		return
	}
	n := &bird{Canary: b.Canary, store: b.store, desk: b.desk, now: b.now}
	defer e.land(ctx, n)
	if err := n.prepare(ctx); err != nil {
		e.unchecked("acl-owner", "", "a second account could not be made, to look at from the first: "+err.Error())
		return
	}
	e.ownerSees(ctx, b, n.account)
}

// removeLeft removes canaries of runs that were killed.
func (e *examination) removeLeft(ctx context.Context, b *bird) {
	list, err := b.store.LeftPersons(ctx, b.Base)
	if err != nil {
		e.unchecked("canary-left", b.Base, "whether earlier runs have left accounts was not looked at: "+err.Error())
		return
	}
	for _, left := range list {
		if age := e.Now().Sub(left.Made); age < canaryLife {
			e.warn("canary-left", left.DN, fmt.Sprintf("was made %d s ago: another run goes on, or was killed; the next run after %d s removes it", int(age.Seconds()), int((canaryLife-age).Seconds())+1))
			continue
		}
		if err := b.remove(ctx, left.DN); err != nil {
			e.wrong("canary-left", left.DN, "was left by a run that was killed, and could not be removed: "+err.Error())
			continue
		}
		e.warn("canary-left", left.DN, "was left by a run that was killed: removed now")
	}
}
