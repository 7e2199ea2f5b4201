package login

import (
	"context"
	"net/netip"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/session"
)

// DryRun says what right credentials of an account would get now: by the code that
// decides logins, with the one difference that no credential is looked at. It counts
// and records nothing, and knows nothing of the daemons' limits on guessing.
type DryRun struct{ gate *Gate }

// NewDryRun takes store, keys and clock of the parts. Close it.
func NewDryRun(p Parts, s Settings) *DryRun {
	p.Check, p.Throttle, p.Recorder = assumedRight{}, nil, effect.Discard{}
	return &DryRun{New(p, s)}
}

// assumedRight takes every main password for the right one. It never leaves a DryRun.
type assumedRight struct{}

func (assumedRight) Check(context.Context, *account.Account, account.Secret) error { return nil }

// Close ends the background work that a Gate has.
func (r *DryRun) Close(ctx context.Context) { r.gate.Close(ctx) }

// someMain stands for a main password: only its shape is looked at.
func someMain() account.Secret { return account.SecretString("main password") }

// Main is the decision on the right main password, its Account the one that was found.
// At webmail (service Webmail) Granted comes with what follows as Reason: FirstFactor,
// EnrolmentNeeded or none.
func (r *DryRun) Main(ctx context.Context, a Attempt) Decision {
	ctx, cancel := context.WithTimeout(ctx, r.gate.settings.Deadline)
	defer cancel()
	a.Password = someMain()
	if a.Service != Webmail {
		d := r.gate.mail(ctx, &a, r.gate.try(&a))
		sayOff(&d)
		return d
	}
	d := r.gate.main(ctx, &a, r.gate.try(&a))
	if d.Outcome == account.Granted {
		if d.Reason = afterMain(&d, r.gate.now()); d.Reason == Damaged || d.Reason == ServiceAccount {
			d.Outcome = account.Denied
		}
	}
	return d
}

// App is the decision on an app password of the account, by its id.
func (r *DryRun) App(a Attempt, acct *account.Account, id string) (Decision, factor.AppPassword) {
	rec, body, reason := storedApp(acct, id)
	if a.Service == Webmail {
		return denied(AppPasswordAtWebmail), body
	}
	eff, d := usable(acct)
	if d.Reason != "" {
		return d, body
	}
	if reason == "" {
		reason = r.gate.scope(&a, &rec, &body, eff)
	}
	if reason != "" {
		return denied(reason), body
	}
	return Decision{Outcome: account.Granted}, body
}

// Ticket is the decision on a ticket that webmail has just got for one of the account's
// sessions, which comes from webmail's own host. services are those that tickets open.
func (r *DryRun) Ticket(ctx context.Context, a Attempt, acct *account.Account, t session.Ticket) Decision {
	if r.gate.noTicketKey() {
		return unavailable(NoTicketKey)
	}
	eff, d := usable(acct)
	if d.Reason != "" {
		return d
	}
	a.Peer = r.webmailHost()
	t.Epoch, t.Expires = acct.Epoch(), r.gate.now().Add(time.Minute)
	if reason := r.gate.ticketScope(&a, &t); reason != "" {
		return denied(reason)
	}
	return r.gate.ticketSession(ctx, acct, &t, eff)
}

// webmailHost is an address that tickets may come from; the zero one, which is in no
// network, where none is configured.
func (r *DryRun) webmailHost() netip.Addr {
	for _, p := range r.gate.settings.WebmailNetworks {
		return p.Addr()
	}
	return netip.Addr{}
}
