package seal_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/seal"
)

var noon = time.Unix(1_800_000_000, 0).UTC()

// note is a body that every token of these tests has.
type note struct {
	User string `cbor:"1,keyasint"`
	N    int    `cbor:"2,keyasint,omitempty"`
}

// factorRing has keys of both roles that seal tokens.
func factorRing(t testing.TB) *seal.Ring {
	t.Helper()
	return newRing(t, map[string][]byte{
		account.RoleFactor: newFile(t, account.RoleFactor), account.RoleDoor: newFile(t, account.RoleDoor)})
}

func issue(t testing.TB, r *seal.Ring, role, purpose string) string {
	t.Helper()
	token, err := r.Issue(role, purpose, noon.Add(time.Minute), note{User: "alice", N: 7})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokenRoundTrip(t *testing.T) {
	ring := factorRing(t)
	token := issue(t, ring, account.RoleFactor, "code")
	var got note
	if err := ring.Parse(account.RoleFactor, "code", token, noon, &got); err != nil || got != (note{"alice", 7}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if strings.Contains(token, "alice") || strings.ContainsAny(token, "+/=.&?# ") {
		t.Errorf("a token must be unreadable and fit into an address: %s", token)
	}
	if raw, _ := base64.RawURLEncoding.DecodeString(token); strings.Contains(string(raw), "alice") {
		t.Error("the body is readable")
	}
	if again := issue(t, ring, account.RoleFactor, "code"); again == token {
		t.Error("two tokens of the same body are equal: the nonce is not random")
	}
}

// A token of one purpose or role, or of another site, is noise to every other.
func TestAttack03_TokenOfAnotherPurpose(t *testing.T) {
	ring, other := factorRing(t), factorRing(t)
	token := issue(t, ring, account.RoleFactor, "transaction")
	for name, parse := range map[string]func(body any) error{
		"another purpose":    func(b any) error { return ring.Parse(account.RoleFactor, "code", token, noon, b) },
		"no purpose":         func(b any) error { return ring.Parse(account.RoleFactor, "", token, noon, b) },
		"a longer purpose":   func(b any) error { return ring.Parse(account.RoleFactor, "transaction2", token, noon, b) },
		"another role":       func(b any) error { return ring.Parse(account.RoleDoor, "transaction", token, noon, b) },
		"a role without key": func(b any) error { return ring.Parse(account.RoleTicket, "transaction", token, noon, b) },
		"another site":       func(b any) error { return other.Parse(account.RoleFactor, "transaction", token, noon, b) },
	} {
		var got note
		if err := parse(&got); !errors.Is(err, seal.ErrToken) || got != (note{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ring.Issue(account.RoleTicket, "code", noon, note{}); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("issued without a key: %v", err)
	}
}

// Every bit counts, and so does every character: a token has one text only, so
// that one which was used cannot come again in other clothes.
func TestAttack03_EditedToken(t *testing.T) {
	ring := factorRing(t)
	token := issue(t, ring, account.RoleFactor, "code")
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	edits := []string{"", token[:len(token)-1], token[:20], token + "A", token + "=", token + "\n", token[:9] + "\r\n" + token[9:],
		" " + token, strings.ToUpper(token), strings.Repeat("A", 17<<10), strings.Repeat("\n", 40) + token}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			edits = append(edits, base64.RawURLEncoding.EncodeToString(raw))
			raw[i] ^= 1 << bit
		}
	}
	for last := range byte(64) { // the bits of the last character that mean nothing
		edits = append(edits, token[:len(token)-1]+string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last]))
	}
	for _, s := range edits {
		var got note
		if err := ring.Parse(account.RoleFactor, "code", s, noon, &got); s != token && (!errors.Is(err, seal.ErrToken) || got != (note{})) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}

func TestTokenExpires(t *testing.T) {
	ring := factorRing(t)
	token := issue(t, ring, account.RoleFactor, "code")
	for after, want := range map[time.Duration]error{
		-time.Hour: nil, time.Minute - time.Microsecond: nil, time.Minute: seal.ErrExpired, time.Hour: seal.ErrExpired,
	} {
		var got note
		if err := ring.Parse(account.RoleFactor, "code", token, noon.Add(after), &got); !errors.Is(err, want) || got.User != "alice" {
			t.Errorf("after %s: %+v, %v, want %v", after, got, err, want)
		}
	}
	never, err := ring.Issue(account.RoleFactor, "code", time.Time{}, note{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Parse(account.RoleFactor, "code", never, noon, &note{}); !errors.Is(err, seal.ErrExpired) {
		t.Errorf("a token without an expiry is valid: %v", err)
	}
}

// A new key goes first; tokens of the one before it are good until they expire.
func TestTokenKeyRotation(t *testing.T) {
	old, fresh := newFile(t, account.RoleFactor), newFile(t, account.RoleFactor)
	before := newRing(t, map[string][]byte{account.RoleFactor: old})
	both := newRing(t, map[string][]byte{account.RoleFactor: append(append([]byte{}, fresh...), old...)})
	after := newRing(t, map[string][]byte{account.RoleFactor: fresh})
	token := issue(t, before, account.RoleFactor, "code")
	if err := both.Parse(account.RoleFactor, "code", token, noon, &note{}); err != nil {
		t.Errorf("of the older key: %v", err)
	}
	if err := after.Parse(account.RoleFactor, "code", token, noon, &note{}); !errors.Is(err, seal.ErrToken) {
		t.Errorf("of a key that was taken away: %v", err)
	}
	if err := after.Parse(account.RoleFactor, "code", issue(t, both, account.RoleFactor, "code"), noon, &note{}); err != nil {
		t.Errorf("the first key must seal: %v", err)
	}
}

// What Parse would refuse for its length is not handed out, and a body of another
// shape is not half read.
func TestTokenBodies(t *testing.T) {
	ring := factorRing(t)
	if _, err := ring.Issue(account.RoleFactor, "code", noon, note{User: strings.Repeat("x", 16<<10)}); err == nil {
		t.Error("a token that is too long to be read was issued")
	}
	token := issue(t, ring, account.RoleFactor, "code")
	var other struct {
		Never int `cbor:"9,keyasint"`
	}
	if err := ring.Parse(account.RoleFactor, "code", token, noon, &other); !errors.Is(err, seal.ErrToken) {
		t.Errorf("a body with unknown fields: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	ring := factorRing(f)
	token := issue(f, ring, account.RoleFactor, "code")
	for _, s := range []string{token, "", "AQAAAAAA", token[:40], token + "\n", issue(f, ring, account.RoleFactor, "link")} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got note
		if err := ring.Parse(account.RoleFactor, "code", s, noon, &got); err == nil && s != token {
			t.Errorf("%q was never issued, and is read as %+v", s, got)
		}
	})
}
