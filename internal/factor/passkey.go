package factor

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"postern/internal/account"
)

// Passkey is the body of a passkey's record: the credential record of WebAuthn level 3,
// section 4, in a form of our own that no library's version changes.
type Passkey struct {
	Credential []byte   `cbor:"1,keyasint"` // credential id
	PublicKey  []byte   `cbor:"2,keyasint"` // COSE_Key
	SignCount  uint32   `cbor:"3,keyasint,omitempty"`
	Flags      byte     `cbor:"4,keyasint,omitempty"` // of the authenticator data last seen
	Transports []string `cbor:"5,keyasint,omitempty"`
	AAGUID     []byte   `cbor:"6,keyasint,omitempty"`
	RPID       string   `cbor:"7,keyasint"` // relying party it was made for
	// UVInitialized says that it has verified its user once (uvInitialized).
	UVInitialized bool `cbor:"8,keyasint,omitempty"`
	// Roaming says that it is a security key rather than a part of a device.
	Roaming bool `cbor:"9,keyasint,omitempty"`
	// Passwordless is its owner's switch: it may sign in alone.
	Passwordless bool `cbor:"10,keyasint,omitempty"`
	// Spent are hashes of the challenges that it answered last: an authenticator whose
	// counter stays 0 says nothing of a replay.
	Spent [][]byte `cbor:"11,keyasint,omitempty"`
}

const (
	keptChallenges = 16
	challengeHash  = 16 // bytes of a challenge's hash that are kept
)

// DecodePasskey reads the body of a passkey's record. Errors wrap account.ErrDamaged.
func DecodePasskey(body []byte) (Passkey, error) {
	var p Passkey
	err := account.Decode(body, &p)
	if err == nil && (len(p.Credential) == 0 || len(p.PublicKey) == 0 || p.RPID == "") {
		err = fmt.Errorf("passkey: %w", account.ErrDamaged)
	}
	return p, err
}

// HashChallenge is how a challenge is remembered.
func HashChallenge(challenge string) []byte {
	sum := sha256.Sum256([]byte(challenge))
	return sum[:challengeHash]
}

// HasSpent reports whether the challenge of that hash was answered before.
func (p *Passkey) HasSpent(h []byte) bool {
	return slices.ContainsFunc(p.Spent, func(one []byte) bool { return bytes.Equal(one, h) })
}

// SpendChallenge remembers that the challenge of that hash was answered.
func (p *Passkey) SpendChallenge(h []byte) {
	p.Spent = append(slices.Clone(p.Spent), h)
	p.Spent = p.Spent[max(0, len(p.Spent)-keptChallenges):]
}
