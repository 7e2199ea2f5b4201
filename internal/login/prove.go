package login

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

const (
	// maxFailures consecutive wrong tries disable a kind of factor (NIST SP 800-63B
	// section 5.2.2 asks for no more than 100).
	maxFailures = 100
	// freeFailures are followed by no wait; after them it doubles, up to maxBackoff.
	freeFailures = 3
	maxBackoff   = 5 * time.Minute
	// countTries bounds how often a failure is tried to be counted while others write.
	countTries = 16
)

// backoff is how long after the last of n wrong tries the next one is not even checked.
func backoff(n uint) time.Duration {
	if n <= freeFailures {
		return 0
	}
	if n-freeFailures > 8 {
		return maxBackoff
	}
	return min(maxBackoff, time.Second<<(n-freeFailures))
}

// try is one answer to one factor.
type try struct {
	person
	purpose  factor.Purpose
	method   string
	state    []byte
	bind     []byte // what the page belongs to
	input    map[string]string
	browser  Browser
	event    effect.Event // what the audit line starts from
	response factor.Response
}

// Answer is what came of it.
type Answer struct {
	account.Outcome
	Reason Reason
	Form   error         // with BadForm: what is wrong with it
	Wait   time.Duration // with Backoff: how long
	Drift  time.Duration // with WrongCode: how far the device's clock is off, 0 if not known
	// Next is one more question, with FactorPending; nil: the same page again.
	Next *Prompt
	// Redirect is where the browser goes, with Granted.
	Redirect string
	// Enrol is the token of the page on which a factor is set up before webmail is in, with
	// Granted and in place of Redirect; empty: none has to be.
	Enrol string
	// Device is the cookie of a browser that is to be trusted, with Granted; nil if not asked for.
	Device *DeviceCookie
}

func turnedDown(r Reason) Answer { return Answer{Outcome: account.Denied, Reason: r} }

// prove checks one answer to a factor of an account just read. Failures are counted
// in the account's State before this returns, so before anybody hears of them.
func (s *SignIn) prove(ctx context.Context, t *try) Answer {
	f := s.factor(t.method)
	if f == nil {
		return turnedDown(FactorMissing)
	}
	if a := s.mayTry(ctx, f, t); a.Reason != "" {
		return a
	}
	var err error
	t.response, err = f.Check(ctx, s.request(t, s.now()))
	a := s.question(t, answerOf(err))
	a.Drift = t.response.Drift
	if a.Reason == WrongCode {
		a = s.wrong(ctx, f, t, a)
	}
	if a.Outcome != account.Granted && a.Reason != BadForm && a.Reason != FactorPending {
		s.recordTry(t, a)
	}
	return a
}

// mayTry says why an answer is not even checked.
func (s *SignIn) mayTry(ctx context.Context, f factor.Factor, t *try) Answer {
	if advice := s.gate.throttle.Prefix(ctx, s.addressTry(t)); advice.Refuse {
		return Answer{Outcome: account.Denied, Reason: Throttled, Wait: time.Minute}
	}
	if t.Account == nil || t.purpose == factor.Enrol {
		return Answer{}
	}
	if !t.allows(f) {
		return turnedDown(FactorForbidden)
	}
	return blocked(t.Account, f.Kind(), s.now())
}

func blocked(a *account.Account, k account.Kind, now time.Time) Answer {
	n := a.State.Failures[k]
	if n >= maxFailures {
		return turnedDown(FactorDisabled)
	}
	// A clock that jumped back must not block for ever (ATTACKS 30).
	if wait := min(a.State.FailedAt[k].Add(backoff(n)).Sub(now), maxBackoff); n > freeFailures && wait > 0 {
		return Answer{Outcome: account.Denied, Reason: Backoff, Wait: wait}
	}
	return Answer{}
}

