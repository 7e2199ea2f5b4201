package login

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/session"
)

// exchangeTries bounds how often an exchange is tried while others are faster.
const exchangeTries = 12

var errDenied = errors.New("denied")

// Exchange turns the code that the browser brought back, together with the
// transaction that webmail kept, into a session. One Modify spends the factor, adds
// the session and, if asked, trusts the device. Done again it gives the same session.
func (s *SignIn) Exchange(ctx context.Context, client, transactionToken, codeToken string) Result {
	var t transaction
	var c code
	if s.open(purposeTransaction, transactionToken, &t) != nil || t.Client != client {
		return s.deny(nil, nil, BadTransaction)
	}
	if s.open(purposeCode, codeToken, &c) != nil || !bytes.Equal(c.Transaction, t.hash()) {
		return s.deny(&t, nil, BadCode)
	}
	if t.Stage == stagePasswordless {
		t.Account, t.DN, t.User = c.Account, c.DN, c.User
	}
	ctx, cancel := context.WithTimeout(ctx, s.gate.settings.Deadline)
	defer cancel()
	if r, ok := s.unchanged(ctx, &t, &c); ok {
		return r
	}
	for try := range exchangeTries {
		p, reason, err := s.read(ctx, t.ref())
		if err != nil {
			break
		}
		if reason != "" {
			return s.deny(&t, p.Account, reason)
		}
		r := s.exchangeOnce(ctx, &t, &c, p)
		if r.Outcome != account.Unavailable || r.Reason != Busy {
			return r
		}
		if !pause(ctx, try) {
			break
		}
	}
	s.event(effect.Login, &t, nil, effect.Event{Outcome: account.Unavailable.String(), Reason: string(DirectoryDown)})
	return ended(account.Unavailable, DirectoryDown)
}

// unchanged is the exchange of an account in which nothing has changed since the answer:
// the one Modify itself finds that out, so there is nothing to read. False: not so, or
// nobody knows, and only reading tells.
func (s *SignIn) unchanged(ctx context.Context, t *transaction, c *code) (Result, bool) {
	p, ok := s.answers.take(t.ID, s.now())
	if !ok {
		return Result{}, false
	}
	edits, body, reason := s.redeem(t, c, p)
	if reason != "" {
		return Result{}, false
	}
	live, err := s.begin(ctx, t, p, body, edits)
	if err != nil {
		return Result{}, false
	}
	return s.exchanged(t, c, p, live), true
}

// exchangeOnce is unavailable with reason Busy when somebody was faster.
func (s *SignIn) exchangeOnce(ctx context.Context, t *transaction, c *code, p person) Result {
	if live, err := s.again(t, p); !errors.Is(err, account.ErrNoRecord) {
		if err != nil {
			return s.deny(t, p.Account, SpentCode)
		}
		return Result{Outcome: account.Granted, Live: live}
	}
	edits, body, reason := s.redeem(t, c, p)
	if reason != "" {
		return s.deny(t, p.Account, reason)
	}
	live, err := s.begin(ctx, t, p, body, edits)
	switch {
	case err == nil:
		return s.exchanged(t, c, p, live)
	case errors.Is(err, account.ErrConflict):
		return ended(account.Unavailable, Busy)
	}
	return ended(account.Unavailable, DirectoryDown)
}

// exchanged is the result of a session that has just begun.
func (s *SignIn) exchanged(t *transaction, c *code, p person, live *Live) Result {
	s.noteTrusted(t, p, c)
	return s.in(t, p, live, live.Via)
}

// again is the session that an earlier exchange of the same transaction began. Errors:
// account.ErrNoRecord if there was none; errDenied if it is over.
func (s *SignIn) again(t *transaction, p person) (*Live, error) {
	r, err := p.Account.Record(account.KindSession, t.sessionID())
	if err != nil {
		return nil, err
	}
	body, err := session.Decode(r.Body)
	if err != nil || !s.alive(p, &r, body) {
		return nil, errDenied
	}
	return s.live(t.User, p, &r, body)
}

// redeem checks what the code proves against the account as it is now, and returns
// the edits that spend it.
func (s *SignIn) redeem(t *transaction, c *code, p person) ([]account.Edit, session.Session, Reason) {
	body := session.Session{Strong: true}
	if p.Account.Epoch() != c.Epoch {
		return nil, body, AccountChanged
	}
	switch {
	case c.Postponed:
		body.Strong, body.Via = false, "main"
		if c.Renewed {
			body.Strong, body.Via = true, account.Credential(account.KindBackup, factor.BackupID)
		}
		if !enrolStage(t, c) || !mayPostpone(&p, c.Renewed, s.now()) {
			return nil, body, AccountChanged
		}
		return nil, body, ""
	case c.Enrolled:
		body.Via = account.Credential(c.Proof.Kind, c.Proof.ID)
		if !enrolStage(t, c) || !p.Account.State.Enrolled {
			return nil, body, AccountChanged
		}
		return s.trust(t, c, p, nil), body, ""
	case !p.Account.State.Enrolled || t.Stage == stageEnrol || s.mustRenew(&p):
		return nil, body, AccountChanged
	case c.Device != "":
		body.Via = account.Credential(account.KindDevice, c.Device)
		edits, reason := s.useDevice(t, c, p)
		return edits, body, reason
	}
	if t.Stage == stagePasswordless && !(c.Proof.Verified && p.Policy.Passwordless) {
		return nil, body, FactorForbidden
	}
	body.Via = account.Credential(c.Proof.Kind, c.Proof.ID)
	edits, reason := s.spend(c, p)
	return s.trust(t, c, p, edits), body, reason
}

