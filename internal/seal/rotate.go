package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/account"
)

// Keys are rotated in three steps, so that every host can open what any other seals at
// every moment: the new key is added to the file behind the old one and opens only; when
// every host has that file, it is moved to the front and seals; when nothing is sealed by
// the old one any more, that is taken out.

// nextMark names, in a comment of a key file, the key that is to be the first.
const nextMark = "# next:"

// Errors of key files.
var (
	ErrNextWaits = errors.New("a new key waits in this file already")
	ErrNoNext    = errors.New("no new key waits in this file")
)

// keyFile is a key file taken apart.
type keyFile struct {
	lines []string // with a key each, the first seals
	next  string   // id of the key that waits; empty: none does
}

// splitFile checks the file, too.
func splitFile(role string, file []byte) (keyFile, error) {
	if _, err := parseFile(role, file); err != nil {
		return keyFile{}, err
	}
	var f keyFile
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(line, nextMark); ok {
			f.next = strings.TrimSpace(id)
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			f.lines = append(f.lines, line)
		}
	}
	return f, nil
}

func idOfLine(line string) string { return strings.Fields(line)[2] }

func (f *keyFile) text(role string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Postern keys, role %s. Secret. The same file on every host with this role. The first seals, all open.\n", role)
	for _, l := range f.lines {
		if idOfLine(l) == f.next {
			fmt.Fprintf(&b, "%s %s\n", nextMark, f.next)
		}
		b.WriteString(l + "\n")
	}
	return b.Bytes()
}

// AddKey adds a new key to a key file, which opens and does not seal yet. Errors:
// ErrNextWaits.
func AddKey(role string, file []byte) ([]byte, KeyID, error) {
	f, err := splitFile(role, file)
	if err != nil {
		return nil, KeyID{}, err
	}
	if f.next != "" {
		return nil, KeyID{}, fmt.Errorf("%w: %s", ErrNextWaits, f.next)
	}
	fresh, id, err := NewFile(role)
	if err != nil {
		return nil, id, err
	}
	one, err := splitFile(role, fresh)
	if err != nil {
		return nil, id, err
	}
	f.lines, f.next = append(f.lines, one.lines...), id.String()
	return f.text(role), id, nil
}

// ActivateKey makes the key that waits the one that seals. Errors: ErrNoNext.
func ActivateKey(role string, file []byte) ([]byte, KeyID, error) {
	f, err := splitFile(role, file)
	if err != nil {
		return nil, KeyID{}, err
	}
	i := slices.IndexFunc(f.lines, func(l string) bool { return idOfLine(l) == f.next })
	if i < 0 {
		return nil, KeyID{}, ErrNoNext
	}
	line := f.lines[i]
	f.lines = slices.Insert(slices.Delete(f.lines, i, i+1), 0, line)
	id, err := parseKeyID(f.next)
	f.next = ""
	return f.text(role), id, err
}

// RetireKeys takes all keys but the first out of a key file. Errors: ErrNextWaits.
func RetireKeys(role string, file []byte) ([]byte, error) {
	f, err := splitFile(role, file)
	if err != nil {
		return nil, err
	}
	if f.next != "" {
		return nil, fmt.Errorf("%w: %s", ErrNextWaits, f.next)
	}
	f.lines = f.lines[:1]
	return f.text(role), nil
}

func parseKeyID(s string) (KeyID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != keyIDSize {
		return KeyID{}, errors.New("a key id must have 8 hexadecimal characters")
	}
	return KeyID(b), nil
}

// IDs are the ids of a role's keys, the one that seals first.
func (r *Ring) IDs(role string) []KeyID {
	var ids []KeyID
	for _, k := range r.keys[role] {
		ids = append(ids, k.id)
	}
	return ids
}

// CheckValue is the key-check value of one key (see CheckValues), "" if the ring has none
// of that id.
func (r *Ring) CheckValue(role string, id KeyID) string {
	if k := r.find(role, id); k != nil {
		return k.checkValue()
	}
	return ""
}

// RecordKey returns the id of the key that a stored value was sealed with. Like RecordID
// it is not authenticated. Errors wrap account.ErrDamaged.
func RecordKey(stored []byte) (KeyID, error) {
	if _, err := RecordID(stored); err != nil {
		return KeyID{}, err
	}
	return KeyID(stored[1 : 1+keyIDSize]), nil
}

// HandleKey returns the id of the key that a user handle was made with; false if it is none.
func HandleKey(handle []byte) (KeyID, bool) {
	if len(handle) <= keyIDSize {
		return KeyID{}, false
	}
	return KeyID(handle[:keyIDSize]), true
}

// BoundTo opens values of accounts as if their key still was ID: for records whose
// account got another key, as a restored directory gives it. It is an account.Opener.
type BoundTo struct {
	Ring *Ring
	ID   account.ID
}

// Open implements account.Opener.
func (b BoundTo) Open(_ account.ID, k account.Kind, stored []byte) (account.Record, error) {
	return b.Ring.Open(b.ID, k, stored)
}
