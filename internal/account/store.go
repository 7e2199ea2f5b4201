package account

import (
	"context"
	"errors"
)

// Errors of a Store. Everything else a Store returns is a defect.
var (
	// ErrUnknown: no entry has that name.
	ErrUnknown = errors.New("no such account")
	// ErrAmbiguous: more than one entry has that name; nobody is let in by it.
	ErrAmbiguous = errors.New("more than one entry has that name")
	// ErrUnavailable: the directory could not be asked, or did not answer in time.
	ErrUnavailable = errors.New("directory unavailable")
	// ErrWrong: the directory answered that the password is not right.
	ErrWrong = errors.New("wrong password")
	// ErrConflict: somebody changed a record first; read again and retry.
	ErrConflict = errors.New("record changed meanwhile")
)

// Edit is one change of one record: Was nil adds Now; Now nil removes Was; both
// swap Was (as Stored) for Now; equal records assert that Was is still stored.
type Edit struct{ Was, Now *Record }

// Store is the directory as Postern sees it. All methods obey ctx's deadline.
type Store interface {
	// Find returns the one account whose entry answers to name, by exactly one
	// search. Errors: ErrUnknown, ErrAmbiguous, ErrUnavailable, ErrDamaged
	// (an entry without a usable key).
	Find(ctx context.Context, name string) (*Account, error)
	// Read reads the account again from the write server.
	Read(ctx context.Context, a *Account) (*Account, error)
	// Bind checks the main password. Errors: ErrWrong, ErrUnavailable. An empty
	// password is ErrWrong before anything is sent.
	Bind(ctx context.Context, a *Account, password Secret) error
	// Apply makes all edits in one Modify, exactly one winner. An edit that adds
	// or removes a record also swaps State, whose Members Apply keeps; an edit of
	// State itself may be among e. Errors: ErrConflict, ErrUnavailable.
	Apply(ctx context.Context, a *Account, e ...Edit) error
}
