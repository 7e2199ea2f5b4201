package login

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/session"
)

const (
	settingsLife = 30 * time.Minute
	// confirmedFor is how long a factor that was asked for again allows changes.
	confirmedFor = 5 * time.Minute
	keptLinks    = 16 // used links that a session remembers; each lives a minute
)

// settingsSession is the cookie of the settings pages. It hangs on webmail's session:
// when that ends, so does this.
type settingsSession struct {
	ID        []byte    `cbor:"1,keyasint"`
	Grant     grant     `cbor:"2,keyasint"`
	ReturnTo  string    `cbor:"3,keyasint"`
	Browser   []byte    `cbor:"4,keyasint"` // hash of the browser's cookie
	Confirmed time.Time `cbor:"5,keyasint,omitzero"`
}

// Owner is the owner of an account on the settings pages.
type Owner struct {
	liveSession
	browser Browser
	s       settingsSession
}

// User is whom webmail logs in as, Client the webmail, ReturnTo where it is.
func (o *Owner) User() string { return o.s.Grant.User }

// Client is the hook client of the session.
func (o *Owner) Client() string { return o.s.Grant.Client }

// ReturnTo is where the browser came from.
func (o *Owner) ReturnTo() string { return o.s.ReturnTo }

// SessionID is the id of the webmail session that the pages were opened from.
func (o *Owner) SessionID() string { return o.record.ID }

// Confirmed reports whether the owner gave a factor, or the password where there is
// none, within the last five minutes: without it nothing is changed.
func (o *Owner) Confirmed(now time.Time) bool {
	age := now.Sub(o.s.Confirmed)
	return !o.s.Confirmed.IsZero() && age >= 0 && age < confirmedFor
}

// Redeem uses a one-time link up and returns the value of the settings' cookie.
func (s *SignIn) Redeem(ctx context.Context, token string, b Browser) (string, Reason, error) {
	var k link
	if s.open(purposeLink, token, &k) != nil || b.Cookie == "" {
		return "", BadLink, nil //nolint:nilerr // whoever forged it learns no more
	}
	for try := range exchangeTries {
		l, reason, err := s.session(ctx, &k.Grant, s.read)
		if err != nil || reason != "" {
			return "", reason, err
		}
		if slices.ContainsFunc(l.body.Links, func(id []byte) bool { return bytes.Equal(id, k.ID) }) {
			return "", BadLink, nil
		}
		err = s.useLink(ctx, &l, k.ID)
		if err == nil {
			cookie, err := s.seal(purposeSettings, settingsLife, settingsSession{ID: k.ID, Grant: k.Grant,
				ReturnTo: k.ReturnTo, Browser: browserHash(b.Cookie)})
			return cookie, "", err
		}
		if !errors.Is(err, account.ErrConflict) || !pause(ctx, try) {
			return "", "", err
		}
	}
	return "", "", account.ErrUnavailable
}

func (s *SignIn) useLink(ctx context.Context, l *liveSession, id []byte) error {
	body := l.body
	body.Links = append(slices.Clone(body.Links), id)
	body.Links = body.Links[max(0, len(body.Links)-keptLinks):]
	return s.swapSession(ctx, l, body)
}

func (s *SignIn) swapSession(ctx context.Context, l *liveSession, body session.Session) error {
	encoded, err := account.Encode(body)
	if err != nil {
		return err
	}
	now := l.record
	now.Body = encoded
	return s.gate.store.Apply(ctx, l.Account, account.Edit{Was: &l.record, Now: &now})
}

func browserHash(cookie string) []byte {
	sum := sha256.Sum256([]byte(cookie))
	return sum[:]
}

// Owner reads who is on the settings pages from their cookie.
func (s *SignIn) Owner(ctx context.Context, cookie string, b Browser) (*Owner, Reason, error) {
	o := &Owner{browser: b}
	if s.open(purposeSettings, cookie, &o.s) != nil ||
		subtle.ConstantTimeCompare(o.s.Browser, browserHash(b.Cookie)) != 1 {
		return nil, GrantOver, nil //nolint:nilerr // as above
	}
	var reason Reason
	var err error
	o.liveSession, reason, err = s.session(ctx, &o.s.Grant, s.read)
	return o, reason, err
}

