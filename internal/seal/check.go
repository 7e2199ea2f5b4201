package seal

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// CheckValues returns one key-check value for every key in the ring, to be kept
// in the directory (posternKeyCheck): "role id proof". The proof is derived from
// the key and says nothing about it.
func (r *Ring) CheckValues() []string {
	var values []string
	for _, keys := range r.keys {
		for _, k := range keys {
			values = append(values, k.checkValue())
		}
	}
	return values
}

func (k *key) checkValue() string {
	return fmt.Sprintf("%s %s %s", k.role, k.id, hex.EncodeToString(derive(k.secret, "key-check")[:16]))
}

// Check compares the ring with the directory's key-check values: each role's
// current key must be among them. A program that sealed with a key of its own
// would make records that nobody else can read, so it must not start.
func (r *Ring) Check(values []string) error {
	for role, keys := range r.keys {
		known := false
		others := 0
		for _, v := range values {
			known = known || v == keys[0].checkValue()
			if strings.HasPrefix(v, role+" ") {
				others++
			}
		}
		switch {
		case known:
		case others == 0:
			return fmt.Errorf("the directory knows no %s key yet; register yours with: posternctl keys register", role)
		default:
			return fmt.Errorf("the %s key %s is not the one this directory's records are sealed with; copy the right key file from another host of this role", role, keys[0].id)
		}
	}
	return nil
}
