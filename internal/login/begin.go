package login

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
	"postern/internal/session"
)

// Start is webmail's question: a user name and a password as typed into its form.
type Start struct {
	Client   string // hook client, by its configured name
	User     string
	Password account.Secret
	Addr     netip.Addr // of the browser
	Agent    string     // the browser's own name
	ReturnTo string     // checked against the client's allow-list by the caller
	// Domain chooses the relying party that BeginPasskey asks by: "" or an unknown one,
	// the site's own. Only passkeys of accounts of that domain answer it.
	Domain string
}

// Begin checks the password and says what is next.
func (s *SignIn) Begin(ctx context.Context, st Start) Result {
	d := s.gate.Main(ctx, Attempt{User: st.User, Password: st.Password, Service: Webmail,
		Client: st.Addr, Agent: st.Agent, Door: "hook"})
	if d.Outcome != account.Granted {
		return ended(d.Outcome, d.Reason)
	}
	t := s.transactionOf(&st, d.Account)
	switch afterMain(&d, s.now()) {
	case Damaged:
		s.event(effect.Login, &t, d.Account, effect.Event{Outcome: account.Denied.String(), Reason: string(Damaged)})
		return ended(account.Denied, Damaged)
	case ServiceAccount:
		return s.deny(&t, d.Account, ServiceAccount)
	case Bypassed:
		return s.byBypass(ctx, &t)
	case FirstFactor:
		t.Stage = stageFactor
		return s.next(&t, d.Account, StepFactor)
	case EnrolmentNeeded:
		t.Stage, t.Postpone = stageEnrol, !needsFactor(d.Account, d.Policy, s.now())
		s.gate.noteGrace(d.Account, d.Policy)
		return s.next(&t, d.Account, StepEnrol)
	}
	return s.withoutFactor(ctx, &t, d)
}

// afterMain says what follows a right main password at webmail; "": a session.
func afterMain(d *Decision, now time.Time) Reason {
	switch {
	case d.Account.Damage() != nil:
		return Damaged
	case noWebmail(d.Account, d.Policy):
		return ServiceAccount
	case needsFactor(d.Account, d.Policy, now) && d.Account.Bypassed(Webmail, now):
		return Bypassed
	case d.Account.SwitchedOff:
		return ""
	case mustEnrol(d.Account, d.Policy):
		return EnrolmentNeeded
	case d.Account.State.Enrolled:
		return FirstFactor
	}
	return ""
}

// BeginPasskey begins a login with a passkey alone: nobody knows yet whose.
func (s *SignIn) BeginPasskey(_ context.Context, st Start) Result {
	t := s.transactionOf(&st, &account.Account{})
	t.Stage, t.Domain = stagePasswordless, strings.ToLower(st.Domain)
	return s.next(&t, nil, StepFactor)
}

func (s *SignIn) transactionOf(st *Start, a *account.Account) transaction {
	t := newTransaction()
	t.Client, t.ReturnTo, t.Addr, t.Begun = st.Client, st.ReturnTo, st.Addr, s.now()
	t.Agent = clip(effect.Clean(st.Agent), maxAgent)
	t.Account, t.DN, t.User, t.Epoch = a.ID, a.DN, st.User, a.Epoch()
	if s.settings.ReturnUser && a.Name != "" {
		t.User = a.Name
	}
	return t
}

// next hands the transaction to webmail and, sealed for another purpose, to the page.
func (s *SignIn) next(t *transaction, a *account.Account, step string) Result {
	forWebmail, err := s.seal(purposeTransaction, s.settings.TransactionLife, *t)
	forPage, err2 := s.seal(purposePage, s.settings.TransactionLife, *t)
	if err := errors.Join(err, err2); err != nil {
		return ended(account.Unavailable, FactorDown)
	}
	if a != nil {
		reason := map[string]Reason{StepFactor: FirstFactor, StepEnrol: EnrolmentNeeded}[step]
		s.event(effect.FirstFactor, t, a, effect.Event{Outcome: account.Granted.String(), Reason: string(reason), Credential: "main"})
	}
	page := "sign-in"
	switch t.Stage {
	case stageEnrol:
		page = "enrol"
	case stagePasswordless:
		page = "passkey"
	}
	return Result{Outcome: account.Granted, Step: step, Transaction: forWebmail,
		URL: s.settings.PublicURL + page + "?t=" + forPage}
}

// withoutFactor begins the session of an account without two-factor login. While the
// write server is down there is none, and the password goes on working.
func (s *SignIn) withoutFactor(ctx context.Context, t *transaction, d Decision) Result {
	p, reason, err := s.read(ctx, t.ref())
	if err == nil && reason == "" {
		if p.Account.TwoFactor() && !p.Account.SwitchedOff || p.Account.Epoch() != t.Epoch { // switched on, or the password changed, just now
			return ended(account.Denied, AccountChanged)
		}
		live, err := s.begin(ctx, t, p, session.Session{Via: "main"}, nil)
		if err == nil {
			return s.in(t, p, live, "main")
		}
		if !errors.Is(err, account.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			return s.deny(t, p.Account, AccountChanged)
		}
	} else if reason != "" {
		return s.deny(t, p.Account, reason)
	}
	return s.in(t, person{d.Account, d.Policy}, &Live{User: t.User, Account: d.Account.Name}, "main")
}

// byBypass begins the session of an account that an administrator has opened a bypass
// for. It ends with the bypass, and proves nothing at the settings.
func (s *SignIn) byBypass(ctx context.Context, t *transaction) Result {
	p, reason, err := s.read(ctx, t.ref())
	switch {
	case err != nil:
		return ended(account.Unavailable, DirectoryDown)
	case reason != "":
		return s.deny(t, p.Account, reason)
	case !p.Account.Bypassed(Webmail, s.now()) || p.Account.Epoch() != t.Epoch:
		return s.deny(t, p.Account, AccountChanged)
	}
	live, err := s.begin(ctx, t, p, session.Session{Via: session.ViaBypass}, nil)
	switch {
	case err == nil:
		s.event(effect.Login, t, p.Account, effect.Event{Outcome: account.Granted.String(), Reason: string(Bypassed), Credential: "main"})
		return Result{Outcome: account.Granted, Live: live}
	case errors.Is(err, account.ErrConflict):
		return s.deny(t, p.Account, AccountChanged)
	}
	return ended(account.Unavailable, DirectoryDown)
}

// in records that webmail is in.
func (s *SignIn) in(t *transaction, p person, live *Live, credential string) Result {
	s.gate.throttle.Right(context.Background(), Try{Account: p.Account.ID, Name: strings.ToLower(t.User), Client: t.Addr})
	s.event(effect.Login, t, p.Account, effect.Event{Outcome: account.Granted.String(), Credential: credential})
	return Result{Outcome: account.Granted, Live: live,
		Recommend: p.Policy.Recommend && p.Policy.TwoFactor == policy.Optional && !p.Account.TwoFactor()}
}

func (s *SignIn) deny(t *transaction, a *account.Account, r Reason) Result {
	s.event(effect.Login, t, a, effect.Event{Outcome: account.Denied.String(), Reason: string(r)})
	return ended(account.Denied, r)
}
