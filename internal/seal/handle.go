package seal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/internal/account"
)

// A user handle (WebAuthn level 3, section 5.4.3) is what an authenticator gives back
// when it signs in without a name. It is an account's key, sealed with a random nonce:
//
//	key id (4) | nonce (24) | sealed key of the account
//
// and so looks random, says nothing of the account, and finds it by one search. There
// is room for 64 bytes, which a key of 16 bytes fits, such as a UUID.
const (
	handlePurpose = "user handle"
	maxHandle     = 64
)

// ErrHandle: not a handle that was made with one of the ring's keys.
var ErrHandle = errors.New("not a user handle of this site")

// NewHandle makes a user handle for the account. Errors: ErrNoKey; a key too long for
// a handle, with which there is no login by passkey alone.
func (r *Ring) NewHandle(id account.ID) ([]byte, error) {
	keys := r.keys[account.RoleFactor]
	if len(keys) == 0 {
		return nil, fmt.Errorf("role %s: %w", account.RoleFactor, ErrNoKey)
	}
	packed := packID(string(id))
	size := keyIDSize + chacha20poly1305.NonceSizeX + len(packed) + chacha20poly1305.Overhead
	if size > maxHandle {
		return nil, fmt.Errorf("the account's key has %d bytes, too many for a user handle", len(id))
	}
	aead, err := r.tokenAEAD(keys[0], handlePurpose)
	if err != nil {
		return nil, err
	}
	out := make([]byte, keyIDSize+chacha20poly1305.NonceSizeX, size)
	copy(out, keys[0].id[:])
	if _, err := rand.Read(out[keyIDSize:]); err != nil {
		return nil, err
	}
	return aead.Seal(out, out[keyIDSize:], packed, tokenData(keys[0].id, handlePurpose)), nil
}

// OpenHandle returns the key of the account that the handle was made for. Errors:
// ErrHandle.
func (r *Ring) OpenHandle(handle []byte) (account.ID, error) {
	const head = keyIDSize + chacha20poly1305.NonceSizeX
	if len(handle) <= head || len(handle) > maxHandle {
		return "", ErrHandle
	}
	k := r.find(account.RoleFactor, KeyID(handle[:keyIDSize]))
	if k == nil {
		return "", ErrHandle
	}
	aead, err := r.tokenAEAD(k, handlePurpose)
	if err != nil {
		return "", err
	}
	packed, err := aead.Open(nil, handle[keyIDSize:head], handle[head:], tokenData(k.id, handlePurpose))
	if err != nil {
		return "", ErrHandle
	}
	return unpackID(packed)
}

// shapes of keys that are 16 bytes in hexadecimal: how long the groups between the
// dashes are. A UUID; nsUniqueId; objectGUID, which has no dashes.
var shapes = [][]int{{8, 4, 4, 4, 12}, {8, 8, 8, 8}, {32}}

// packID makes a key short: its shape's number from 1, and 16 bytes; or 0, and the text.
func packID(id string) []byte {
	for i, groups := range shapes {
		raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
		if err == nil && len(raw) == 16 && shaped(raw, groups) == id {
			return append([]byte{byte(i + 1)}, raw...)
		}
	}
	return append([]byte{0}, id...)
}

func unpackID(packed []byte) (account.ID, error) {
	if len(packed) < 2 || int(packed[0]) > len(shapes) || packed[0] > 0 && len(packed) != 17 {
		return "", ErrHandle
	}
	if packed[0] == 0 {
		return account.ID(packed[1:]), nil
	}
	return account.ID(shaped(packed[1:], shapes[packed[0]-1])), nil
}

func shaped(raw []byte, groups []int) string {
	text := hex.EncodeToString(raw)
	var parts []string
	for _, n := range groups {
		parts = append(parts, text[:n])
		text = text[n:]
	}
	return strings.Join(parts, "-")
}
