package login

import (
	"context"
	"net/netip"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/session"
)

// grant is webmail's handle of a session. It does not change while the session lasts,
// so that parallel requests of a browser cannot lose it.
type grant struct {
	Account account.ID `cbor:"1,keyasint"`
	DN      string     `cbor:"2,keyasint"`
	Name    string     `cbor:"3,keyasint"` // the account's own
	User    string     `cbor:"4,keyasint"` // whom webmail logs in as
	Session string     `cbor:"5,keyasint"`
	Client  string     `cbor:"6,keyasint"`
}

func (g *grant) ref() *account.Account {
	return &account.Account{ID: g.Account, DN: g.DN, Name: g.Name}
}

// liveSession is a session that a handle names, as just read.
type liveSession struct {
	person
	record account.Record
	body   session.Session
}

type reader func(context.Context, *account.Account) (person, Reason, error)

// session reads the session of a handle. A reason means that it is over.
func (s *SignIn) session(ctx context.Context, g *grant, read reader) (liveSession, Reason, error) {
	p, reason, err := read(ctx, g.ref())
	if err != nil || reason != "" {
		return liveSession{}, reason, err
	}
	r, err := p.Account.Record(account.KindSession, g.Session)
	if err != nil {
		return liveSession{}, GrantOver, nil //nolint:nilerr // missing or damaged: over
	}
	body, err := session.Decode(r.Body)
	if err != nil || body.Client != g.Client || !s.alive(p, &r, body) {
		return liveSession{}, GrantOver, nil //nolint:nilerr // as above
	}
	return liveSession{p, r, body}, "", nil
}

// granted opens the grant of a client.
func (s *SignIn) granted(client, token string) (*grant, bool) {
	var g grant
	if s.open(purposeGrant, token, &g) != nil || g.Client != client {
		return nil, false
	}
	return &g, true
}

// Renew gives webmail a new ticket of a session that goes on. It writes nothing but
// the last use, at most hourly and in the background.
func (s *SignIn) Renew(ctx context.Context, client, token string) Result {
	g, ok := s.granted(client, token)
	if !ok {
		return ended(account.Denied, BadGrant)
	}
	ctx, cancel := context.WithTimeout(ctx, s.gate.settings.Deadline)
	defer cancel()
	l, reason, err := s.session(ctx, g, s.readAnywhere)
	if err != nil {
		return ended(account.Unavailable, DirectoryDown)
	}
	if reason != "" {
		return ended(account.Denied, reason)
	}
	ticket, expires, err := s.ticket(l.person, &l.record)
	if err != nil {
		return ended(account.Unavailable, FactorDown)
	}
	use := l.record.Used
	use.At = s.now()
	if use.At.Sub(l.record.Used.At) >= touchEvery {
		s.gate.touches.session(l.Account, l.record.ID, use)
	}
	return Result{Outcome: account.Granted,
		Live: &Live{User: g.User, Account: l.Account.Name, Ticket: ticket, Grant: token, Expires: expires,
			ID: l.Account.ID, Via: l.body.Via, Begun: l.record.Created}}
}

// End ends the session of a grant, and with it its ticket. One that is over already
// is no error.
func (s *SignIn) End(ctx context.Context, client, token string) Result {
	g, ok := s.granted(client, token)
	if !ok {
		return ended(account.Denied, BadGrant)
	}
	ctx, cancel := context.WithTimeout(ctx, s.gate.settings.Deadline)
	defer cancel()
	who := desk.Actor{Name: "webmail " + client, Owner: g.ref()}
	if err := s.desk.LogOut(ctx, who, g.Name, g.Session); err != nil {
		return ended(account.Unavailable, DirectoryDown)
	}
	return ended(account.Granted, "")
}

// CheckMain decides whether a password is the main password of the session's account.
func (s *SignIn) CheckMain(ctx context.Context, client, token string, password account.Secret, addr netip.Addr) Result {
	g, ok := s.granted(client, token)
	if !ok {
		return ended(account.Denied, BadGrant)
	}
	l, reason, err := s.session(ctx, g, s.readAnywhere)
	if err != nil {
		return ended(account.Unavailable, DirectoryDown)
	}
	if reason != "" {
		return ended(account.Denied, reason)
	}
	d := s.gate.Main(ctx, Attempt{User: g.User, Password: password, Service: Webmail, Client: addr, Door: "hook"})
	if d.Outcome == account.Granted && d.Account.ID != l.Account.ID {
		return ended(account.Denied, AccountChanged)
	}
	return ended(d.Outcome, d.Reason)
}

const linkLife = time.Minute

// link is a one-time link to the settings.
type link struct {
	ID       []byte `cbor:"1,keyasint"`
	Grant    grant  `cbor:"2,keyasint"`
	ReturnTo string `cbor:"3,keyasint"`
}

// SettingsLink makes a one-time link to the session's settings. The URL is empty
// unless the result is Granted.
func (s *SignIn) SettingsLink(ctx context.Context, client, token, returnTo string) (string, Result) {
	g, ok := s.granted(client, token)
	if !ok {
		return "", ended(account.Denied, BadGrant)
	}
	_, reason, err := s.session(ctx, g, s.readAnywhere)
	if err != nil {
		return "", ended(account.Unavailable, DirectoryDown)
	}
	if reason != "" {
		return "", ended(account.Denied, reason)
	}
	id := newTransaction().ID
	t, err := s.seal(purposeLink, linkLife, link{ID: id, Grant: *g, ReturnTo: returnTo})
	if err != nil {
		return "", ended(account.Unavailable, FactorDown)
	}
	return s.settings.PublicURL + "settings?t=" + t, ended(account.Granted, "")
}
