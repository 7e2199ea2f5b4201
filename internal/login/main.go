package login

import (
	"context"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

// Webmail is the service of sign-ins by the hook, in audit events.
const Webmail account.Service = "webmail"

// Main decides whether a password is the account's main password: the first step of
// webmail, and its check of the current one. Granted says no more than that; whether
// a second factor is needed is SignIn's to ask. App passwords and tickets are refused
// by their shape: they are for mail programs (ATTACKS 28).
func (g *Gate) Main(ctx context.Context, a Attempt) Decision {
	start := g.now()
	ctx, cancel := context.WithTimeout(ctx, g.settings.Deadline)
	defer cancel()
	began := time.Now()
	try := g.try(&a)
	d := g.main(ctx, &a, try)
	g.learnFirst(ctx, &d, try)
	if d.Outcome != account.Granted { // what follows a right one is recorded by who asked
		g.record(effect.Login, &a, &d, effect.Event{Time: start})
	}
	if d.Outcome == account.Denied {
		pad(began, g.settings.DenialTime)
	}
	return d
}

func (g *Gate) main(ctx context.Context, a *Attempt, t *Try) Decision {
	if reason := refuseName(a); reason != "" {
		return denied(reason)
	}
	if a.Password.Empty() {
		return denied(EmptyPassword)
	}
	if advice := g.throttle.Prefix(ctx, *t); advice.Refuse {
		return throttled(advice)
	}
	if factor.Classify(a.Password).Shape != factor.Main {
		return denied(AppPasswordAtWebmail)
	}
	acct, err := g.find(ctx, a.User)
	if err != nil {
		return g.mainNotFound(ctx, err, t)
	}
	d := g.mainOf(ctx, a, acct)
	d.Account = acct
	return d
}

// mainNotFound: names that another passdb may know have no webmail session of ours,
// and an unknown name waits as a known one does.
func (g *Gate) mainNotFound(ctx context.Context, err error, t *Try) Decision {
	d := g.notFound(err)
	if d.Reason == Elsewhere {
		d.Reason = UnknownUser
	}
	if d.Reason == UnknownUser {
		if advice := g.limited(ctx, t); advice.Refuse {
			return throttled(advice)
		}
	}
	return d
}

func (g *Gate) mainOf(ctx context.Context, a *Attempt, acct *account.Account) Decision {
	eff, err := acct.Policy.Resolve()
	switch {
	case acct.Status == account.Disabled:
		return denied(AccountDisabled)
	case err != nil:
		return unavailable(PolicyUnreadable)
	case factor.LooksLikeOwn(a.Password, acct.HasApp):
		return denied(AppPasswordAtWebmail)
	}
	if advice := g.limited(ctx, g.try(a).of(acct)); advice.Refuse {
		return throttled(advice)
	}
	d := g.bind(ctx, a, acct)
	d.Credential, d.Policy = "main", eff
	if d.Reason == WrongPassword && acct.Status == account.BindLocked {
		d.Reason = BindLocked
	}
	return d
}

// learnFirst tells the limits about a first step. A right password makes no
// known-good pair yet: that is for who has the second factor too.
func (g *Gate) learnFirst(ctx context.Context, d *Decision, t *Try) {
	if d.Account != nil {
		t.Account = d.Account.ID
	}
	switch d.Reason {
	case WrongPassword, BindLocked, UnknownUser:
		g.throttle.Wrong(ctx, *t, true)
	case AppPasswordAtWebmail:
		g.throttle.Wrong(ctx, *t, false)
	}
}