// answerOf maps the errors of Factor.Check.
func answerOf(err error) Answer {
	for _, m := range []struct {
		err    error
		reason Reason
	}{
		{factor.ErrForm, BadForm}, {factor.ErrSpent, SpentCode}, {factor.ErrClone, ClonedKey},
		{factor.ErrPending, FactorPending}, {factor.ErrWrong, WrongCode},
		{account.ErrNoRecord, FactorMissing}, {account.ErrDamaged, Damaged},
	} {
		if errors.Is(err, m.err) {
			return Answer{Outcome: account.Denied, Reason: m.reason, Form: err}
		}
	}
	if err != nil {
		return Answer{Outcome: account.Unavailable, Reason: FactorDown}
	}
	return Answer{Outcome: account.Granted}
}

// wrong counts a wrong answer, on the account as it is now: while it was being
// checked another may have been counted, and what that says comes first.
func (s *SignIn) wrong(ctx context.Context, f factor.Factor, t *try, a Answer) Answer {
	s.gate.throttle.Wrong(ctx, s.addressTry(t), false)
	// Nothing to guess yet; or nobody has shown the first factor, and strangers must not
	// be able to disable an account's passkeys.
	if t.purpose == factor.Enrol || t.purpose == factor.Passwordless || t.Account == nil {
		return a
	}
	for range countTries {
		state := t.Account.State.Clone()
		if state.Failures == nil {
			state.Failures = make(map[account.Kind]uint)
		}
		if state.FailedAt == nil {
			state.FailedAt = make(map[account.Kind]time.Time)
		}
		state.Failures[f.Kind()]++
		state.FailedAt[f.Kind()] = s.now()
		s.noteWrong(&state, t, f)
		edits, err := t.Account.StateEdit(state, s.now())
		if err == nil {
			err = s.gate.store.Apply(ctx, t.Account, edits...)
		}
		switch {
		case err == nil:
			s.alarmIfDisabled(f, t, state.Failures[f.Kind()])
			return a
		case !errors.Is(err, account.ErrConflict):
			return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
		}
		var reason Reason
		if t.person, reason, err = s.read(ctx, t.Account); err != nil || reason != "" {
			return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
		}
		if b := blocked(t.Account, f.Kind(), s.now()); b.Reason != "" {
			return b
		}
	}
	return Answer{Outcome: account.Unavailable, Reason: Busy}
}

func (s *SignIn) alarmIfDisabled(f factor.Factor, t *try, failures uint) {
	if failures != maxFailures {
		return
	}
	e := t.event
	e.Action, e.Outcome, e.Reason, e.Credential = effect.FactorDisabled, "alarm", string(FactorDisabled), f.Name()
	s.recordEvent(t, e)
}

func (s *SignIn) recordTry(t *try, a Answer) {
	e := t.event
	e.Action, e.Outcome, e.Reason, e.Credential = effect.SecondFactor, a.Outcome.String(), string(a.Reason), t.method
	e.Proven = t.purpose == factor.Login || t.purpose == factor.Confirm
	s.recordEvent(t, e)
}

func (s *SignIn) recordEvent(t *try, e effect.Event) {
	e.Time, e.Service, e.Door = s.now(), Webmail, "page"
	e.Client, e.Agent = t.browser.Addr, t.browser.Agent
	if t.Account != nil {
		e.User, e.Account, e.Domain = t.Account.Name, t.Account.ID, t.Account.Domain
	}
	s.recorder.Record(e)
}

// addressTry is what limits by address are told of a try.
func (s *SignIn) addressTry(t *try) Try {
	a := Try{Client: t.browser.Addr}
	if t.Account != nil {
		a.Account, a.Name = t.Account.ID, t.Account.Name
	}
	fields := make([]string, 0, len(t.input))
	for _, v := range t.input {
		fields = append(fields, v)
	}
	slices.Sort(fields)
	a.Secret = s.gate.fingerprintOf(a.Name, strings.Join(fields, "\x00"))
	return a
}
