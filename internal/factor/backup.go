package factor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"time"

	"golang.org/x/crypto/argon2"

	"postern/internal/account"
)

const (
	// BackupID is the id of the one record that holds an account's backup codes.
	BackupID = "codes"
	// backupCount codes of backupLength characters: 75 bits each.
	backupCount  = 10
	backupLength = 15

	// Argon2id as OWASP's Password Storage Cheat Sheet has it. The codes alone are out of
	// reach of guessing; this is for a copy of the directory together with the key.
	argonMemory = 19 << 10 // KiB
	argonPasses = 2
	argonLanes  = 1
	argonSize   = 16 // bytes, of salt and hash
	// Bounds of what a record may ask for.
	maxArgonMemory = 256 << 10 // KiB
	maxArgonPasses = 16
	maxBackupCodes = 64
)

// BackupCodes is the body of the record of backup codes. One salt for all: an attempt
// costs one hash, however many codes there are.
type BackupCodes struct {
	Salt   []byte   `cbor:"1,keyasint"`
	Left   [][]byte `cbor:"2,keyasint,omitempty"` // Argon2id of each code that can be used
	Used   [][]byte `cbor:"3,keyasint,omitempty"` // of each that was, so that a replay is told from a guess
	Memory uint32   `cbor:"4,keyasint"`           // KiB
	Passes uint32   `cbor:"5,keyasint"`
}

// DecodeBackupCodes reads the body of a record of backup codes. What NewCodes would
// not have made is damage: an empty hash must compare equal to nothing.
func DecodeBackupCodes(body []byte) (BackupCodes, error) {
	var b BackupCodes
	if err := account.Decode(body, &b); err != nil {
		return BackupCodes{}, err
	}
	if len(b.Salt) != argonSize || b.Memory < 8 || b.Memory > maxArgonMemory || b.Passes < 1 || b.Passes > maxArgonPasses ||
		len(b.Left)+len(b.Used) > maxBackupCodes {
		return BackupCodes{}, fmt.Errorf("backup codes: %w", account.ErrDamaged)
	}
	for _, list := range [][][]byte{b.Left, b.Used} {
		for _, h := range list {
			if len(h) != argonSize {
				return BackupCodes{}, fmt.Errorf("backup codes: %w", account.ErrDamaged)
			}
		}
	}
	return b, nil
}

func (b *BackupCodes) hash(code string) []byte {
	return argon2.IDKey([]byte(code), b.Salt, b.Passes, b.Memory, argonLanes, argonSize)
}

// contains compares with all, in constant time.
func contains(list [][]byte, h []byte) bool {
	found := 0
	for _, one := range list {
		found |= subtle.ConstantTimeCompare(one, h)
	}
	return found == 1
}

// NewBackup is a set of backup codes that is not stored yet. Encoded, it is without
// the codes: so it can travel sealed while its owner writes them down.
type NewBackup struct {
	Codes []account.Secret `cbor:"-"` // to be shown, once, in groups
	Body  []byte           `cbor:"1,keyasint"`
}

// Record is the record to be stored.
func (n *NewBackup) Record(now time.Time) account.Record {
	return account.Record{Kind: account.KindBackup, ID: BackupID, Created: now, Body: n.Body}
}

// BackupFactor is the factor of backup codes. They are made by NewCodes and stored by
// package desk, so there is no Enrol.
type BackupFactor struct {
	slots chan struct{} // of hashes that are computed at the same time
}

var _ Factor = (*BackupFactor)(nil)

// NewBackupFactor returns the factor; at most concurrent hashes are computed at a time,
// each of 19 MiB.
func NewBackupFactor(concurrent int) *BackupFactor {
	return &BackupFactor{slots: make(chan struct{}, max(concurrent, 1))}
}

// Kind implements Factor.
func (*BackupFactor) Kind() account.Kind { return account.KindBackup }

// Name implements Factor.
func (*BackupFactor) Name() string { return NameBackup }

