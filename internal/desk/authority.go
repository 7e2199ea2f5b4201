package desk

import (
	"context"
	"fmt"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
)

// rights says which right of an administrator a change needs. One that is not here is
// the owner's alone.
var rights = map[effect.Action]admin.Right{
	effect.Reset:              admin.Reset,
	effect.EnrolTokenMade:     admin.EnrolToken,
	effect.AppPasswordRevoked: admin.Revoke,
	effect.RevokedAll:         admin.Revoke,
	effect.RevokedSince:       admin.Revoke,
	effect.Renamed:            admin.Revoke,
	effect.TOTPRemoved:        admin.RemoveFactor,
	effect.PasskeyRemoved:     admin.RemoveFactor,
	effect.PluginRemoved:      admin.RemoveFactor,
	effect.DeviceRemoved:      admin.EndSessions,
	effect.WebSessionEnded:    admin.EndSessions,
	effect.LoggedOutAll:       admin.EndSessions,
	effect.TOTPAdded:          admin.Provision,
	effect.BackupCodesMade:    admin.Provision,
	effect.TOTPCodeShown:      admin.ShowCode,
	effect.AppPasswordCreated: admin.CreateAppPassword,
	effect.AppPasswordRenewed: admin.CreateAppPassword,
	effect.ProfileFetched:     admin.CreateAppPassword,
	effect.TwoFactorOff:       admin.Disable,
	effect.PolicyChanged:      admin.SetPolicy,
	effect.ClassChanged:       admin.SetClass,
	effect.BypassGranted:      admin.Bypass,
	effect.BypassEnded:        admin.Bypass,
	effect.Erased:             admin.Erase,
	effect.Exported:           admin.Erase,
}

// may reports whether the actor has the right over the account as just read. It is asked
// in every attempt at a change, so that neither an account that has moved nor an
// administrator who is none any more gets by (ATTACKS 27). Owners are judged by policy,
// in the plan of each change.
func (a *Actor) may(ctx context.Context, right admin.Right, target *account.Account) error {
	switch {
	case a.root, a.Owner != nil:
		return nil
	case a.Authority == nil:
		return fmt.Errorf("%w: nobody acts here", admin.ErrForbidden)
	}
	return a.Authority.May(ctx, right, target)
}

// noPanel keeps a hosting panel from giving itself a credential of an account with
// two-factor login: only its owner does, or a person (FEATURES E6).
func (d *draft) noPanel() error {
	if who := d.who.Authority; who == nil || !who.Panel || !d.account.TwoFactor() {
		return nil
	}
	return fmt.Errorf("%w: %s has two-factor login, so no program may make a credential for it", admin.ErrForbidden, d.account.Name)
}

// Look reads one account for an administrator. Who may not see addresses gets none.
// What is refused is audited, as a change would be. Errors: admin.ErrForbidden, and
// those of Overview.
func (d *Desk) Look(ctx context.Context, who Actor, user string) (Overview, error) {
	a, err := d.look(ctx, order{who: who, user: user, action: effect.AccountViewed}, admin.SeeStatus)
	if err != nil {
		return Overview{}, err
	}
	o := OverviewOf(a, d.Now())
	if who.may(ctx, admin.SeeAddresses, a) != nil {
		o.hideAddresses()
	}
	return o, nil
}

// look reads the account if the actor has the right over it.
func (d *Desk) look(ctx context.Context, o order, right admin.Right) (*account.Account, error) {
	a, err := d.read(ctx, o.user)
	if err == nil {
		err = o.who.may(ctx, right, a)
	}
	if err != nil {
		d.recordFailure(o, a, err)
		return nil, err
	}
	return a, nil
}

// hideAddresses leaves out from where credentials are used, and may be.
func (o *Overview) hideAddresses() {
	hide := func(u *account.Use) { *u = account.Use{At: u.At, Service: u.Service} }
	o.Summary.hideAddresses()
	for i := range o.Factors {
		hide(&o.Factors[i].Used)
	}
	for i := range o.TOTP {
		hide(&o.TOTP[i].Used)
	}
	for i := range o.Devices {
		hide(&o.Devices[i].Used)
	}
	for i := range o.Sessions {
		hide(&o.Sessions[i].Used)
	}
	for i := range o.AppPasswords {
		hide(&o.AppPasswords[i].Used)
		o.AppPasswords[i].Networks = nil
	}
}

func (s *Summary) hideAddresses() {
	s.LastUse = account.Use{At: s.LastUse.At, Service: s.LastUse.Service}
	uses := make([]account.MainUse, len(s.MainUses))
	for i, u := range s.MainUses {
		uses[i] = account.MainUse{Use: account.Use{At: u.At, Service: u.Service}, Count: u.Count}
	}
	s.MainUses = uses
	if s.Known != nil {
		s.Known = s.Known.withoutNetworks()
	}
}
