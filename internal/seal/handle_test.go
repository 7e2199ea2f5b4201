package seal

import (
	"bytes"
	"errors"
	"testing"

	"postern/internal/account"
)

func TestUserHandles(t *testing.T) {
	file, _, err := NewFile(account.RoleFactor)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := NewFile(account.RoleFactor)
	if err != nil {
		t.Fatal(err)
	}
	ring := mustRing(t, file)
	rotated := mustRing(t, append(bytes.Clone(other), file...))
	stranger := mustRing(t, other)
	for _, id := range []account.ID{
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad11d1-80b400c0-4fd430c8", "00112233445566778899aabbccddeeff",
		"6BA7B810-9DAD", "user-4711", "uid42",
	} {
		h, err := ring.NewHandle(id)
		if err != nil || len(h) > 64 || bytes.Contains(h, []byte(id)) {
			t.Fatalf("%s: %d bytes, %v", id, len(h), err)
		}
		again, err := ring.NewHandle(id)
		if err != nil || bytes.Equal(h, again) {
			t.Errorf("%s: two handles are the same: %v", id, err)
		}
		for what, r := range map[string]*Ring{"own": ring, "rotated": rotated} {
			if got, err := r.OpenHandle(h); err != nil || got != id {
				t.Errorf("%s, %s: %q, %v", id, what, got, err)
			}
		}
		if _, err := stranger.OpenHandle(h); !errors.Is(err, ErrHandle) {
			t.Errorf("%s: a stranger's ring: %v", id, err)
		}
		for i := range h {
			bad := bytes.Clone(h)
			bad[i] ^= 1
			if _, err := ring.OpenHandle(bad); !errors.Is(err, ErrHandle) {
				t.Fatalf("%s: byte %d changed: %v", id, i, err)
			}
		}
	}
	if _, err := ring.NewHandle("a-key-of-more-than-nineteen-bytes"); err == nil {
		t.Error("a long key fits")
	}
	for _, h := range [][]byte{nil, {}, make([]byte, 28), make([]byte, 65)} {
		if _, err := ring.OpenHandle(h); !errors.Is(err, ErrHandle) {
			t.Errorf("%d bytes: %v", len(h), err)
		}
	}
}

func mustRing(t *testing.T, file []byte) *Ring {
	t.Helper()
	r, err := NewRing(map[string][]byte{account.RoleFactor: file})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
