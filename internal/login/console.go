package login

import (
	"context"
	"strings"

	"postern/internal/account"
	"postern/internal/desk"
)

// Enter opens the pages' own session after a sign-in that the pages themselves began for
// the client, by the grant that it ended in: the same that Redeem opens after webmail's.
// A factor that was given a moment ago is not asked for again; a trusted device is none.
func (s *SignIn) Enter(ctx context.Context, client, token, returnTo string, b Browser) (string, Reason, error) {
	g, ok := s.granted(client, token)
	if !ok || b.Cookie == "" {
		return "", BadGrant, nil
	}
	l, reason, err := s.session(ctx, g, s.read)
	if err != nil || reason != "" {
		return "", reason, err
	}
	entered := settingsSession{ID: newTransaction().ID, Grant: *g, ReturnTo: returnTo, Browser: browserHash(b.Cookie)}
	if l.body.Strong && !strings.HasPrefix(l.body.Via, account.Credential(account.KindDevice, "")) {
		entered.Confirmed = l.record.Created
	}
	cookie, err := s.seal(purposeSettings, settingsLife, entered)
	return cookie, "", err
}

// Strong reports whether the owner's session began with a second factor, or with a
// device that stood in for one.
func (o *Owner) Strong() bool { return o.body.Strong && o.Account.State.Enrolled }

// Proved reports whether the owner has given a factor since these pages were opened,
// however long ago: see Confirmed.
func (o *Owner) Proved() bool { return !o.s.Confirmed.IsZero() }

// Prolong returns the cookie anew, for half an hour from now: who goes on looking at
// pages stays, and who stops does not.
func (s *SignIn) Prolong(o *Owner) (string, error) { return s.seal(purposeSettings, settingsLife, o.s) }

// Leave ends the session that the owner is in, where a sign-in of the pages themselves
// began it for the client; another's goes on.
func (s *SignIn) Leave(ctx context.Context, o *Owner, client string) error {
	if o.Client() != client {
		return nil
	}
	who := desk.Actor{Name: "owner, by " + client, Owner: o.Account, Addr: o.browser.Addr, Agent: o.browser.Agent}
	return s.desk.LogOut(ctx, who, o.Account.Name, o.SessionID())
}
