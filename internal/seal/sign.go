package seal

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"postern/internal/account"
)

// PublicTicket names the file with the public halves of the ticket keys: with it
// a mail host can check tickets and make none.
const PublicTicket = "ticket.pub"

const publicVersion = "postern-public-1"

func (k *key) public() ed25519.PublicKey {
	return k.signer.Public().(ed25519.PublicKey) //nolint:forcetypeassert // crypto/ed25519 documents the type
}

// PublicFile is the contents of the file PublicTicket for the ring's ticket keys.
// Errors: ErrNoKey.
func (r *Ring) PublicFile() ([]byte, error) {
	if len(r.keys[account.RoleTicket]) == 0 {
		return nil, fmt.Errorf("role %s: %w", account.RoleTicket, ErrNoKey)
	}
	var b bytes.Buffer
	b.WriteString("# Postern: public keys of tickets. Not secret; copy it to every mail host.\n")
	for _, k := range r.keys[account.RoleTicket] {
		fmt.Fprintf(&b, "%s %s %s %s\n", publicVersion, k.role, k.id, base64.StdEncoding.EncodeToString(k.public()))
	}
	return b.Bytes(), nil
}

// addPublics reads such a file. One without a key is an error: it was cut off, or
// is another file.
func (r *Ring) addPublics(data []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	found := false
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, key, err := parsePublic(line)
		if err == nil {
			err = r.addPublic(id, key)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		found = true
	}
	if err := lines.Err(); err != nil || found {
		return err
	}
	return errors.New("the file holds no key; copy it from the webhook's host, or print it there with: posternctl keys export")
}

// addPublic adds a key. Two keys of one id are never right, and which of them would
// count would be chance.
func (r *Ring) addPublic(id KeyID, key ed25519.PublicKey) error {
	if known, ok := r.publics[id]; ok && !known.Equal(key) {
		return fmt.Errorf("there are two different keys %s: the file was changed, or is not of this ticket.key", id)
	}
	r.publics[id] = key
	return nil
}

func parsePublic(line string) (KeyID, ed25519.PublicKey, error) {
	f := strings.Fields(line)
	if len(f) != 4 || f[0] != publicVersion || f[1] != account.RoleTicket {
		return KeyID{}, nil, fmt.Errorf("not a %s line of role %s", publicVersion, account.RoleTicket)
	}
	id, err := hex.DecodeString(f[2])
	if err != nil || len(id) != keyIDSize {
		return KeyID{}, nil, errors.New("the key id is not 8 hexadecimal characters")
	}
	key, err := base64.StdEncoding.DecodeString(f[3])
	if err != nil || len(key) != ed25519.PublicKeySize {
		return KeyID{}, nil, fmt.Errorf("the key is not %d bytes of base64", ed25519.PublicKeySize)
	}
	return KeyID(id), key, nil
}

// CanVerify reports whether the ring has any public key of tickets: without one it
// cannot say that a ticket is wrong.
func (r *Ring) CanVerify() bool { return len(r.publics) > 0 }

// Sign signs a message by Ed25519 (RFC 8032) with the newest ticket key, and says
// which that was. Errors: ErrNoKey.
func (r *Ring) Sign(message []byte) (KeyID, []byte, error) {
	keys := r.keys[account.RoleTicket]
	if len(keys) == 0 {
		return KeyID{}, nil, fmt.Errorf("role %s: %w", account.RoleTicket, ErrNoKey)
	}
	return keys[0].id, ed25519.Sign(keys[0].signer, message), nil
}

// Knows reports whether the ring has the public half of that key.
func (r *Ring) Knows(id KeyID) bool { return r.publics[id] != nil }

// KnowsTickets reports whether, going by the directory's key-check values, the ring
// can check tickets of this site: it has the public half of a registered key, or
// none is registered. A file of another site, or from before a new key, would make
// every ticket look forged.
func (r *Ring) KnowsTickets(values []string) bool {
	registered := false
	for _, v := range values {
		f := strings.Fields(v)
		if len(f) != 3 || f[0] != account.RoleTicket {
			continue
		}
		registered = true
		if id, err := hex.DecodeString(f[1]); err == nil && len(id) == keyIDSize && r.Knows(KeyID(id)) {
			return true
		}
	}
	return !registered
}

// VerifySignature reports whether the key of that id signed the message.
func (r *Ring) VerifySignature(id KeyID, message, signature []byte) bool {
	public, ok := r.publics[id]
	return ok && ed25519.Verify(public, message, signature)
}
