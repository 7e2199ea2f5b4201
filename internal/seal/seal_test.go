package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/seal"
)

func newRing(t testing.TB, files map[string][]byte) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newFile(t testing.TB, role string) []byte {
	t.Helper()
	f, _, err := seal.NewFile(role)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sample() *account.Record {
	return &account.Record{Kind: account.KindApp, ID: "abcd", Name: "phone", Created: time.Unix(1700000000, 0).UTC(), Body: []byte("body")}
}

func TestSealOpen(t *testing.T) {
	ring := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	stored, err := ring.Seal("id-1", sample())
	if err != nil {
		t.Fatal(err)
	}
	if id, err := seal.RecordID(stored); err != nil || id != "abcd" {
		t.Fatalf("id %q, %v", id, err)
	}
	got, err := ring.Open("id-1", account.KindApp, stored)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "phone" || !got.Created.Equal(sample().Created) || string(got.Body) != "body" || !bytes.Equal(got.Stored, stored) {
		t.Fatalf("%+v", got)
	}
	if bytes.Contains(stored, []byte("phone")) || bytes.Contains(stored, []byte("body")) {
		t.Fatal("the name or the body is readable")
	}
}

// A record copied to another account, attribute or id does not open (ATTACKS 21).
func TestAttack21_CopiedRecord(t *testing.T) {
	ring := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	stored, _ := ring.Seal("id-1", sample())
	for name, open := range map[string]func() (account.Record, error){
		"another account": func() (account.Record, error) { return ring.Open("id-2", account.KindApp, stored) },
		"another kind":    func() (account.Record, error) { return ring.Open("id-1", account.KindSession, stored) },
		"another id": func() (account.Record, error) {
			return ring.Open("id-1", account.KindApp, bytes.Replace(stored, []byte("abcd"), []byte("abce"), 1))
		},
	} {
		if _, err := open(); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every bit counts (ATTACKS 21, 22).
func TestAttack21_EditedRecord(t *testing.T) {
	ring := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	stored, _ := ring.Seal("id-1", sample())
	for i := range stored {
		for bit := range 8 {
			edited := bytes.Clone(stored)
			edited[i] ^= 1 << bit
			if _, err := ring.Open("id-1", account.KindApp, edited); !errors.Is(err, account.ErrDamaged) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
	for n := range stored {
		if _, err := ring.Open("id-1", account.KindApp, stored[:n]); !errors.Is(err, account.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestAttack22_UnknownKey(t *testing.T) {
	one := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	two := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	stored, _ := one.Seal("id-1", sample())
	if _, err := two.Open("id-1", account.KindApp, stored); !errors.Is(err, seal.ErrNoKey) || !errors.Is(err, account.ErrDamaged) {
		t.Fatal(err)
	}
	if _, err := one.Seal("id-1", &account.Record{Kind: account.KindTOTP, ID: "x"}); !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("sealed an authenticator without the factor key: %v", err)
	}
}

func TestSeveralKeysInAFile(t *testing.T) {
	first, second := newFile(t, account.RoleDoor), newFile(t, account.RoleDoor)
	old := newRing(t, map[string][]byte{account.RoleDoor: first})
	both := newRing(t, map[string][]byte{account.RoleDoor: append(bytes.Clone(second), first...)})
	stored, _ := old.Seal("id-1", sample())
	if _, err := both.Open("id-1", account.KindApp, stored); err != nil {
		t.Fatalf("an older key of the file does not open: %v", err)
	}
	proof, _ := old.MAC(account.RoleDoor, "p", "x")
	if !both.Verify(proof, account.RoleDoor, "p", "x") {
		t.Fatal("a proof by an older key is refused")
	}
	stored, _ = both.Seal("id-1", sample())
	if _, err := old.Open("id-1", account.KindApp, stored); !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("the first key of the file must seal: %v", err)
	}
}

func TestMACIsUnambiguousAndBoundToItsPurpose(t *testing.T) {
	r := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	sum, _ := r.MAC(account.RoleDoor, "p", "ab", "c")
	for _, parts := range [][]string{{"a", "bc"}, {"abc"}, {"ab", "c", ""}} {
		if r.Verify(sum, account.RoleDoor, "p", parts...) {
			t.Errorf("%q passes for ab, c", parts)
		}
	}
	if r.Verify(sum, account.RoleDoor, "q", "ab", "c") || r.Verify(sum, account.RoleFactor, "p", "ab", "c") || r.Verify(nil, account.RoleDoor, "p", "ab", "c") {
		t.Error("purpose or role is not bound")
	}
	if !r.Verify(sum[:16], account.RoleDoor, "p", "ab", "c") || r.Verify(sum[:15], account.RoleDoor, "p", "ab", "c") {
		t.Error("sixteen bytes are enough, fewer are not")
	}
	if !r.Verify(sum, account.RoleDoor, "p", "ab", "c") {
		t.Error("the right proof is refused")
	}
}

func TestCheckValues(t *testing.T) {
	mine := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	other := newRing(t, map[string][]byte{account.RoleDoor: newFile(t, account.RoleDoor)})
	if err := mine.Check(mine.CheckValues()); err != nil {
		t.Error(err)
	}
	if err := mine.Check(other.CheckValues()); err == nil || !strings.Contains(err.Error(), "is not the one") {
		t.Errorf("a wrong key: %v", err)
	}
	if err := mine.Check(nil); err == nil || !strings.Contains(err.Error(), "keys register") {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	good := string(newFile(t, account.RoleDoor))
	secret := strings.Fields(good)[len(strings.Fields(good))-1]
	for name, file := range map[string]string{
		"empty":          "# nothing\n",
		"other role":     string(newFile(t, account.RoleFactor)),
		"changed key":    strings.Replace(good, secret[:4], "AAAA", 1),
		"short key":      strings.Replace(good, secret, "AAAA", 1),
		"other format":   "hello world\n",
		"trailing words": strings.TrimSpace(good) + " more\n",
	} {
		_, err := seal.NewRing(map[string][]byte{account.RoleDoor: []byte(file)})
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), secret[4:]) {
			t.Errorf("%s: the message shows the key: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	ring := newRing(f, map[string][]byte{account.RoleDoor: newFile(f, account.RoleDoor)})
	stored, _ := ring.Seal("id-1", sample())
	f.Add(stored)
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ring.Open("id-1", account.KindApp, b); err == nil && !bytes.Equal(b, stored) {
			t.Error("something that was never sealed opened")
		}
	})
}
