package login

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"postern/internal/account"
	"postern/internal/policy"
	"postern/internal/session"
)

// noTicketKey reports that no ticket can be told from a forged one here: the public
// half of any ticket key is missing.
func (g *Gate) noTicketKey() bool { return g.tickets == nil || !g.tickets.CanVerify() }

// ticket checks a ticket of webmail. Only a signature that is wrong for the account
// that was found is a guess: everything else befalls tickets that were right once, and
// webmail, through which all its users come, must not be shut out for them.
func (g *Gate) ticket(ctx context.Context, a *Attempt, acct *account.Account, eff policy.Effective) Decision {
	t, err := session.Parse(g.tickets, acct.ID, a.Password)
	switch {
	case errors.Is(err, session.ErrUnknownKey) && g.settings.fromWebmail(a):
		return unavailable(NoTicketKey) // a new key, and the ticket.pub here is old
	case err != nil:
		return denied(BadTicket)
	}
	d := denied(g.ticketScope(a, &t))
	if d.Reason == "" {
		d = g.ticketSession(ctx, acct, &t, eff)
	}
	d.Credential = "session:" + t.Session
	return d
}

// ticketScope says why a genuine ticket must not be used here and now.
func (g *Gate) ticketScope(a *Attempt, t *session.Ticket) Reason {
	switch {
	case !g.now().Before(t.Expires):
		return TicketExpired
	case !slices.Contains(t.Services, a.Service):
		return WrongService
	case !g.settings.fromWebmail(a):
		return WrongNetwork
	}
	return ""
}

// fromWebmail reports whether one of the webmail hosts connected. It tells Dovecot
// the browser's address, which is then the attempt's Client; what counts is the Peer,
// which nobody can choose. A door that tells none has seen no forwarded address.
func (s *Settings) fromWebmail(a *Attempt) bool {
	from := a.Peer
	if !from.IsValid() {
		from = a.Client
	}
	from = from.Unmap().WithZone("")
	return slices.ContainsFunc(s.WebmailNetworks, func(p netip.Prefix) bool { return p.Contains(from) })
}

// ticketSession decides by the session that the ticket stands for.
func (g *Gate) ticketSession(ctx context.Context, acct *account.Account, t *session.Ticket, eff policy.Effective) Decision {
	rec, err := acct.Record(account.KindSession, t.Session)
	if errors.Is(err, account.ErrNoRecord) {
		// Ended; or begun a moment ago, and the replica that was read lags behind.
		fresh, failed := g.store.Read(ctx, acct)
		switch {
		case errors.Is(failed, account.ErrUnknown), failed == nil && fresh.Status == account.Disabled:
			return denied(SessionEnded)
		case failed != nil:
			return unavailable(DirectoryDown)
		}
		acct = fresh
		rec, err = acct.Record(account.KindSession, t.Session)
	}
	if errors.Is(err, account.ErrNoRecord) {
		return denied(SessionEnded)
	}
	if err != nil {
		return denied(Damaged)
	}
	s, err := session.Decode(rec.Body)
	if err != nil {
		return denied(Damaged)
	}
	if reason := g.sessionReason(acct, &rec, &s, t, eff); reason != "" {
		return denied(reason)
	}
	d := Decision{Outcome: account.Granted}
	if s.Bypassed(acct, &rec, g.now()) {
		d.Reason = Bypassed
	}
	return d
}

// sessionReason says why the ticket's session opens no mail.
func (g *Gate) sessionReason(acct *account.Account, rec *account.Record, s *session.Session, t *session.Ticket, eff policy.Effective) Reason {
	now := g.now()
	switch {
	case !s.Alive(acct, rec, eff, now), acct.Void(rec, t.Epoch), noWebmail(acct, eff):
		return SessionEnded
	case !s.Enough(acct, rec, eff, now):
		return SessionWeak
	}
	return ""
}
