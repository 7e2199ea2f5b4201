package seal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"strconv"

	"postern/internal/account"
)

// SigningKey is a key for ECDSA on P-256, made from one of the ticket keys.
type SigningKey struct {
	ID  KeyID // of the ticket key
	Key *ecdsa.PrivateKey
}

// SigningKeys are the ECDSA keys of a purpose, one of each ticket key, newest first:
// for what others must be able to check and cannot by Ed25519. They are the same on
// every host with that file, and change when it does. Errors: ErrNoKey.
func (r *Ring) SigningKeys(purpose string) ([]SigningKey, error) {
	keys := r.keys[account.RoleTicket]
	if len(keys) == 0 {
		return nil, fmt.Errorf("role %s: %w", account.RoleTicket, ErrNoKey)
	}
	all := make([]SigningKey, 0, len(keys))
	for _, k := range keys {
		private, err := deriveECDSA(k.secret, purpose)
		if err != nil {
			return nil, err
		}
		all = append(all, SigningKey{k.id, private})
	}
	return all, nil
}

// deriveECDSA takes the first derived number that is a private key: all but one in
// 2³² are (FIPS 186-5, appendix A.2.2: rejection sampling).
func deriveECDSA(secret []byte, purpose string) (*ecdsa.PrivateKey, error) {
	var err error
	for n := range 4 {
		var k *ecdsa.PrivateKey
		if k, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), derive(secret, "p256/"+purpose+"/"+strconv.Itoa(n))); err == nil {
			return k, nil
		}
	}
	return nil, err
}
