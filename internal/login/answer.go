package login

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

// Prompt is what a page shows for a method: the factor's own data for the template,
// and its state, sealed, which the form carries.
type Prompt struct {
	Data  []byte
	State string
	Shown []byte // with Enrol: the factor's state, of which the page shows a part (the secret to scan)
}

// factorState is a factor's state between two requests, bound to whom it was made for.
type factorState struct {
	Bind    []byte         `cbor:"1,keyasint"` // transaction or settings session
	Method  string         `cbor:"2,keyasint"`
	Purpose factor.Purpose `cbor:"3,keyasint"`
	State   []byte         `cbor:"4,keyasint,omitempty"`
}

const stateLife = 10 * time.Minute

// Prompt prepares the page of a method. Errors are those of Factor.Begin.
func (s *SignIn) Prompt(ctx context.Context, v *Visit, method string) (Prompt, error) {
	purpose := factor.Login
	if v.Passwordless() {
		purpose = factor.Passwordless
	}
	return s.prompt(ctx, &v.person, prompted{method: method, purpose: purpose, bind: v.t.ID, browser: v.browser, domain: v.t.Domain})
}

// prompted is what a page asks for, and for whom.
type prompted struct {
	method  string
	purpose factor.Purpose
	bind    []byte
	browser Browser
	again   bool   // another message is wanted
	domain  string // of the relying party, while there is no account
}

func (s *SignIn) prompt(ctx context.Context, p *person, q prompted) (Prompt, error) {
	f := s.factor(q.method)
	if f == nil {
		return Prompt{}, account.ErrNoRecord
	}
	r, err := f.Begin(ctx, factor.Request{Purpose: q.purpose, Account: p.Account, Policy: p.Policy, Now: s.now(),
		Domain: cmp.Or(domainOf(p.Account), q.domain), Origin: q.browser.Origin, Language: q.browser.Language, Session: sessionOf(&q), Again: q.again})
	if err != nil {
		return Prompt{}, err
	}
	return s.sealPrompt(r, q)
}

// sealPrompt makes the page's prompt of what a factor answered.
func (s *SignIn) sealPrompt(r factor.Response, q prompted) (Prompt, error) {
	state, err := s.seal(purposeFactor, stateLife, factorState{Bind: q.bind, Method: q.method, Purpose: q.purpose, State: r.State})
	shown := r.State
	if q.purpose != factor.Enrol {
		shown = nil
	}
	return Prompt{Data: r.Prompt, State: state, Shown: shown}, err
}

func domainOf(a *account.Account) string {
	if a == nil {
		return ""
	}
	return a.Domain
}

// factorState opens what prompt sealed for the same purpose. A form without it is
// one whose factor needs none.
func (s *SignIn) factorState(token string, q prompted) ([]byte, error) {
	if token == "" {
		return nil, nil
	}
	var st factorState
	if err := s.open(purposeFactor, token, &st); err != nil {
		return nil, err
	}
	if string(st.Bind) != string(q.bind) || st.Method != q.method || st.Purpose != q.purpose {
		return nil, errors.New("state of another page")
	}
	return st.State, nil
}

// Reply is what the page of a login posted.
type Reply struct {
	Method string
	State  string            // Prompt.State
	Input  map[string]string // the form's fields
	Trust  bool              // "trust this device"
}

