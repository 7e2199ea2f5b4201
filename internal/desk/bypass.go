package desk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/session"
)

// NewBypass asks for a bypass.
type NewBypass struct {
	For      time.Duration     // at most account.MaxBypass
	Reason   string            // for the audit log and the owner's mail; needed
	Services []account.Service // empty: all mail services and webmail
}

// Bypass is a bypass that was granted.
type Bypass struct {
	User        string
	From, Until time.Time
	Services    []account.Service // empty: all
	Reason      string
	By          string
}

// webmail is the service of sign-ins at webmail, which package login calls Webmail.
const webmail account.Service = "webmail"

// BypassServices lists what a bypass can be limited to.
var BypassServices = append(slices.Clone(account.MailServices), webmail)

// Bypass lets an account in by its main password for a while, as if it had no
// two-factor login (FEATURES A17): at the mail doors and at webmail, never at an account
// that is disabled, and never as a proof for changing settings. It ends by itself, and
// what it let in ends with it. One that is open already is replaced: what began under it
// ends. Owners cannot. Errors: ErrForbidden, ErrInvalid, ErrNothing if the main password
// is enough anyway, account.ErrDamaged.
func (d *Desk) Bypass(ctx context.Context, who Actor, user string, n NewBypass) (Bypass, error) {
	var granted Bypass
	_, err := d.commit(ctx, order{who: who, user: user, action: effect.BypassGranted}, func(dr *draft) error {
		b, err := dr.bypass(n)
		if err != nil {
			return err
		}
		dr.endBypassed()
		dr.setState(func(s *account.State) { s.Bypass = &b })
		granted = Bypass{User: dr.account.Name, From: b.From, Until: b.Until, Services: b.Services, Reason: b.Reason, By: b.By}
		dr.event(effect.BypassGranted, "", fmt.Sprintf("until %s, for %s: %s", b.Until.UTC().Format(time.RFC3339), servicesText(b.Services), b.Reason))
		dr.events[len(dr.events)-1].Until = b.Until
		return nil
	})
	return granted, err
}

func (d *draft) bypass(n NewBypass) (account.Bypass, error) {
	reason, err := checkReason(n.Reason)
	switch {
	case d.who.Owner != nil:
		return account.Bypass{}, fmt.Errorf("%w: only an administrator grants a bypass", ErrForbidden)
	case err != nil:
		return account.Bypass{}, invalid(err)
	case n.For < time.Minute || n.For > account.MaxBypass:
		return account.Bypass{}, fmt.Errorf("%w: a bypass lasts from one minute to %v", ErrInvalid, account.MaxBypass)
	case intact(d.account) != nil:
		return account.Bypass{}, intact(d.account)
	case d.account.Status == account.Disabled:
		return account.Bypass{}, fmt.Errorf("%w: %s is disabled in the directory (%s); a bypass opens nothing", ErrInvalid, d.account.Name, d.account.Cause)
	}
	for _, s := range n.Services {
		if !slices.Contains(BypassServices, s) {
			return account.Bypass{}, fmt.Errorf("%w: %q is no service; there are %v", ErrInvalid, string(s), BypassServices)
		}
	}
	eff, err := d.account.Policy.Resolve()
	if err != nil {
		return account.Bypass{}, fmt.Errorf("%w: the policy cannot be read: %w", ErrInvalid, err)
	}
	if err := noService(d.account, eff); err != nil {
		return account.Bypass{}, err
	}
	if !d.account.NeedsFactor(eff, d.now) {
		return account.Bypass{}, fmt.Errorf("%w: the main password of %s is enough as it is", ErrNothing, d.account.Name)
	}
	now := d.now.Truncate(time.Second)
	return account.Bypass{From: now, Until: now.Add(n.For), Services: slices.Clone(n.Services), Reason: reason, By: loggable(d.who.Name)}, nil
}

func servicesText(list []account.Service) string {
	if len(list) == 0 {
		return "all services"
	}
	return fmt.Sprint(list)
}

// EndBypass ends a bypass before its time, and what it let in. Errors: ErrForbidden for
// owners, ErrNothing if none is open.
func (d *Desk) EndBypass(ctx context.Context, who Actor, user string) (Bypass, error) {
	var was Bypass
	_, err := d.commit(ctx, order{who: who, user: user, action: effect.BypassEnded}, func(dr *draft) error {
		b := dr.account.State.Bypass
		switch {
		case who.Owner != nil:
			return fmt.Errorf("%w: only an administrator ends a bypass", ErrForbidden)
		case intact(dr.account) != nil:
			return intact(dr.account)
		case !b.Open(dr.now):
			return fmt.Errorf("%w: no bypass is open for %s", ErrNothing, dr.account.Name)
		}
		was = *shownBypass(dr.account, dr.now)
		dr.endBypassed()
		dr.endBypass()
		return nil
	})
	return was, err
}

// endBypass closes an open bypass, and says so.
func (d *draft) endBypass() {
	b := d.account.State.Bypass
	if b == nil {
		return
	}
	d.setState(func(s *account.State) { s.Bypass = nil })
	if b.Open(d.now) {
		d.event(effect.BypassEnded, "", "before its time; it was granted because: "+b.Reason)
	}
}

// endBypassed ends the webmail sessions that a bypass began.
func (d *draft) endBypassed() {
	for _, v := range d.account.Values(account.KindSession) {
		r, err := d.open(account.KindSession, v)
		if err != nil {
			continue
		}
		if body, err := session.Decode(r.Body); err == nil && body.Via == session.ViaBypass {
			d.endWith(&r, effect.WebSessionEnded, make(Ended))
		}
	}
}

// shownBypass is the bypass that is open; nil: none is.
func shownBypass(a *account.Account, now time.Time) *Bypass {
	b := a.State.Bypass
	if a.Damage() != nil || !b.Open(now) {
		return nil
	}
	return &Bypass{User: a.Name, From: b.From, Until: b.Until, Services: b.Services, Reason: b.Reason, By: b.By}
}
