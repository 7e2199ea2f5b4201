package desk

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
)

// AppPassword is an app password of an account, without its verifier.
type AppPassword struct {
	User     string
	ID, Name string
	Services []account.Service
	Networks []netip.Prefix // empty: from anywhere
	Created  time.Time
	Expires  time.Time // zero: never
	Unused   time.Time // when it expires unless it is used before, by policy; zero: never
	Ended    time.Time // zero unless revoked
	Used     account.Use
}

// The words for whether an app password works.
const (
	AppActive  = "active"
	AppExpired = "expired"
	AppUnused  = "unused" // for too long: expired by policy
	AppRevoked = "revoked"
)

// State says in a word whether it works.
func (p *AppPassword) State(now time.Time) string {
	switch {
	case !p.Ended.IsZero():
		return AppRevoked
	case over(p.Expires, now):
		return AppExpired
	case over(p.Unused, now):
		return AppUnused
	default:
		return AppActive
	}
}

func over(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// NewAppPassword asks for an app password.
type NewAppPassword struct {
	Name     string
	Services []account.Service // if empty, those of account.MailServices that policy allows
	Networks []netip.Prefix
	Expires  time.Time
}

// CreatedAppPassword is a new app password: the only time that anybody sees it.
type CreatedAppPassword struct {
	AppPassword
	Password account.Secret // in its human form
	// Alone says that the account has no second factor: its main password goes on
	// working beside the app password.
	Alone bool
}

// CreateAppPassword creates an app password. Errors: ErrForbidden, ErrMaximum,
// ErrInvalid, and those of every change.
func (d *Desk) CreateAppPassword(ctx context.Context, who Actor, user string, n NewAppPassword) (CreatedAppPassword, error) {
	var created CreatedAppPassword
	o := order{who: who, user: user, action: effect.AppPasswordCreated}
	_, err := d.commit(ctx, o, func(dr *draft) (err error) {
		created, err = dr.createAppPassword(n)
		return err
	})
	if err != nil {
		return CreatedAppPassword{}, err
	}
	return created, nil
}

func (d *draft) createAppPassword(n NewAppPassword) (CreatedAppPassword, error) {
	if err := intact(d.account); err != nil {
		return CreatedAppPassword{}, err
	}
	if err := d.noPanel(); err != nil {
		return CreatedAppPassword{}, err
	}
	if a := d.who.Authority; a != nil && a.Panel && required(d.account) {
		return CreatedAppPassword{}, fmt.Errorf("%w: two-factor login is mandatory for %s, so no program may make app passwords for it", admin.ErrForbidden, d.account.Name)
	}
	eff, err := d.mayCreate()
	if err != nil {
		return CreatedAppPassword{}, err
	}
	name, err := checkName(n.Name)
	if err != nil {
		return CreatedAppPassword{}, invalid(err)
	}
	scope, err := d.scope(n, eff)
	if err != nil {
		return CreatedAppPassword{}, invalid(err)
	}
	if err := mayScope(&scope, eff); err != nil {
		return CreatedAppPassword{}, err
	}
	plain, body, id := newAppPassword(d.account, scope)
	encoded, err := account.Encode(body)
	if err != nil {
		return CreatedAppPassword{}, err
	}
	r := account.Record{Kind: account.KindApp, ID: id, Name: name, Created: d.now, Expires: n.Expires, Body: encoded}
	d.add(r)
	d.event(effect.AppPasswordCreated, "app:"+id, fmt.Sprintf("name %s, services %v, networks %v", name, body.Services, body.Networks))
	return CreatedAppPassword{listedApp(d.account, &r, &body), plain, !d.account.TwoFactor() && !eff.ServiceAccount}, nil
}

// mayCreate checks the account's policy against what is stored now.
func (d *draft) mayCreate() (policy.Effective, error) {
	eff, err := d.account.Policy.Resolve()
	if err != nil {
		return eff, fmt.Errorf("%w: the policy cannot be read: %w", ErrForbidden, err)
	}
	if !eff.AppPasswords {
		return eff, fmt.Errorf("%w: app passwords are switched off by the policy of %s (app_passwords)", ErrForbidden, eff.Origin["app_passwords"])
	}
	if n := liveApps(d.account, d.now); n >= eff.AppPasswordMax {
		return eff, fmt.Errorf("%w app passwords: %d are in use, %d allowed by the policy of %s (app_password_max); revoke one first",
			ErrMaximum, n, eff.AppPasswordMax, eff.Origin["app_password_max"])
	}
	return eff, nil
}

// liveApps counts the app passwords in use; one that cannot be read counts, and so does
// one of which nobody can say whether policy has let it expire.
func liveApps(a *account.Account, now time.Time) int {
	n := 0
	eff, _ := a.Policy.Resolve() // on an error, without what could not be read
	for _, v := range a.Values(account.KindApp) {
		if r, err := a.Record(account.KindApp, v.ID); err != nil || r.AppLive(eff, now) {
			n++
		}
	}
	return n
}

// scope checks what the app password is to be good for.
func (d *draft) scope(n NewAppPassword, eff policy.Effective) (factor.AppPassword, error) {
	scope := factor.AppPassword{Services: slices.Clone(n.Services)}
	if len(scope.Services) == 0 {
		scope.Services = slices.DeleteFunc(slices.Clone(account.MailServices),
			func(s account.Service) bool { return !eff.AllowsService(string(s)) })
	}
	slices.Sort(scope.Services)
	scope.Services = slices.Compact(scope.Services)
	for _, s := range scope.Services {
		if !slices.Contains(account.Scopes, s) {
			return scope, fmt.Errorf("%q is no service; there are %v", string(s), account.Scopes)
		}
	}
	for _, p := range n.Networks {
		p, err := network(p)
		if err != nil {
			return scope, err
		}
		scope.Networks = append(scope.Networks, p)
	}
	if !n.Expires.IsZero() && !n.Expires.After(d.now) {
		return scope, fmt.Errorf("%s is over: an app password must expire later than now", n.Expires.Format(time.RFC3339))
	}
	return scope, nil
}

// network brings a network into the form that addresses are compared with: an
// IPv4 network written as IPv6 (::ffff:192.0.2.0/120) would match nothing.
func network(p netip.Prefix) (netip.Prefix, error) {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if !p.IsValid() || p.Addr().Is4In6() {
		return p, fmt.Errorf("%s is not a network", p)
	}
	return p.Masked(), nil
}

// newAppPassword makes one whose id the account has not, nor had lately: a
// tombstone must not answer for a new app password.
func newAppPassword(a *account.Account, scope factor.AppPassword) (account.Secret, factor.AppPassword, string) {
	for {
		plain, body, id := factor.NewAppPassword(scope)
		if !a.HasApp(id) {
			return plain, body, id
		}
	}
}

// ListAppPasswords lists the account's app passwords, revoked ones among them.
// Unreadable ones are left out and reported in the error, beside the list.
func (d *Desk) ListAppPasswords(ctx context.Context, user string) ([]AppPassword, error) {
	a, err := d.read(ctx, user)
	if err != nil {
		return nil, err
	}
	return appsOf(a)
}

func appsOf(a *account.Account) ([]AppPassword, error) {
	records, err := a.Records(account.KindApp)
	list := make([]AppPassword, 0, len(records))
	for _, r := range records {
		body, decodeErr := factor.DecodeAppPassword(r.Body)
		if decodeErr != nil {
			err = decodeErr
			continue
		}
		list = append(list, listedApp(a, &r, &body))
	}
	return list, err
}

func listedApp(a *account.Account, r *account.Record, body *factor.AppPassword) AppPassword {
	eff, _ := a.Policy.Resolve() // on an error, without what could not be read
	return AppPassword{User: a.Name, ID: r.ID, Name: r.Name, Services: body.Services, Networks: body.Networks,
		Created: r.Created, Expires: r.Expires, Unused: r.UnusedEnds(eff), Ended: r.Ended, Used: r.Used}
}

// RevokeAppPassword ends one app password at once; a tombstone stays. Errors:
// account.ErrNoRecord, ErrNothing when it was revoked before.
func (d *Desk) RevokeAppPassword(ctx context.Context, who Actor, user, id string) (AppPassword, error) {
	var revoked AppPassword
	o := order{who: who, user: user, action: effect.AppPasswordRevoked, credential: "app:" + loggable(id)}
	_, err := d.commit(ctx, o, func(dr *draft) error {
		if !dr.account.HasApp(id) {
			return fmt.Errorf("app password %q: %w", loggable(id), account.ErrNoRecord)
		}
		r, err := dr.account.Record(account.KindApp, id)
		if err == nil && !r.Ended.IsZero() {
			return fmt.Errorf("%w: app password %s was revoked on %s", ErrNothing, id, r.Ended.UTC().Format(time.RFC3339))
		}
		// An unreadable one ends, too, though there is nothing to tell about it.
		revoked = AppPassword{User: dr.account.Name, ID: id, Name: r.Name, Created: r.Created, Expires: r.Expires, Used: r.Used, Ended: dr.now}
		dr.end(Selector{Kinds: appKinds, ID: id})
		dr.event(effect.AppPasswordRevoked, "app:"+id, "name "+r.Name)
		return nil
	})
	return revoked, err
}
