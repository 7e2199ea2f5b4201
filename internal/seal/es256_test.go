package seal_test

import (
	"errors"
	"testing"

	"postern/internal/account"
	"postern/internal/seal"
)

func TestSigningKeysFollowTheTicketKeys(t *testing.T) {
	first, id1, err := seal.NewFile(account.RoleTicket)
	if err != nil {
		t.Fatal(err)
	}
	second, id2, err := seal.NewFile(account.RoleTicket)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(file []byte, purpose string) []seal.SigningKey {
		t.Helper()
		r, err := seal.NewRing(map[string][]byte{account.RoleTicket: file})
		if err != nil {
			t.Fatal(err)
		}
		all, err := r.SigningKeys(purpose)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	one := keys(first, "a")
	if len(one) != 1 || one[0].ID != id1 || !one[0].Key.Equal(keys(first, "a")[0].Key) {
		t.Error("the key of a file is not always the same one")
	}
	if one[0].Key.Equal(keys(first, "b")[0].Key) {
		t.Error("two purposes have one key")
	}
	rotated := keys(append(second, first...), "a")
	if len(rotated) != 2 || rotated[0].ID != id2 || !rotated[1].Key.Equal(one[0].Key) {
		t.Error("after rotation the old key is not the second")
	}
	door, _, err := seal.NewFile(account.RoleDoor)
	if err != nil {
		t.Fatal(err)
	}
	r, err := seal.NewRing(map[string][]byte{account.RoleDoor: door})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SigningKeys("a"); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("without a ticket key: %v", err)
	}
}
