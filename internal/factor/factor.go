package factor

import (
	"context"
	"errors"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

// Purpose is what a factor is asked for.
type Purpose uint8

// The purposes. What proves one proves no other: each is part of the sealed state.
const (
	Login        Purpose = iota + 1 // the second step, after a right password
	Passwordless                    // alone, in place of the password (passkeys only)
	Enrol                           // a new factor is being added
	Confirm                         // before security settings are changed
)

// Request is one question to a factor about one account.
type Request struct {
	Purpose Purpose
	Account *account.Account // as the write server has it; nil when Begin is asked with Passwordless
	Policy  policy.Effective
	Now     time.Time
	Domain  string            // of the account, or that of the page with Passwordless: chooses the relying party
	Origin  string            // scheme, host and port of the page
	State   []byte            // what Begin returned; nil for factors that return none
	Input   map[string]string // form fields the page posted, by name
	// Language is the page's: en, de, es, fr, ru. Session is the same for all that belongs
	// to one login, enrolment or confirmation; Again says that somebody asked Begin for
	// another message. Plug-ins are told all three.
	Language string
	Session  []byte
	Again    bool
}

// Response is what a factor answers.
type Response struct {
	// Begin: Prompt is data for the page's template (WebAuthn: the options as JSON),
	// State is what Check needs and travels sealed through the browser.
	Prompt []byte
	State  []byte
	// Check, with ErrPending: Prompt and State of one more question, if there is one.
	// Check: what was proved.
	Proof Proof
	// Check, with ErrWrong: the code is right at another time; the device's clock is
	// that far ahead (behind, if negative). Zero: not known.
	Drift time.Duration
	// Check, purpose Enrol: the new record, with its Body; not stored yet.
	Record account.Record
	// Check, purpose Enrol: the WebAuthn user handle that the record was made with, to be
	// stored in State.
	Handle []byte
}

// Proof is that a factor was presented rightly. It travels sealed to the exchange,
// which spends it; until then it is worth nothing.
type Proof struct {
	Kind account.Kind `cbor:"1,keyasint,omitempty"`
	ID   string       `cbor:"2,keyasint,omitempty"` // of the record that is spent
	Mark []byte       `cbor:"3,keyasint,omitempty"` // the factor's own: a step, the hash of a code, a challenge
	// Verified says that the factor verified its user as well (a passkey by
	// fingerprint, face or PIN).
	Verified bool `cbor:"4,keyasint,omitempty"`
}

// ErrPending: the answer is not there yet (a push message); ask again.
// ErrUnavailable: the factor cannot be checked at the moment.
// ErrClone: a counter went back: somebody has a copy of the key (ATTACKS 29).
var (
	ErrPending     = errors.New("no answer yet")
	ErrUnavailable = errors.New("factor cannot be checked")
	ErrClone       = errors.New("the key's counter went back")
)

// Factor is a second factor. Check changes nothing; what it proved is marked by
// Spend, whose record the caller swaps for the stored one in the same Modify that
// makes the session. Implementations are safe for concurrent use.
type Factor interface {
	// Kind is the kind of its records, Name how policies call it: totp, passkey,
	// backup, plugin:NAME.
	Kind() account.Kind
	Name() string
	// Begin prepares a page. Errors: ErrUnavailable; account.ErrNoRecord when the
	// account has none of it; account.ErrDamaged.
	Begin(ctx context.Context, r Request) (Response, error)
	// Check checks an answer. Errors: ErrForm (costs no try), ErrWrong, ErrSpent,
	// ErrClone, ErrPending, ErrUnavailable, account.ErrNoRecord, account.ErrDamaged.
	Check(ctx context.Context, r Request) (Response, error)
	// Spend returns the record with the proof's mark used up at now. Pure, so that it
	// can be done again on a fresh record after a conflict. Errors: ErrSpent.
	Spend(r account.Record, p Proof, now time.Time) (account.Record, error)
}

// Discoverer is a factor whose answer names the account (WebAuthn's discoverable
// credentials): SignIn finds it before it asks Check.
type Discoverer interface {
	// Handle is the user handle in an answer, unchecked. Errors: ErrForm.
	Handle(input map[string]string) ([]byte, error)
}
