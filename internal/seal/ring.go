// Package seal keeps Postern's keys and everything made with them: sealed records
// (record.go), keyed proofs (this file), sealed tokens that travel through browsers
// and webmail (token.go), and the signatures of tickets (sign.go).
//
// A key file holds the keys of one role (account.RoleDoor, RoleFactor, RoleTicket),
// newest first; the first seals, all open. Every use derives its own key from the
// file's secret by HKDF-SHA256 (RFC 5869) with the purpose as info, so that no
// two purposes ever share a key. A key's id is derived from its secret: it cannot
// be mixed up, and it travels in each value so that keys can be rotated.
package seal

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/internal/account"
)

const (
	secretSize  = 32
	keyIDSize   = 4
	fileVersion = "postern-key-1"
)

// KeyID identifies a key; it is derived from the key's secret.
type KeyID [keyIDSize]byte

func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// ErrNoKey is wrapped when a value was sealed with a key that the ring lacks, or
// when the ring has no key of the role at all.
var ErrNoKey = errors.New("no such key")

type key struct {
	id     KeyID
	role   string
	secret []byte
	aeads  map[account.Kind]cipher.AEAD // made once: HKDF costs more than opening
	signer ed25519.PrivateKey           // of role ticket only
}

// Ring holds the keys a program was given. It is safe for concurrent use.
type Ring struct {
	keys    map[string][]*key // by role, newest first
	publics map[KeyID]ed25519.PublicKey
	macs    sync.Map // purpose+role → []byte
	tokens  sync.Map // key id+purpose → cipher.AEAD
}

// NewRing makes a ring of parsed key files, by role.
func NewRing(files map[string][]byte) (*Ring, error) {
	r := &Ring{keys: make(map[string][]*key), publics: make(map[KeyID]ed25519.PublicKey)}
	var errs []error
	for role, data := range files {
		if role == PublicTicket {
			if err := r.addPublics(data); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", role, err))
			}
			continue
		}
		keys, err := parseFile(role, data)
		if err != nil {
			errs = append(errs, fmt.Errorf("key of role %q: %w", role, err))
			continue
		}
		r.keys[role] = keys
		for _, k := range keys {
			if k.signer != nil {
				errs = append(errs, r.addPublic(k.id, k.public()))
			}
		}
	}
	return r, errors.Join(errs...)
}

// NewFile makes the contents of a new key file for role.
func NewFile(role string) ([]byte, KeyID, error) {
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, KeyID{}, err
	}
	id := keyID(secret)
	text := fmt.Sprintf("# Postern key, role %s. Secret. The same file on every host with this role.\n%s %s %s %s\n",
		role, fileVersion, role, id, base64.StdEncoding.EncodeToString(secret))
	return []byte(text), id, nil
}

func parseFile(role string, data []byte) ([]*key, error) {
	var keys []*key
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseLine(role, line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err) // never quotes the line: it is secret
		}
		keys = append(keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("the file holds no key; make one with: posternctl keys new")
	}
	return keys, nil
}

func parseLine(role, line string) (*key, error) {
	f := strings.Fields(line)
	if len(f) != 4 || f[0] != fileVersion {
		return nil, fmt.Errorf("not a %s line", fileVersion)
	}
	if f[1] != role {
		return nil, fmt.Errorf("is a key of role %q, not %q", f[1], role)
	}
	secret, err := base64.StdEncoding.DecodeString(f[3])
	if err != nil || len(secret) != secretSize {
		return nil, fmt.Errorf("the key is not %d bytes of base64", secretSize)
	}
	k := &key{id: keyID(secret), role: role, secret: secret, aeads: make(map[account.Kind]cipher.AEAD)}
	if k.id.String() != f[2] {
		return nil, errors.New("key and key id do not belong together: the file was changed")
	}
	if role == account.RoleTicket {
		k.signer = ed25519.NewKeyFromSeed(derive(secret, "ed25519"))
	}
	for _, kind := range account.Kinds {
		if kind.Role() != role {
			continue
		}
		if k.aeads[kind], err = chacha20poly1305.NewX(derive(secret, "record/"+kind.Attribute())); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// derive returns the 32-byte key of one purpose.
func derive(secret []byte, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, secret, nil, "postern/1/"+purpose, 32)
	if err != nil {
		panic(err) // only for lengths over 255 hashes (RFC 5869 section 2.3)
	}
	return k
}

func keyID(secret []byte) KeyID { return KeyID(derive(secret, "key-id")[:keyIDSize]) }

// Roles lists the roles the ring has keys for, with the current key's id.
func (r *Ring) Roles() map[string]KeyID {
	roles := make(map[string]KeyID)
	for role, keys := range r.keys {
		roles[role] = keys[0].id
	}
	return roles
}

// MAC returns HMAC-SHA256 over parts, unambiguously joined, with the current key
// of the role for that purpose. Errors: ErrNoKey.
func (r *Ring) MAC(role, purpose string, parts ...string) ([]byte, error) {
	keys := r.keys[role]
	if len(keys) == 0 {
		return nil, fmt.Errorf("role %s: %w", role, ErrNoKey)
	}
	return mac(r.macKey(keys[0], purpose), parts), nil
}

// minMAC is the fewest bytes of a MAC that count: 128 bits.
const minMAC = 16

// Verify reports whether sum is the MAC of parts under any key of the role, or its
// first 16 bytes or more.
func (r *Ring) Verify(sum []byte, role, purpose string, parts ...string) bool {
	if len(sum) < minMAC || len(sum) > sha256.Size {
		return false
	}
	for _, k := range r.keys[role] {
		if hmac.Equal(sum, mac(r.macKey(k, purpose), parts)[:len(sum)]) {
			return true
		}
	}
	return false
}

func (r *Ring) macKey(k *key, purpose string) []byte {
	name := k.id.String() + "/" + purpose
	if cached, ok := r.macs.Load(name); ok {
		return cached.([]byte) //nolint:forcetypeassert // only this function stores
	}
	derived := derive(k.secret, "mac/"+purpose)
	r.macs.Store(name, derived)
	return derived
}

func mac(key []byte, parts []string) []byte {
	h := hmac.New(sha256.New, key)
	var n [4]byte
	for _, p := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}
