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

// addPublics reads such a file.
func (r *Ring) addPublics(data []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, key, err := parsePublic(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		r.publics[id] = key
	}
	return lines.Err()
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

// VerifySignature reports whether the key of that id signed the message.
func (r *Ring) VerifySignature(id KeyID, message, signature []byte) bool {
	public, ok := r.publics[id]
	return ok && ed25519.Verify(public, message, signature)
}
