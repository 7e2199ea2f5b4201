package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the form that directories take; it lives for a minute
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/ldapstore"
)

// bird is a canary while it lives.
type bird struct {
	*Canary
	store *ldapstore.Store
	desk  *desk.Desk
	now   func() time.Time

	dn      string // of the account, if doctor made it
	user    string
	main    account.Secret
	app     account.Secret
	account *account.Account // as the read servers show it

	left     []string // what a killed run had left
	appID    string
	enrolled bool // by a run of doctor
}

// byDoctor is the name of what the canary is given.
const byDoctor = "posternctl doctor"

// prepare gives the account an app password and a factor; it makes it first, unless it
// has a name.
func (b *bird) prepare(ctx context.Context) error {
	if b.user == "" {
		if err := b.hatch(ctx); err != nil {
			return fmt.Errorf("the account could not be made: %w", err)
		}
	}
	a, err := b.store.Find(ctx, b.user)
	if errors.Is(err, account.ErrUnknown) {
		return fmt.Errorf("directory.user_filter does not find %s: prepare an account of your own, and name it by --canary-user", b.user)
	}
	if err != nil {
		return err
	}
	if err := b.store.Bind(ctx, a, b.main); errors.Is(err, account.ErrWrong) {
		return errors.New("its main password is not the one that doctor was given")
	}
	if err := b.tidy(ctx); err != nil {
		return err
	}
	return b.equip(ctx, a)
}

// hatch makes the account.
func (b *bird) hatch(ctx context.Context) error {
	name := ldapstore.PersonPrefix + strings.ToLower(rand.Text()[:8])
	b.user, b.main = name+"@"+b.Domain, account.SecretString(rand.Text())
	b.dn = "uid=" + name + "," + b.Base // from now on: who is interrupted does not know whether it was made
	return b.store.AddPerson(ctx, b.Admin, ldapstore.Person{DN: b.dn, Mail: b.user, UID: name, Hash: ssha(b.main)})
}

// ssha is a password as OpenLDAP and 389-ds take it.
func ssha(password account.Secret) string {
	salt := []byte(rand.Text())[:8]
	sum := sha1.Sum(append(append([]byte{}, password.Reveal()...), salt...)) //nolint:gosec // see the import
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

// equip gives it what doors are tried with.
func (b *bird) equip(ctx context.Context, a *account.Account) error {
	created, err := b.desk.CreateAppPassword(ctx, b.Actor, b.user, desk.NewAppPassword{Name: byDoctor})
	if err != nil {
		return err
	}
	b.app, b.appID = created.Password, created.ID
	if !a.TwoFactor() {
		b.enrolled = true // also if the answer is lost
		if _, err := b.desk.AddTOTP(ctx, b.Actor, b.user, desk.NewTOTP{Name: byDoctor}); err != nil {
			return err
		}
	}
	return b.seen(ctx, a.ID)
}

// tidy takes from a prepared account what a killed run has left. What is younger than a
// run takes may be another one's: two at a time would take each other's away.
func (b *bird) tidy(ctx context.Context) error {
	apps, err := b.desk.ListAppPasswords(ctx, b.user)
	if err != nil {
		return err
	}
	apps = slices.DeleteFunc(apps, func(p desk.AppPassword) bool { return p.Name != byDoctor || !p.Ended.IsZero() })
	factors, err := b.desk.ListFactors(ctx, b.user)
	if err != nil {
		return err
	}
	ours := slices.DeleteFunc(slices.Clone(factors), func(f desk.Method) bool { return f.Name != byDoctor })
	for _, at := range created(apps, ours) {
		if age := b.now().Sub(at); age < canaryLife {
			return fmt.Errorf("another run of doctor uses it, or was killed %d s ago: try again in %d s, and prepare one account for each host that runs doctor by itself",
				int(age.Seconds()), int((canaryLife-age).Seconds())+1)
		}
	}
	for i := range apps {
		b.left = append(b.left, "app password "+apps[i].ID)
		if _, err := b.desk.RevokeAppPassword(ctx, b.Actor, b.user, apps[i].ID); err != nil {
			return err
		}
	}
	if len(ours) > 0 && len(ours) == len(factors) {
		b.left = append(b.left, "a factor")
		b.enrolled = true // clean switches it off in the end
	}
	return nil
}

func created(apps []desk.AppPassword, factors []desk.Method) []time.Time {
	var list []time.Time
	for i := range apps {
		list = append(list, apps[i].Created)
	}
	for i := range factors {
		list = append(list, factors[i].Created)
	}
	return list
}

// seen waits until every read server knows of the factor and the app password: each may
// be the one that a door asks. One that never does is the finding "replica".
func (b *bird) seen(ctx context.Context, id account.ID) error {
	var errs []error
	for _, uri := range b.store.ReadServers() {
		a, err := b.seenAt(ctx, uri, id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.account = a
	}
	if b.account != nil {
		return nil
	}
	return errors.Join(errs...)
}

func (b *bird) seenAt(ctx context.Context, uri string, id account.ID) (*account.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, lagTime)
	defer cancel()
	for {
		a, err := b.store.At(ctx, uri, id)
		if err != nil && !errors.Is(err, account.ErrUnknown) {
			return nil, err
		}
		if err == nil && a.TwoFactor() && a.HasApp(b.appID) {
			return a, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%s does not show that it has two-factor login", uri)
		}
	}
}

// clean removes what was made: the account, or what it was given.
func (b *bird) clean(ctx context.Context) error {
	if b.dn != "" {
		return b.remove(ctx, b.dn)
	}
	var errs []error
	if b.appID != "" {
		_, err := b.desk.RevokeAppPassword(ctx, b.Actor, b.user, b.appID)
		errs = append(errs, err)
	}
	if b.enrolled {
		_, err := b.desk.DisableTwoFactor(ctx, b.Actor, b.user)
		if errors.Is(err, desk.ErrNothing) {
			err = nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// remove removes an account that doctor made, and its records, wherever they are.
func (b *bird) remove(ctx context.Context, dn string) error {
	id, err := b.store.KeyOf(ctx, dn)
	if errors.Is(err, account.ErrUnknown) {
		return nil // it never came to be
	}
	if err != nil {
		return err
	}
	if err := b.store.RemovePerson(ctx, b.Admin, dn); err != nil {
		return err
	}
	if err := b.store.RemoveHolder(ctx, id); !errors.Is(err, account.ErrUnknown) {
		return err
	}
	return nil
}