// Methods are those that confirm a change; none means: the password does.
func (s *SignIn) ConfirmMethods(o *Owner) (usable, disabled []string) {
	return o.methods(s.factors)
}

// ConfirmPrompt prepares the page that asks for a factor again.
func (s *SignIn) ConfirmPrompt(ctx context.Context, o *Owner, method string) (Prompt, error) {
	return s.prompt(ctx, &o.person, prompted{method: method, purpose: factor.Confirm, bind: o.s.ID, browser: o.browser})
}

// Confirm checks a factor of the owner, and spends it. The answer's Redirect is the
// new value of the settings' cookie.
func (s *SignIn) Confirm(ctx context.Context, o *Owner, r Reply) Answer {
	defer s.turn(o.Account.ID)()
	state, err := s.factorState(r.State, prompted{method: r.Method, purpose: factor.Confirm, bind: o.s.ID, browser: o.browser})
	if err != nil {
		return turnedDown(TransactionOver) //nolint:nilerr // begun too long ago, or forged
	}
	var reason Reason
	if o.liveSession, reason, err = s.session(ctx, &o.s.Grant, s.read); err != nil {
		return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
	} else if reason != "" {
		return turnedDown(reason)
	}
	t := &try{person: o.person, purpose: factor.Confirm, method: r.Method, state: state, input: r.Input, bind: o.s.ID,
		browser: o.browser, event: effect.Event{Session: o.record.ID}}
	if a := s.prove(ctx, t); a.Outcome != account.Granted {
		return a
	}
	if a := s.spendNow(ctx, o, t.response.Proof); a.Outcome != account.Granted {
		return a
	}
	return s.confirmed(o)
}

// spendNow spends a proof at once, on a fresh account after a conflict.
func (s *SignIn) spendNow(ctx context.Context, o *Owner, proof factor.Proof) Answer {
	for try := range exchangeTries {
		edits, reason := s.spend(&code{Proof: proof}, o.person)
		if reason != "" {
			return turnedDown(reason)
		}
		left, used := codesLeft(edits)
		if used {
			edits = s.noteBackup(&o.person, o.browser, edits)
		}
		err := s.gate.store.Apply(ctx, o.Account, edits...)
		if err == nil {
			if used {
				s.recordBackup(&o.person, o.browser, effect.Event{Session: o.record.ID, Left: left})
			}
			return Answer{Outcome: account.Granted}
		}
		if !errors.Is(err, account.ErrConflict) || !pause(ctx, try) {
			break
		}
		if o.liveSession, reason, err = s.session(ctx, &o.s.Grant, s.read); err != nil || reason != "" {
			break
		}
	}
	return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
}

// ConfirmPassword is Confirm for an account without a factor: its main password.
func (s *SignIn) ConfirmPassword(ctx context.Context, o *Owner, password account.Secret) Answer {
	if o.Account.TwoFactor() {
		return turnedDown(FactorMissing)
	}
	d := s.gate.Main(ctx, Attempt{User: o.User(), Password: password, Service: Webmail,
		Client: o.browser.Addr, Agent: o.browser.Agent, Door: "page"})
	if d.Outcome != account.Granted {
		return Answer{Outcome: d.Outcome, Reason: d.Reason}
	}
	if d.Account.ID != o.Account.ID {
		return turnedDown(AccountChanged)
	}
	return s.confirmed(o)
}

func (s *SignIn) confirmed(o *Owner) Answer {
	o.s.Confirmed = s.now()
	cookie, err := s.seal(purposeSettings, settingsLife, o.s)
	if err != nil {
		return Answer{Outcome: account.Unavailable, Reason: FactorDown}
	}
	return Answer{Outcome: account.Granted, Redirect: cookie}
}

// Actor is the owner as the author of a change, in the session that goes on.
func (o *Owner) Actor() desk.Actor {
	return desk.Actor{Name: "owner, by " + o.Client(), Owner: o.Account, Session: o.record.ID, Addr: o.browser.Addr, Agent: o.browser.Agent}
}
