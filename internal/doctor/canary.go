package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the form that directories take; it lives for a minute
	"encoding/base64"
	"errors"
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
)

// bird is the canary while it lives.
type bird struct {
	*Canary
	store *ldapstore.Store
	desk  *desk.Desk
	user  string
	main  account.Secret
	app   account.Secret
	appID string

	enrolled bool // by us
}

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
	b := &bird{Canary: e.Canary, store: store, user: e.Canary.User, main: e.Canary.Password}
	if b.desk, err = e.Canary.Open(); err != nil {
		e.unchecked("canary", "", err.Error())
		return
	}
	e.fly(ctx, b)
}

// fly tries the doors; whatever happens, also an interrupt, the canary is as before
// afterwards, or gone.
func (e *examination) fly(ctx context.Context, b *bird) {
	dn := ""
	if b.user == "" {
		var err error
		if dn, err = b.hatch(ctx); err != nil {
			e.unchecked("canary", b.Base, "the account could not be made: "+err.Error())
			return
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		if err := b.clean(ctx, dn); err != nil {
			e.wrong("canary-left", b.user, "the canary could not be removed: "+err.Error())
		}
	}()
	a, err := b.prepare(ctx)
	if err != nil {
		e.unchecked("canary", b.user, err.Error())
		return
	}
	e.ok("canary", b.user, "has two-factor login and an app password")
	e.exposed(ctx, b, a)
	e.doors(ctx, b)
}

// hatch makes the account, and returns its DN.
func (b *bird) hatch(ctx context.Context) (dn string, err error) {
	name := "postern-canary-" + strings.ToLower(rand.Text()[:8])
	b.user, b.main = name+"@"+b.Domain, account.SecretString(rand.Text())
	dn = "uid=" + name + "," + b.Base
	return dn, b.store.AddPerson(ctx, b.Admin, ldapstore.Person{DN: dn, Mail: b.user, UID: name, Hash: ssha(b.main)})
}

// ssha is a password as OpenLDAP and 389-ds take it.
func ssha(password account.Secret) string {
	salt := []byte(rand.Text())[:8]
	sum := sha1.Sum(append(append([]byte{}, password.Reveal()...), salt...)) //nolint:gosec // see the import
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

// prepare gives the account an app password and a factor.
func (b *bird) prepare(ctx context.Context) (*account.Account, error) {
	a, err := b.store.Find(ctx, b.user)
	if errors.Is(err, account.ErrUnknown) {
		return nil, fmt.Errorf("directory.user_filter does not find %s: prepare an account of your own, and name it by --canary-user", b.user)
	}
	if err != nil {
		return nil, err
	}
	if err := b.store.Bind(ctx, a, b.main); errors.Is(err, account.ErrWrong) {
		return nil, errors.New("its main password is not the one that doctor was given")
	}
	created, err := b.desk.CreateAppPassword(ctx, b.Actor, b.user, desk.NewAppPassword{Name: "posternctl doctor"})
	if err != nil {
		return nil, err
	}
	b.app, b.appID = created.Password, created.ID
	if !a.TwoFactor() {
		if _, err := b.desk.AddTOTP(ctx, b.Actor, b.user, desk.NewTOTP{Name: "posternctl doctor"}); err != nil {
			return nil, err
		}
		b.enrolled = true
	}
	return b.seen(ctx)
}

// seen waits until the servers that doors ask know of the factor.
func (b *bird) seen(ctx context.Context) (*account.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, lagTime)
	defer cancel()
	for {
		a, err := b.store.Find(ctx, b.user)
		if err != nil {
			return nil, err
		}
		if a.TwoFactor() && a.HasApp(b.appID) {
			return a, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.New("the read servers do not show that it has two-factor login")
		}
	}
}

// clean removes what was made: the account, or what it was given.
func (b *bird) clean(ctx context.Context, dn string) error {
	if dn != "" {
		a, findErr := b.store.Find(ctx, b.user)
		err := b.store.RemovePerson(ctx, b.Admin, dn)
		if findErr == nil && err == nil {
			if gone := b.store.RemoveHolder(ctx, a.ID); !errors.Is(gone, account.ErrUnknown) {
				err = gone
			}
		}
		return err
	}
	var errs []error
	if b.appID != "" {
		_, err := b.desk.RevokeAppPassword(ctx, b.Actor, b.user, b.appID)
		errs = append(errs, err)
	}
	if b.enrolled {
		_, err := b.desk.DisableTwoFactor(ctx, b.Actor, b.user)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// exposed logs in to the directory as the canary: its owner must see and change
// nothing (ATTACKS 20).
func (e *examination) exposed(ctx context.Context, b *bird, a *account.Account) {
	found, err := b.store.ExposedTo(ctx, a, b.main)
	switch {
	case errors.Is(err, account.ErrWrong):
		e.unchecked("acl-owner", a.DN, "the directory does not know its password, so that nobody logs in to it as a user")
	case err != nil:
		e.unchecked("acl-owner", a.DN, err.Error())
	case len(found) > 0:
		e.wrong("acl-owner", a.DN, "its owner can "+strings.Join(found, ", "))
	default:
		e.ok("acl-owner", a.DN, "its owner can neither read, compare, find nor write what Postern keeps")
	}
}