// Answer checks the reply of a login's page. Granted carries where the browser goes,
// with the one-time code; nothing is spent yet. If the account's last factor is gone it
// carries Enrol instead, and the backup code is spent.
func (s *SignIn) Answer(ctx context.Context, v *Visit, r Reply) Answer {
	if v.Enrolling() {
		return turnedDown(BadTransaction)
	}
	purpose := factor.Login
	if v.Passwordless() {
		purpose = factor.Passwordless
	} else {
		defer s.turn(v.t.Account)()
		// Read in turn, also what was read before: other tries may have been counted since.
		p, reason, err := s.read(ctx, v.t.ref())
		if err != nil {
			return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
		} else if reason != "" {
			return turnedDown(reason)
		}
		v.person = p
		if s.changed(&v.person, &v.t) {
			return turnedDown(AccountChanged)
		}
		if a := s.renewing(v); a.Outcome == account.Granted || a.Reason != "" {
			return a
		}
	}
	state, err := s.factorState(r.State, prompted{method: r.Method, purpose: purpose, bind: v.t.ID, browser: v.browser})
	if err != nil {
		return turnedDown(TransactionOver) //nolint:nilerr // begun too long ago, or forged
	}
	t := &try{person: v.person, purpose: purpose, method: r.Method, state: state, input: r.Input, bind: v.t.ID,
		browser: v.browser, event: effect.Event{Session: v.t.logID()}}
	if v.Passwordless() {
		return s.passwordless(ctx, v, t)
	}
	a := s.prove(ctx, t)
	if a.Outcome != account.Granted {
		return a
	}
	if s.mustRenew(&v.person) {
		return s.renew(ctx, v, t.response.Proof)
	}
	s.answers.keep(v.t.ID, t.person, s.now())
	return s.answered(v, code{Proof: t.response.Proof, Epoch: v.t.Epoch}, r.Trust)
}

// answered makes the code and, if asked and allowed, the cookie of a trusted device.
func (s *SignIn) answered(v *Visit, c code, trust bool) Answer {
	a := Answer{Outcome: account.Granted}
	c.Transaction = v.t.hash()
	if days := v.Policy.TrustedDeviceDays; trust && days > 0 && c.Device == "" {
		cookie, id, err := s.deviceCookie(v.Account, days, c.Epoch)
		if err != nil {
			return Answer{Outcome: account.Unavailable, Reason: FactorDown}
		}
		a.Device, c.Trust = cookie, id
	}
	token, err := s.seal(purposeCode, codeLife, c)
	if err != nil {
		return Answer{Outcome: account.Unavailable, Reason: FactorDown}
	}
	a.Redirect = v.t.back("code", token)
	return a
}

// Postpone leaves enrolment for another day, while the grace lasts.
func (s *SignIn) Postpone(v *Visit) Answer {
	if !v.Enrolling() || !v.t.Postpone || !mayPostpone(&v.person, v.t.Renews, s.now()) {
		return turnedDown(BadTransaction)
	}
	return s.answered(v, code{Postponed: true, Renewed: v.t.Renews, Epoch: v.t.Epoch}, false)
}

// passwordless answers for the account that the passkey names. A stranger learns
// nothing from it: whatever is wrong with account or key, the answer is one (ATTACKS 10).
func (s *SignIn) passwordless(ctx context.Context, v *Visit, t *try) Answer {
	p, err := s.named(ctx, t)
	if err != nil {
		return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
	}
	if p.Account == nil {
		a := turnedDown(WrongCode)
		s.recordTry(t, a)
		return a
	}
	t.person = p
	defer s.turn(p.Account.ID)()
	a := s.prove(ctx, t)
	switch {
	case a.Outcome == account.Unavailable:
		return a
	case a.Outcome != account.Granted:
		return turnedDown(WrongCode) // the audit log has the reason
	}
	v.person = t.person
	return s.answered(v, code{Proof: t.response.Proof, Epoch: p.Account.Epoch(),
		Account: p.Account.ID, DN: p.Account.DN, User: p.Account.Name}, false)
}

// named finds the account whose user handle the passkey gave. The zero person means
// that there is none, or that it may not sign in this way.
func (s *SignIn) named(ctx context.Context, t *try) (person, error) {
	d, ok := s.factor(t.method).(factor.Discoverer)
	if !ok || s.handles == nil {
		return person{}, nil
	}
	handle, err := d.Handle(t.input)
	if err != nil {
		return person{}, nil //nolint:nilerr // a malformed answer names nobody
	}
	found, err := s.handles.ByHandle(ctx, handle)
	if errors.Is(err, account.ErrUnavailable) {
		return person{}, err
	}
	if err != nil {
		return person{}, nil //nolint:nilerr // names nobody
	}
	p, reason, err := s.read(ctx, found)
	if err != nil {
		return person{}, err
	}
	if reason != "" || !p.Account.State.Enrolled || !p.Policy.Passwordless || !bytes.Equal(p.Account.State.Handle, handle) {
		return person{}, nil
	}
	return p, nil
}
