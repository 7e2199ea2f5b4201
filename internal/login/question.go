package login

import (
	"context"
	"errors"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
)

// asked is Answer.Next: one more question of the factor, sealed for the page that gave
// the last answer. A factor that has no answer yet, and nothing more to ask, leaves nil.
func (s *SignIn) asked(t *try, bind []byte) (*Prompt, error) {
	if t.response.Prompt == nil && t.response.State == nil {
		return nil, nil //nolint:nilnil // see above
	}
	p, err := s.sealPrompt(t.response, prompted{method: t.method, purpose: t.purpose, bind: bind, browser: t.browser})
	return &p, err
}

// question adds it to an answer; what cannot be sealed cannot be gone on with.
func (s *SignIn) question(t *try, a Answer) Answer {
	if a.Reason != FactorPending {
		return a
	}
	var err error
	if a.Next, err = s.asked(t, t.bind); err != nil {
		return Answer{Outcome: account.Unavailable, Reason: FactorDown}
	}
	return a
}

// Resume shows the page of a method again as it was, with nothing begun anew. Errors:
// those of factor.Resumer; account.ErrNoRecord for methods that have nothing to resume.
func (s *SignIn) Resume(v *Visit, method, state string) (Prompt, error) {
	return s.resume(state, prompted{method: method, purpose: factor.Login, bind: v.t.ID, browser: v.browser})
}

// ConfirmResume is Resume for the owner who is asked again.
func (s *SignIn) ConfirmResume(o *Owner, method, state string) (Prompt, error) {
	return s.resume(state, prompted{method: method, purpose: factor.Confirm, bind: o.s.ID, browser: o.browser})
}

// EnrolResume is Resume for a factor that is being added.
func (s *SignIn) EnrolResume(e *Enrolee, method, state string) (Prompt, error) {
	return s.resume(state, prompted{method: method, purpose: factor.Enrol, bind: e.bind, browser: e.browser})
}

func (s *SignIn) resume(state string, q prompted) (Prompt, error) {
	f, ok := s.factor(q.method).(factor.Resumer)
	if !ok || state == "" {
		return Prompt{}, account.ErrNoRecord
	}
	opened, err := s.factorState(state, q)
	if err != nil {
		return Prompt{}, err
	}
	r, err := f.Resume(opened, s.now())
	return Prompt{Data: r.Prompt, State: state}, err
}

// Again prepares the page of a method anew, on behalf of somebody who asked for another
// message.
func (s *SignIn) Again(ctx context.Context, v *Visit, method string) (Prompt, error) {
	return s.prompt(ctx, &v.person, prompted{method: method, purpose: factor.Login, bind: v.t.ID, browser: v.browser, again: true})
}

// ConfirmAgain is Again for the owner who is asked again.
func (s *SignIn) ConfirmAgain(ctx context.Context, o *Owner, method string) (Prompt, error) {
	return s.prompt(ctx, &o.person, prompted{method: method, purpose: factor.Confirm, bind: o.s.ID, browser: o.browser, again: true})
}

// TooOld reports whether an error of Resume means that the question must be asked anew.
func TooOld(err error) bool { return errors.Is(err, factor.ErrForm) }

// sessionOf is what factors are told of what a page belongs to.
func sessionOf(q *prompted) []byte { return factor.HashMark(append([]byte("session "), q.bind...)) }

// factorOfRecord is the factor that the record is one of; nil: none that there is.
func (s *SignIn) factorOfRecord(r *account.Record) factor.Factor {
	name, err := factor.NameOf(r)
	if err != nil {
		return nil
	}
	return s.factor(name)
}

// request is what a factor is asked.
func (s *SignIn) request(t *try, now time.Time) factor.Request {
	q := prompted{method: t.method, purpose: t.purpose, bind: t.bind, browser: t.browser}
	return factor.Request{
		Purpose: t.purpose, Account: t.Account, Policy: t.Policy, Now: now, Domain: domainOf(t.Account),
		Origin: t.browser.Origin, State: t.state, Input: t.input, Language: t.browser.Language, Session: sessionOf(&q),
	}
}
