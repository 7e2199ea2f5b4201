package login

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
	"postern/internal/session"
)

// Reasons of webmail's sign-in, besides those of the mail doors.
const (
	AppPasswordAtWebmail Reason = "app_password_at_webmail" // ATTACKS 28
	FirstFactor          Reason = "second_factor_needed"    // the password was right; not an end yet
	EnrolmentNeeded      Reason = "enrolment_needed"
	ServiceAccount       Reason = "service_account" // by policy: app passwords at mail doors only

	BadForm         Reason = "not_a_code" // a typing error: costs no try
	WrongCode       Reason = "wrong_code"
	SpentCode       Reason = "code_used_before"
	FactorDisabled  Reason = "factor_disabled" // by too many wrong tries (ATTACKS 7)
	FactorForbidden Reason = "factor_forbidden"
	FactorMissing   Reason = "no_such_factor"
	FactorPending   Reason = "factor_pending"
	FactorDown      Reason = "factor_unavailable"
	ClonedKey       Reason = "cloned_key" // ATTACKS 29
	Backoff         Reason = "too_soon"   // after wrong codes

	BadTransaction  Reason = "bad_transaction" // forged, of another client, or out of order
	TransactionOver Reason = "transaction_expired"
	BegunElsewhere  Reason = "begun_elsewhere" // another browser or address
	AccountChanged  Reason = "account_changed" // since the transaction began
	BadCode         Reason = "bad_code"        // the one-time code at the exchange
	BadGrant        Reason = "bad_grant"
	GrantOver       Reason = "session_over"
	BadLink         Reason = "bad_link" // the one-time link to the settings
	NeedsConfirm    Reason = "confirmation_needed"
	BadEnrolToken   Reason = "bad_enrolment_token"
)

// Tokens seals state that travels through browsers and webmail; package seal's Ring
// is one. Errors of Parse: seal.ErrToken, seal.ErrExpired.
type Tokens interface {
	Issue(role, purpose string, expires time.Time, body any) (string, error)
	Parse(role, purpose, token string, now time.Time, body any) error
}

// SignIn is webmail's sign-in, from the password to the ticket, and what follows it:
// renewal, the end, and the page session of the settings. It holds no state that
// matters: what goes on between two requests is sealed into tokens, and what must be
// used once is spent in the directory. So any number of webhooks may serve one login.
//
//	Begin (password) → Open, Answer (the browser, on our page) → Exchange → Renew … → End
//
// Every step reads the account anew, or writes only if nothing has changed since the
// step before (answers.go). Nobody has a credential before Exchange, which
// spends the factor and adds the session in one Modify.
type SignIn struct {
	gate      *Gate
	tokens    Tokens
	signer    session.Signer
	desk      *desk.Desk
	factors   []factor.Factor
	handles   Handles
	newBackup func(context.Context) (factor.NewBackup, error)
	recorder  effect.Recorder
	settings  SignInSettings

	claims  *claims
	answers answers
	turns   turns // tries of one account come one after the other
}

// SignInParts are what a SignIn stands on.
type SignInParts struct {
	Gate    *Gate
	Tokens  Tokens
	Signer  session.Signer
	Desk    *desk.Desk
	Factors []factor.Factor // in the order in which pages offer them
	Handles Handles         // nil: nobody signs in by a passkey alone
	// NewBackup makes backup codes; a factor.BackupFactor's NewCodes.
	NewBackup func(context.Context) (factor.NewBackup, error)
}

// Handles finds an account by the WebAuthn user handle that was made for it. Errors:
// account.ErrUnknown, account.ErrUnavailable.
type Handles interface {
	ByHandle(ctx context.Context, handle []byte) (*account.Account, error)
}

// SignInSettings are the site's choices.
type SignInSettings struct {
	PublicURL       string // of the pages, ending with a slash
	TicketLife      time.Duration
	TransactionLife time.Duration
	Services        []account.Service // what tickets open
	ReturnUser      bool              // webmail logs in with the account's own address
}

// NewSignIn returns a SignIn. It shares the gate's store, limits and audit log.
func NewSignIn(p SignInParts, settings SignInSettings) *SignIn {
	return &SignIn{
		gate: p.Gate, tokens: p.Tokens, signer: p.Signer, desk: p.Desk, newBackup: p.NewBackup, factors: p.Factors, handles: p.Handles,
		recorder: p.Gate.recorder, settings: settings, claims: newClaims(),
	}
}