// spend marks the proof as used, and forgets the wrong tries before it.
func (s *SignIn) spend(c *code, p person) ([]account.Edit, Reason) {
	edits, reason := s.spendProof(c.Proof, p)
	if reason != "" || p.Account.State.Failures[c.Proof.Kind] == 0 {
		return edits, reason
	}
	state := p.Account.State.Clone()
	delete(state.Failures, c.Proof.Kind)
	delete(state.FailedAt, c.Proof.Kind)
	more, err := p.Account.StateEdit(state, s.now())
	if err != nil {
		return nil, Damaged
	}
	return append(edits, more...), ""
}

func (s *SignIn) spendProof(proof factor.Proof, p person) ([]account.Edit, Reason) {
	if a := blocked(p.Account, proof.Kind, time.Time{}); a.Reason == FactorDisabled {
		return nil, FactorDisabled
	}
	was, err := p.Account.Record(proof.Kind, proof.ID)
	if errors.Is(err, account.ErrNoRecord) {
		return nil, FactorMissing
	}
	if err != nil || !was.Live(s.now()) {
		return nil, Damaged
	}
	f := s.factorOfRecord(&was)
	if f == nil || !p.allows(f) {
		return nil, FactorForbidden
	}
	now, err := f.Spend(was, proof, s.now())
	if err != nil {
		return nil, answerOf(err).Reason
	}
	return []account.Edit{{Was: &was, Now: &now}}, ""
}

// begin adds the session together with the other edits. Errors are those of
// Store.Apply.
func (s *SignIn) begin(ctx context.Context, t *transaction, p person, body session.Session, edits []account.Edit) (*Live, error) {
	now := s.now()
	body.Epoch, body.Client = p.Account.Epoch(), t.Client
	encoded, err := account.Encode(body)
	if err != nil {
		return nil, err
	}
	r := account.Record{
		Kind: account.KindSession, ID: t.sessionID(), Created: now, Expires: s.sessionExpires(p, body),
		Used: account.Use{At: now, Service: Webmail, From: t.Addr, Agent: t.Agent}, Body: encoded,
	}
	edits = append(edits, account.Edit{Now: &r})
	edits, events := s.remember(t, p, body, edits)
	edits = append(edits, p.Account.Overdue(now, edits...)...)
	if err := s.gate.store.Apply(ctx, p.Account, edits...); err != nil {
		return nil, err
	}
	s.tell(t, p.Account, events)
	return s.live(t.User, p, &r, body)
}

// sessionExpires is when a session that begins now ends by itself: under a bypass, with
// that.
func (s *SignIn) sessionExpires(p person, body session.Session) time.Time {
	expires := s.now().Add(p.Policy.SessionLife)
	if b := p.Account.State.Bypass; body.Via == session.ViaBypass && b != nil && b.Until.Before(expires) {
		return b.Until
	}
	return expires
}

// live makes the ticket and the grant of a session.
func (s *SignIn) live(user string, p person, r *account.Record, body session.Session) (*Live, error) {
	ticket, expires, err := s.ticket(p, r)
	if err != nil {
		return nil, err
	}
	g, err := s.tokens.Issue(account.RoleFactor, purposeGrant, r.Expires, grant{Account: p.Account.ID, DN: p.Account.DN,
		Name: p.Account.Name, User: user, Session: r.ID, Client: body.Client})
	return &Live{User: user, Account: p.Account.Name, Ticket: ticket, Grant: g, Expires: expires,
		ID: p.Account.ID, Via: body.Via, Begun: r.Created}, err
}

func (s *SignIn) ticket(p person, r *account.Record) (account.Secret, time.Time, error) {
	expires := s.now().Add(s.settings.TicketLife).Truncate(time.Second)
	if r.Expires.Before(expires) {
		expires = r.Expires
	}
	t := session.Ticket{Session: r.ID, Epoch: p.Account.Epoch(), Expires: expires, Services: s.settings.Services}
	text, err := t.Issue(s.signer, p.Account.ID)
	return text, expires, err
}

// alive reports whether a session goes on, and is enough for what the account needs by
// now.
func (s *SignIn) alive(p person, r *account.Record, body session.Session) bool {
	now := s.now()
	return body.Alive(p.Account, r, p.Policy, now) && body.Enough(p.Account, r, p.Policy, now)
}

// pause waits a random while, longer with every try; false means that ctx ended.
func pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(rand.N(10 * time.Millisecond * time.Duration(try+1))) //nolint:gosec // not a secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
