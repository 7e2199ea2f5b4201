package factor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/account"
)

// InputCode is the form field that codes are typed into.
const InputCode = "code"

// TOTPFactor is the factor of authenticator apps and hardware tokens. The zero value
// is ready to use.
type TOTPFactor struct{}

var _ Factor = TOTPFactor{}

// Kind implements Factor.
func (TOTPFactor) Kind() account.Kind { return account.KindTOTP }

// Name implements Factor.
func (TOTPFactor) Name() string { return NameTOTP }

// errPurpose: a factor was asked for what it cannot do, a defect of the caller.
var errPurpose = errors.New("this factor is not for that purpose")

// TOTPEnrolment is the state of an enrolment: the authenticator that is to be added.
// Its record's id is chosen first, so that one enrolment never makes two of them.
type TOTPEnrolment struct {
	ID   string `cbor:"1,keyasint"`
	TOTP TOTP   `cbor:"2,keyasint"`
}

// DecodeTOTPEnrolment reads the State that Begin returned, for the page that shows the
// secret. Errors wrap account.ErrDamaged.
func DecodeTOTPEnrolment(state []byte) (TOTPEnrolment, error) {
	var e TOTPEnrolment
	if err := account.Decode(state, &e); err != nil {
		return e, err
	}
	if err := e.TOTP.validate(); err != nil {
		return TOTPEnrolment{}, fmt.Errorf("%w: %w", err, account.ErrDamaged)
	}
	return e, nil
}

// Begin implements Factor. With Enrol, State holds a new secret (DecodeTOTPEnrolment);
// otherwise there is nothing to prepare.
func (TOTPFactor) Begin(_ context.Context, r Request) (Response, error) {
	switch r.Purpose {
	case Enrol:
		t, err := NewTOTP(TOTPOptions{})
		if err != nil {
			return Response{}, err
		}
		state, err := account.Encode(TOTPEnrolment{ID: account.NewID(), TOTP: t})
		return Response{State: state}, err
	case Login, Confirm:
		if list, err := authenticators(r.Account, r.Now); len(list) == 0 {
			return Response{}, err
		}
		return Response{}, nil
	}
	return Response{}, errPurpose
}

// Check implements Factor. It looks at all authenticators of the account; a fresh code
// of one wins over a spent one of another, and that over a wrong one. With ErrWrong,
// Drift is that of the authenticator it is smallest for. If an authenticator of the
// account cannot be read, ErrWrong comes along with account.ErrDamaged: the code may be
// that one's, but it counts as a try.
func (TOTPFactor) Check(_ context.Context, r Request) (Response, error) {
	switch r.Purpose {
	case Enrol:
		return checkTOTPEnrolment(r)
	case Login, Confirm:
		return checkTOTP(r)
	}
	return Response{}, errPurpose
}

func checkTOTP(r Request) (Response, error) {
	list, damage := authenticators(r.Account, r.Now)
	if len(list) == 0 {
		return Response{}, damage
	}
	code := compact(r.Input[InputCode])
	if err := numberForm(code, lengths(list)); err != nil {
		return Response{}, err
	}
	verdict := ErrWrong
	var hint time.Duration
	for _, a := range list {
		if a.totp.Digits != len(code) {
			continue
		}
		step, drift, err := a.totp.Verify(code, r.Now, r.Policy.TOTPTolerance)
		switch {
		case err == nil:
			return Response{Proof: Proof{Kind: account.KindTOTP, ID: a.id, Mark: stepMark(step)}}, nil
		case errors.Is(err, ErrSpent):
			verdict = ErrSpent
		case !errors.Is(err, ErrWrong):
			return Response{}, err
		case drift != 0 && (hint == 0 || drift.Abs() < hint.Abs()):
			hint = drift
		}
	}
	if errors.Is(verdict, ErrSpent) {
		return Response{}, verdict
	}
	return Response{Drift: hint}, errors.Join(verdict, damage)
}

// authenticator is one that was read.
type authenticator struct {
	id   string
	totp TOTP
}

// authenticators reads those of the account that are usable. Errors: account.ErrNoRecord
// when there is none at all; account.ErrDamaged, along with those that can be read.
func authenticators(a *account.Account, now time.Time) ([]authenticator, error) {
	records, err := a.Records(account.KindTOTP)
	var list []authenticator
	for i := range records {
		r := &records[i]
		t, decodeErr := DecodeTOTP(r.Body)
		switch {
		case decodeErr != nil:
			err = errors.Join(err, fmt.Errorf("%s %q: %w", r.Kind, r.ID, decodeErr))
		case r.Live(now):
			list = append(list, authenticator{r.ID, t})
		}
	}
	if len(list) == 0 && err == nil {
		return nil, fmt.Errorf("no authenticator: %w", account.ErrNoRecord)
	}
	return list, err
}

// lengths are those of the codes of these authenticators.
func lengths(list []authenticator) []int {
	var all []int
	for _, a := range list {
		all = append(all, a.totp.Digits)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// checkTOTPEnrolment returns the record to be stored. The code that proves it is spent
// already.
func checkTOTPEnrolment(r Request) (Response, error) {
	e, err := DecodeTOTPEnrolment(r.State)
	if err != nil {
		return Response{}, err
	}
	step, drift, err := e.TOTP.Verify(r.Input[InputCode], r.Now, r.Policy.TOTPTolerance)
	if err != nil {
		return Response{Drift: drift}, err
	}
	e.TOTP.Last = step
	body, err := account.Encode(e.TOTP)
	return Response{
		Proof:  Proof{Kind: account.KindTOTP, ID: e.ID, Mark: stepMark(step)},
		Record: account.Record{Kind: account.KindTOTP, ID: e.ID, Created: r.Now, Body: body},
	}, err
}

// Spend implements Factor.
func (TOTPFactor) Spend(r account.Record, p Proof, now time.Time) (account.Record, error) {
	if !p.of(&r) || len(p.Mark) != 8 {
		return r, errProof
	}
	return SpendTOTP(r, int64(binary.BigEndian.Uint64(p.Mark)), now)
}

func stepMark(step int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(step)) }

// errProof: a proof of another record, a defect of the caller.
var errProof = errors.New("the proof is not this record's")

func (p *Proof) of(r *account.Record) bool { return p.Kind == r.Kind && p.ID == r.ID }