func (s *SignIn) now() time.Time { return s.gate.now() }

// turn gives the account's tries one after the other: of many at once, none is
// answered before those that came first were counted (ATTACKS 7).
func (s *SignIn) turn(id account.ID) func() {
	return s.turns.take(id)
}

// Result is the answer to webmail.
type Result struct {
	account.Outcome
	Reason Reason
	// Granted, and Step is empty: webmail is in.
	Live *Live
	// Step is what the browser must do first, at URL: StepFactor or StepEnrol.
	Step        string
	Transaction string
	URL         string
	// Recommend says that the account's owner could switch two-step login on.
	Recommend bool
}

// The steps that a browser takes before webmail is in (DESIGN.md, hook API).
const (
	StepFactor = "second_factor"
	StepEnrol  = "enroll"
)

// Live is a session of webmail, with what opens mail. Ticket and Grant are empty for
// an account without factors while the write server is down: its password still works.
type Live struct {
	User    string // whom webmail logs in as
	Account string // the account's own name
	Ticket  account.Secret
	Grant   string
	Expires time.Time // of the ticket

	// Of the session, and empty without one: whose it is, by which credential
	// (account.Credential, or "main") and when it began.
	ID    account.ID
	Via   string
	Begun time.Time
}

func ended(o account.Outcome, r Reason) Result { return Result{Outcome: o, Reason: r} }

// person is an account as just read from the write server, with its policy.
type person struct {
	Account *account.Account
	Policy  policy.Effective
}

// read reads the account anew from the write server, and refuses what nothing opens.
func (s *SignIn) read(ctx context.Context, a *account.Account) (person, Reason, error) {
	fresh, err := s.gate.store.Read(ctx, a)
	return s.usable(fresh, err)
}

// readAnywhere is read, from a replica if the write server does not answer: for what
// decides nothing but whether a session goes on.
func (s *SignIn) readAnywhere(ctx context.Context, a *account.Account) (person, Reason, error) {
	fresh, err := s.gate.store.Read(ctx, a)
	if errors.Is(err, account.ErrUnavailable) {
		fresh, err = s.gate.find(ctx, a.Name)
		if err == nil && fresh.ID != a.ID {
			err = account.ErrUnknown
		}
	}
	return s.usable(fresh, err)
}

// usable returns a reason for a denial, or an error that means: could not be checked.
func (s *SignIn) usable(a *account.Account, err error) (person, Reason, error) {
	if err != nil {
		if d := s.gate.notFound(err); d.Outcome == account.Denied {
			return person{}, d.Reason, nil
		}
		return person{}, "", err
	}
	eff, err := a.Policy.Resolve()
	switch {
	case err != nil:
		return person{}, "", err
	case a.Status == account.Disabled:
		return person{}, AccountDisabled, nil
	case noWebmail(a, eff):
		return person{}, ServiceAccount, nil
	case a.Damage() != nil:
		return person{Account: a, Policy: eff}, Damaged, nil //nolint:nilerr // the reason says it
	}
	return person{a, eff}, "", nil
}

func (s *SignIn) factor(name string) factor.Factor {
	i := slices.IndexFunc(s.factors, func(f factor.Factor) bool { return f.Name() == name })
	if i < 0 {
		return nil
	}
	return s.factors[i]
}

// event writes the audit line of a sign-in.
func (s *SignIn) event(action effect.Action, t *transaction, a *account.Account, e effect.Event) {
	e.Time, e.Action, e.Service, e.Door = s.now(), action, Webmail, "hook"
	if t != nil {
		e.User, e.Client, e.Agent, e.Session = factor.Loggable(t.User), t.Addr, t.Agent, t.logID()
	}
	if a != nil {
		e.User, e.Account, e.Domain = a.Name, a.ID, a.Domain
	}
	s.recorder.Record(e)
}

// near reports whether two addresses belong to one household: the same, or in the
// same /24, or /48 of IPv6. One that is not known is near to all.
func near(a, b netip.Addr) bool {
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	if !a.IsValid() || !b.IsValid() {
		return true
	}
	if a.Is4() != b.Is4() {
		return true // one network, two protocols: browsers change between them at will
	}
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	return err == nil && p.Contains(b)
}
