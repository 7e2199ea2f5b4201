// Package account is the vocabulary of Postern: accounts, their records, and the
// three outcomes of every decision.
//
// An account is the one directory entry that a search finds. Its key is ID
// (entryUUID unless configured otherwise), never the name somebody typed. All
// that Postern knows about it is a handful of sealed records in one holder
// entry. Every credential of every kind is a Record; the record of kind State
// names all others and is therefore the seal over them: what State does not
// name is not believed, and what State names but is missing is damage.
//
// The package holds no I/O. A Store (package ldapstore) reads accounts and
// applies edits; package login decides; package desk changes.
package account

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/policy"
)

// ID is the key of an account: entryUUID, or the configured id_attribute, in the
// directory's own text form (binary values in lower-case hex).
type ID string

// Status says whether the directory lets the account be used at all.
type Status uint8

// The closed set of statuses. A lock that wrong binds caused stops binds only:
// otherwise strangers could close somebody's mail (ATTACKS 8, 23).
const (
	Active     Status = iota
	BindLocked        // locked by wrong binds, perhaps not any more: the next bind tells
	Disabled          // by an administrator, or expired: nothing works
)

// Account is one directory entry as read, with its records still sealed.
type Account struct {
	ID     ID
	DN     string // the user's entry: what a bind uses
	Holder string // DN of the entry that holds the records
	Name   string // canonical login name, from the entry
	Domain string // lower case, from the entry, never from what was typed
	Class  string // posternClass
	Status Status
	// Cause says what made Status other than Active, for logs.
	Cause string
	// Fields are attributes that the configuration asks to return to Dovecot,
	// by Dovecot's field name.
	Fields map[string]string
	Policy policy.Layers
	// PasswordChanged is when the main password was last changed: the last moment of
	// the second, or of the day, that the directory names. Zero: it does not say.
	PasswordChanged time.Time
	// State is the zero State when there is none yet; see StateErr.
	State State
	// StateRecord is the record that State came from; nil when none is stored.
	StateRecord *Record
	// SwitchedOff says that an administrator has switched Postern off for a while: the
	// main password is enough for everybody (package siteswitch).
	SwitchedOff bool
	// Version differs after whatever changed of the entry, that is all above but Policy and
	// what only time changes, and the records. Empty: the directory does not tell.
	Version string
	// Asserted makes Apply change the account only as it was read: it is a conflict if
	// Version is not the entry's any more, or not known.
	Asserted bool
	// HasHolder reports that the holder entry exists and carries the object class.
	HasHolder bool

	stateErr error
	values   map[Kind][]Value
	opener   Opener
}

// Value is a sealed record as the directory returned it. ID is the readable part
// of its header; nothing else of it is trusted before it is opened.
type Value struct {
	ID     string
	Stored []byte
}

// Opener opens a sealed value that belongs to this account and kind.
type Opener interface {
	Open(id ID, k Kind, stored []byte) (Record, error)
}

// ErrDamaged is wrapped by every error that means: stored data does not match
// what Postern wrote. It leads to a denial and an alarm, never to "not enrolled".
var ErrDamaged = errors.New("stored record is damaged")

// ErrNoRecord says that the account has no record of that kind and id.
var ErrNoRecord = errors.New("no such record")

// Attach gives the account its sealed values and opens State, the only record
// that every decision needs. HasHolder must be set before.
func (a *Account) Attach(values map[Kind][]Value, o Opener) {
	a.values, a.opener = values, o
	a.State, a.StateRecord, a.stateErr = State{}, nil, nil
	states := values[KindState]
	if len(states) == 0 {
		// The first write makes holder and State together, and State is never
		// removed: without it somebody took it away, or hides it from us.
		if a.HasHolder {
			a.stateErr = fmt.Errorf("there is a holder, but no State: %w", ErrDamaged)
		}
		return
	}
	if len(states) > 1 {
		a.stateErr = fmt.Errorf("%d State values: %w", len(states), ErrDamaged)
		return
	}
	r, err := o.Open(a.ID, KindState, states[0].Stored)
	if err == nil {
		a.State, err = DecodeState(r.Body)
	}
	if err != nil {
		a.stateErr = fmt.Errorf("State: %w", err)
		return
	}
	a.StateRecord = &r
}

// Values returns the sealed values of one kind, in the directory's order.
func (a *Account) Values(k Kind) []Value { return a.values[k] }

