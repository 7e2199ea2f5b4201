package seal

import (
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/internal/account"
)

// A stored value is
//
//	version (1) | key id (4) | length of id (1) | record id | nonce (24) | sealed body
//
// with version, attribute, account key, record id and key id as additional data:
// a value that was edited, or copied to another account or attribute, does not open.
const (
	recordVersion = 1
	idOffset      = 1 + keyIDSize + 1
	maxIDLength   = 64
)

// RecordID returns the readable id of a stored value. It is not authenticated:
// use it to choose a value, and Open before believing it.
func RecordID(stored []byte) (string, error) {
	if len(stored) < idOffset || stored[0] != recordVersion {
		return "", fmt.Errorf("unknown version or too short: %w", account.ErrDamaged)
	}
	n := int(stored[idOffset-1])
	if n == 0 || n > maxIDLength || len(stored) < idOffset+n+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return "", fmt.Errorf("too short: %w", account.ErrDamaged)
	}
	return string(stored[idOffset : idOffset+n]), nil
}

// Seal encodes and seals r for the account, with the newest key of its role.
// Errors: ErrNoKey.
func (r *Ring) Seal(id account.ID, rec *account.Record) ([]byte, error) {
	keys := r.keys[rec.Kind.Role()]
	if len(keys) == 0 {
		return nil, fmt.Errorf("to write a %s, key role %q: %w", rec.Kind, rec.Kind.Role(), ErrNoKey)
	}
	if rec.ID == "" || len(rec.ID) > maxIDLength {
		return nil, errors.New("record id must have 1 to 64 bytes")
	}
	plain, err := account.Encode(rec)
	if err != nil {
		return nil, err
	}
	k := keys[0]
	out := make([]byte, 0, idOffset+len(rec.ID)+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	out = append(out, recordVersion)
	out = append(out, k.id[:]...)
	out = append(out, byte(len(rec.ID)))
	out = append(out, rec.ID...)
	out = out[:len(out)+chacha20poly1305.NonceSizeX]
	nonce := out[len(out)-chacha20poly1305.NonceSizeX:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return k.aeads[rec.Kind].Seal(out, nonce, plain, additional(id, rec.Kind, rec.ID, k.id)), nil
}

// Open opens a stored value as a record of this account and kind. It implements
// account.Opener. Errors wrap account.ErrDamaged, and also ErrNoKey when the
// value names a key that the ring does not have.
func (r *Ring) Open(id account.ID, kind account.Kind, stored []byte) (account.Record, error) {
	recID, err := RecordID(stored)
	if err != nil {
		return account.Record{}, err
	}
	k := r.find(kind.Role(), KeyID(stored[1:1+keyIDSize]))
	if k == nil {
		return account.Record{}, fmt.Errorf("sealed with key %x of role %s, which is not here: %w: %w",
			stored[1:1+keyIDSize], kind.Role(), ErrNoKey, account.ErrDamaged)
	}
	rest := stored[idOffset+len(recID):]
	nonce, box := rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:]
	plain, err := k.aeads[kind].Open(nil, nonce, box, additional(id, kind, recID, k.id))
	if err != nil {
		return account.Record{}, fmt.Errorf("edited, or copied from another account: %w", account.ErrDamaged)
	}
	var rec account.Record
	if err := account.Decode(plain, &rec); err != nil {
		return account.Record{}, err
	}
	rec.Kind, rec.ID, rec.Stored = kind, recID, stored
	return rec, nil
}

func (r *Ring) find(role string, id KeyID) *key {
	for _, k := range r.keys[role] {
		if k.id == id {
			return k
		}
	}
	return nil
}

// additional binds a value to its place. Lengths are fixed or prefixed, so no two
// places give the same bytes.
func additional(id account.ID, kind account.Kind, recID string, k KeyID) []byte {
	b := make([]byte, 0, 96)
	b = append(b, recordVersion)
	for _, s := range []string{kind.Attribute(), string(id), recID} {
		b = append(b, byte(len(s)>>8), byte(len(s)))
		b = append(b, s...)
	}
	return append(b, k[:]...)
}
