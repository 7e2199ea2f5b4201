package login

import (
	"context"
	"errors"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
)

// Enrolee is who adds a factor: the owner on the settings pages, freshly confirmed, or
// a visitor whom webmail sent to enrol.
type Enrolee struct {
	person
	browser Browser
	bind    []byte
	user    string
	actor   desk.Actor
	event   effect.Event
	// token is the administrator's, which a visitor after a reset must give.
	token string
	// proved: a factor or backup code of the account was asked for. visitor: on the way in.
	proved, visitor bool
}

// Enrolee is the visitor as one who adds a first factor, with the administrator's
// token where one is needed; nil if that is not what the login waits for.
func (v *Visit) Enrolee(token string) *Enrolee {
	if !v.Enrolling() {
		return nil
	}
	return &Enrolee{person: v.person, browser: v.browser, bind: v.t.ID, user: v.t.User,
		actor: desk.Actor{Name: "owner, by " + v.t.Client, Owner: v.Account, Addr: v.browser.Addr, Agent: v.browser.Agent},
		event: effect.Event{Session: v.t.logID()}, token: token, proved: v.t.Renews, visitor: true}
}

// Enrolee is the owner as one who adds a factor; nil unless freshly confirmed.
func (o *Owner) Enrolee(now time.Time) *Enrolee {
	if !o.Confirmed(now) {
		return nil
	}
	return o.Finishing()
}

// Finishing is the owner as one who finishes adding a factor, which CheckEnrol found
// right while the owner was freshly confirmed: good for FinishEnrol alone.
func (o *Owner) Finishing() *Enrolee {
	return &Enrolee{person: o.person, browser: o.browser, bind: o.s.ID, user: o.User(),
		actor: o.Actor(), event: effect.Event{Session: o.record.ID}, proved: true}
}

// EnrolMethods are the methods that the account's policy lets its owner add.
func (s *SignIn) EnrolMethods(e *Enrolee) []string {
	var names []string
	for _, f := range s.factors {
		if f.Kind().IsFactor() && e.allows(f) {
			names = append(names, f.Name())
		}
	}
	return names
}

// EnrolPrompt prepares the page on which a factor is added.
func (s *SignIn) EnrolPrompt(ctx context.Context, e *Enrolee, method string) (Prompt, error) {
	return s.prompt(ctx, &e.person, prompted{method: method, purpose: factor.Enrol, bind: e.bind, browser: e.browser})
}

// EnrolState opens the state of a prompt of the same enrolment, for the page that shows
// what is in it (factor.DecodeTOTPEnrolment). Any error means: begin again.
func (s *SignIn) EnrolState(e *Enrolee, method, state string) ([]byte, error) {
	return s.factorState(state, prompted{method: method, purpose: factor.Enrol, bind: e.bind, browser: e.browser})
}

// enrolment is a factor that was proved and is not stored yet: its owner is looking
// at the backup codes.
type enrolment struct {
	Bind   []byte         `cbor:"1,keyasint"`
	Kind   account.Kind   `cbor:"2,keyasint"`
	Record account.Record `cbor:"3,keyasint"`
	ID     string         `cbor:"4,keyasint"`
	Method string         `cbor:"5,keyasint"`
	Backup []byte         `cbor:"6,keyasint,omitempty"` // body of the codes' record
	Handle []byte         `cbor:"8,keyasint,omitempty"` // WebAuthn user handle
	// Epoch is the account's when the factor was proved: nothing is stored in another.
	Epoch int64 `cbor:"7,keyasint,omitempty"`
}

// Enrolment is what CheckEnrol found right: the codes to be shown, if any, and the
// token with which FinishEnrol stores it all.
type Enrolment struct {
	Token string
	Codes []account.Secret
	Kind  account.Kind
}

// CheckEnrol checks the first answer of a new factor. Nothing is stored before
// FinishEnrol. Backup codes come along where the account may have them and has none left.
func (s *SignIn) CheckEnrol(ctx context.Context, e *Enrolee, r Reply, name string) (Enrolment, Answer) {
	state, err := s.factorState(r.State, prompted{method: r.Method, purpose: factor.Enrol, bind: e.bind, browser: e.browser})
	f := s.factor(r.Method)
	if err != nil || f == nil || state == nil {
		return Enrolment{}, turnedDown(TransactionOver)
	}
	if !f.Kind().IsFactor() || !e.allows(f) {
		return Enrolment{}, turnedDown(FactorForbidden)
	}
	t := &try{person: e.person, purpose: factor.Enrol, method: r.Method, state: state, input: r.Input, bind: e.bind,
		browser: e.browser, event: e.event}
	if a := s.prove(ctx, t); a.Outcome != account.Granted {
		return Enrolment{}, a
	}
	record := t.response.Record
	record.Kind, record.Name = f.Kind(), name
	en := enrolment{Handle: t.response.Handle, Bind: e.bind, Kind: record.Kind, ID: record.ID, Method: f.Name(), Record: record, Epoch: e.Account.Epoch()}
	var backup factor.NewBackup
	if e.Policy.BackupCodes && desk.BackupLeft(e.Account) == 0 {
		if backup, err = s.newBackup(ctx); err != nil {
			return Enrolment{}, Answer{Outcome: account.Unavailable, Reason: FactorDown}
		}
		en.Backup = backup.Body
	}
	token, err := s.seal(purposeEnrolled, stateLife, en)
	if err != nil {
		return Enrolment{}, Answer{Outcome: account.Unavailable, Reason: FactorDown}
	}
	return Enrolment{Token: token, Codes: backup.Codes, Kind: en.Kind}, Answer{Outcome: account.Granted}
}

// FinishEnrol stores what CheckEnrol found right: factor, backup codes and the State
// that says that two-step login is on, in one Modify. A token that was used already
// is no error: the page was sent twice. Errors are those of desk.Enrol.
func (s *SignIn) FinishEnrol(ctx context.Context, e *Enrolee, token string) (desk.Enrolled, error) {
	var en enrolment
	if s.open(purposeEnrolled, token, &en) != nil || string(en.Bind) != string(e.bind) {
		return desk.Enrolled{}, errStale
	}
	en.Record.Kind, en.Record.ID = en.Kind, en.ID
	done, err := s.desk.Enrol(ctx, e.actor, e.Account.Name, desk.Enrolment{
		Record: en.Record, Method: en.Method, Backup: en.Backup, Handle: en.Handle, Token: account.SecretString(e.token), Epoch: en.Epoch,
		Proved: e.proved, Alone: e.visitor,
	})
	if errors.Is(err, desk.ErrNothing) {
		return desk.Enrolled{Name: en.Record.Name}, nil
	}
	return done, err
}

// errStale: the page was open for too long, or is somebody else's.
var errStale = errors.New("begun too long ago")

// Stale reports whether an error of FinishEnrol means: begin again.
func Stale(err error) bool { return errors.Is(err, errStale) }

// Enrolled ends the visit of somebody who has just enrolled: on to webmail.
func (s *SignIn) Enrolled(ctx context.Context, v *Visit) Answer {
	p, reason, err := s.read(ctx, v.t.ref())
	switch {
	case err != nil:
		return Answer{Outcome: account.Unavailable, Reason: DirectoryDown}
	case reason != "":
		return turnedDown(reason)
	case !v.Enrolling() || !p.Account.State.Enrolled || !p.Account.HasFactor():
		return turnedDown(BadTransaction)
	}
	v.person = p
	return s.answered(v, code{Enrolled: true, Renewed: v.t.Renews, Proof: onlyFactor(p.Account), Epoch: p.Account.Epoch()}, false)
}