// NewCodes makes ten codes. Errors: ErrUnavailable when ctx ended first.
func (f *BackupFactor) NewCodes(ctx context.Context) (NewBackup, error) {
	b := BackupCodes{Salt: make([]byte, argonSize), Memory: argonMemory, Passes: argonPasses}
	rand.Read(b.Salt) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	var n NewBackup
	for range backupCount {
		plain, bare := newReadable(backupLength)
		h, err := f.hash(ctx, &b, bare)
		if err != nil {
			return NewBackup{}, err
		}
		n.Codes = append(n.Codes, plain)
		b.Left = append(b.Left, h)
	}
	var err error
	n.Body, err = account.Encode(b)
	return n, err
}

// hash waits for a slot. Errors: ErrUnavailable.
func (f *BackupFactor) hash(ctx context.Context, b *BackupCodes, code string) ([]byte, error) {
	if ctx.Err() == nil {
		select {
		case f.slots <- struct{}{}:
			defer func() { <-f.slots }()
			return b.hash(code), nil
		case <-ctx.Done():
		}
	}
	return nil, fmt.Errorf("%w: too many at once: %w", ErrUnavailable, ctx.Err())
}

// Begin implements Factor. An account whose codes are all used has none.
func (f *BackupFactor) Begin(_ context.Context, r Request) (Response, error) {
	if r.Purpose != Login && r.Purpose != Confirm {
		return Response{}, errPurpose
	}
	b, err := readBackup(r)
	if err == nil && len(b.Left) == 0 {
		err = fmt.Errorf("no backup code is left: %w", account.ErrNoRecord)
	}
	return Response{}, err
}

// Check implements Factor. The form is checked before the hash is computed.
func (f *BackupFactor) Check(ctx context.Context, r Request) (Response, error) {
	if r.Purpose != Login && r.Purpose != Confirm {
		return Response{}, errPurpose
	}
	b, err := readBackup(r)
	if err != nil {
		return Response{}, err
	}
	code := fold(r.Input[InputCode])
	if err := form(code, readable, FormError{Lengths: []int{backupLength}, Backup: true}); err != nil {
		return Response{}, err
	}
	h, err := f.hash(ctx, &b, code)
	if err != nil {
		return Response{}, err
	}
	left, used := contains(b.Left, h), contains(b.Used, h)
	switch {
	case left:
		return Response{Proof: Proof{Kind: account.KindBackup, ID: BackupID, Mark: h}}, nil
	case used:
		return Response{}, ErrSpent
	}
	return Response{}, ErrWrong
}

func readBackup(r Request) (BackupCodes, error) {
	record, err := r.Account.Record(account.KindBackup, BackupID)
	if err != nil {
		return BackupCodes{}, err
	}
	if !record.Live(r.Now) {
		return BackupCodes{}, fmt.Errorf("backup codes are over: %w", account.ErrNoRecord)
	}
	return DecodeBackupCodes(record.Body)
}

// Spend implements Factor: the code moves to those that were used. A code of codes that
// were replaced meanwhile is spent, too.
func (f *BackupFactor) Spend(r account.Record, p Proof, now time.Time) (account.Record, error) {
	if !p.of(&r) || len(p.Mark) != argonSize {
		return r, errProof
	}
	b, err := DecodeBackupCodes(r.Body)
	if err != nil {
		return r, err
	}
	next := b
	next.Left = nil
	for _, h := range b.Left {
		if !bytes.Equal(h, p.Mark) {
			next.Left = append(next.Left, h)
		}
	}
	if len(next.Left) == len(b.Left) {
		return r, ErrSpent
	}
	next.Used = append(next.Used[:len(next.Used):len(next.Used)], p.Mark)
	r.Used = account.Use{At: now}
	r.Body, err = account.Encode(next)
	return r, err
}

// BackupCount says how many of an account's backup codes are left and how many were used.
type BackupCount struct{ Left, Used int }

// CountBackup counts the codes of an account. Errors: account.ErrNoRecord when none
// were made; account.ErrDamaged.
func CountBackup(a *account.Account) (BackupCount, error) {
	r, err := a.Record(account.KindBackup, BackupID)
	if err != nil {
		return BackupCount{}, err
	}
	b, err := DecodeBackupCodes(r.Body)
	return BackupCount{len(b.Left), len(b.Used)}, err
}