// Record opens one record. It fails with ErrNoRecord if there is none, and with
// ErrDamaged if it cannot be opened or is not named by State.
func (a *Account) Record(k Kind, id string) (Record, error) {
	i := slices.IndexFunc(a.values[k], func(v Value) bool { return v.ID == id })
	if i < 0 {
		return Record{}, fmt.Errorf("%s %q: %w", k, id, ErrNoRecord)
	}
	if slices.ContainsFunc(a.values[k][i+1:], func(v Value) bool { return v.ID == id }) {
		return Record{}, fmt.Errorf("%s %q is stored more than once: %w", k, id, ErrDamaged)
	}
	r, err := a.opener.Open(a.ID, k, a.values[k][i].Stored)
	if err != nil {
		return Record{}, fmt.Errorf("%s %q: %w", k, id, err)
	}
	if a.stateErr != nil {
		return Record{}, a.stateErr
	}
	member := a.State.Find(k, id)
	switch {
	case member < 0:
		return Record{}, fmt.Errorf("%s %q is not named by State: %w", k, id, ErrDamaged)
	case a.State.Members[member].Ended && r.Ended.IsZero():
		return Record{}, fmt.Errorf("%s %q was revoked, and an older value put back: %w", k, id, ErrDamaged)
	}
	return r, nil
}

// StateEdit returns the edit that replaces State by s, for an account whose
// records are intact; else an error that wraps ErrDamaged. A new State is dated now.
func (a *Account) StateEdit(s State, now time.Time) ([]Edit, error) {
	if err := a.Damage(); err != nil {
		return nil, err
	}
	body, err := Encode(s)
	if err != nil {
		return nil, err
	}
	r := Record{Kind: KindState, ID: "state", Created: now, Body: body}
	if a.StateRecord != nil {
		r.Created = a.StateRecord.Created
	}
	return []Edit{{Was: a.StateRecord, Now: &r}}, nil
}

// EditState adds a change of State to edits, of which one may be of State already; the
// others may be of records. Errors are StateEdit's.
func (a *Account) EditState(edits []Edit, now time.Time, change func(*State)) ([]Edit, error) {
	for i, e := range edits {
		if e.Now == nil || e.Now.Kind != KindState {
			continue
		}
		s, err := DecodeState(e.Now.Body)
		if err != nil {
			return edits, err
		}
		change(&s)
		r := *e.Now
		if r.Body, err = Encode(s); err != nil {
			return edits, err
		}
		edits = slices.Clone(edits)
		edits[i].Now = &r
		return edits, nil
	}
	s := a.State.Clone()
	change(&s)
	more, err := a.StateEdit(s, now)
	return append(slices.Clip(edits), more...), err
}

// Records opens all records of one kind. Damaged ones are left out and reported
// in the error, so that a list can still be shown.
func (a *Account) Records(k Kind) ([]Record, error) {
	var (
		list []Record
		errs []error
	)
	for _, v := range a.values[k] {
		r, err := a.Record(k, v.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, r)
	}
	return list, errors.Join(errs...)
}

// Damage reports how the stored values differ from what State names; nil when
// they match. It compares readable ids and opens nothing but State, so its cost
// does not grow with cryptography.
func (a *Account) Damage() error {
	if a.stateErr != nil {
		return a.stateErr
	}
	stored := 0
	for _, k := range Kinds {
		if k == KindState {
			continue
		}
		for _, v := range a.values[k] {
			stored++
			if !a.State.Has(k, v.ID) {
				return fmt.Errorf("%s %q is not named by State: %w", k, v.ID, ErrDamaged)
			}
		}
	}
	if stored != len(a.State.Members) {
		return fmt.Errorf("State names %d records, %d are stored: %w", len(a.State.Members), stored, ErrDamaged)
	}
	return nil
}

// TwoFactor reports whether the main password alone must not open mail, by what
// the account's own records say. Damage counts as enrolled: a record that cannot
// be read never means "not enrolled" (ATTACKS 22).
func (a *Account) TwoFactor() bool {
	return a.Damage() != nil || a.State.Enrolled || a.State.MustEnrol
}

// Outcome is what every decision comes down to. The zero value is Unavailable, so
// that a forgotten assignment neither lets in nor says "wrong password".
type Outcome uint8

// The three outcomes; they never mix.
const (
	Unavailable Outcome = iota
	Denied
	Granted
)

func (o Outcome) String() string {
	switch o {
	case Granted:
		return "granted"
	case Denied:
		return "denied"
	default:
		return "unavailable"
	}
}

// Live reports whether a record is usable at now: not revoked, not expired.
func (r *Record) Live(now time.Time) bool {
	return r.Ended.IsZero() && (r.Expires.IsZero() || now.Before(r.Expires))
}

// HasFactor reports whether the account has a second factor, usable or not. Backup codes
// and trusted devices are none: they stand in for one.
func (a *Account) HasFactor() bool {
	return len(a.values[KindTOTP])+len(a.values[KindPasskey])+len(a.values[KindPlugin]) > 0
}

// HasApp reports whether the account has an app password with that id, live or not.
func (a *Account) HasApp(id string) bool {
	return slices.ContainsFunc(a.values[KindApp], func(v Value) bool { return v.ID == id })
}
