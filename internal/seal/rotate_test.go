package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/seal"
)

// TestRotation: a key that was added opens only; activated it seals, and the old one
// opens; retired the old one is gone. Each file is one that a program can start with.
func TestRotation(t *testing.T) {
	const role = account.RoleDoor
	old := newFile(t, role)
	ring := func(file []byte) *seal.Ring { return newRing(t, map[string][]byte{role: file}) }
	sealedBy := func(file []byte) []byte {
		stored, err := ring(file).Seal("id-1", sample())
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	opens := func(file, stored []byte) bool {
		_, err := ring(file).Open("id-1", account.KindApp, stored)
		return err == nil
	}

	added, id, err := seal.AddKey(role, old)
	if err != nil {
		t.Fatal(err)
	}
	active, same, err := seal.ActivateKey(role, added)
	if err != nil || same != id {
		t.Fatal(same, err)
	}
	retired, err := seal.RetireKeys(role, active)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, sealed []byte
		want         bool
	}{
		"a host with the old file, what the prepared one seals": {old, sealedBy(added), true},
		"the prepared one, what the activated one seals":        {added, sealedBy(active), true},
		"the activated one, what the old one seals":             {active, sealedBy(old), true},
		"the activated one, what the retired one seals":         {active, sealedBy(retired), true},
		"the old one, what the activated one seals":             {old, sealedBy(active), false},
		"the retired one, what the old one seals":               {retired, sealedBy(old), false},
	} {
		if opens(c.file, c.sealed) != c.want {
			t.Errorf("%s: opens: %v", name, !c.want)
		}
	}
	if key, err := seal.RecordKey(sealedBy(active)); err != nil || key != id {
		t.Errorf("key of a record: %v, %v", key, err)
	}
	if got := ring(active).IDs(role); len(got) != 2 || got[0] != id {
		t.Errorf("ids %v", got)
	}
	if v := ring(added).CheckValue(role, id); !strings.HasPrefix(v, "door "+id.String()+" ") || ring(old).CheckValue(role, id) != "" {
		t.Errorf("check value %q", v)
	}

	if _, _, err := seal.AddKey(role, added); !errors.Is(err, seal.ErrNextWaits) {
		t.Errorf("two new keys: %v", err)
	}
	if _, err := seal.RetireKeys(role, added); !errors.Is(err, seal.ErrNextWaits) {
		t.Errorf("retired the one that waits: %v", err)
	}
	// Run twice it must not go back to the old one.
	if _, _, err := seal.ActivateKey(role, active); !errors.Is(err, seal.ErrNoNext) {
		t.Errorf("activated twice: %v", err)
	}
	if _, _, err := seal.AddKey(account.RoleFactor, old); err == nil {
		t.Error("a file of another role")
	}
	if !bytes.Contains(added, []byte("# next: "+id.String())) || bytes.Contains(active, []byte("# next:")) {
		t.Error("the file does not say which key waits")
	}
}
