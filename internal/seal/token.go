package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/internal/account"
)

// A token is state that travels through somebody else's hands, sealed:
//
//	base64url( version (1) | key id (4) | nonce (24) | sealed CBOR of expiry and body )
//
// with version, key id and purpose as additional data, under a key of the purpose's
// own: a token of one purpose is noise to every other.
const (
	tokenVersion = 1
	tokenHeader  = 1 + keyIDSize
	maxToken     = 16 << 10 // characters
)

// Errors of Parse.
var (
	// ErrToken: made by nobody with our key for this purpose.
	ErrToken = errors.New("not a token of this purpose")
	// ErrExpired: it was one.
	ErrExpired = errors.New("token has expired")
)

type tokenBody struct {
	Expires time.Time `cbor:"1,keyasint"`
	Body    []byte    `cbor:"2,keyasint"`
}

// Issue seals body (encoded by account.Encode) with the newest key of the role.
// Errors: ErrNoKey, and a body so long that Parse would refuse it.
func (r *Ring) Issue(role, purpose string, expires time.Time, body any) (string, error) {
	keys := r.keys[role]
	if len(keys) == 0 {
		return "", fmt.Errorf("role %s: %w", role, ErrNoKey)
	}
	inner, err := account.Encode(body)
	if err != nil {
		return "", err
	}
	plain, err := account.Encode(tokenBody{Expires: expires, Body: inner})
	if err != nil {
		return "", err
	}
	k := keys[0]
	out := make([]byte, tokenHeader+chacha20poly1305.NonceSizeX, tokenHeader+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	out[0] = tokenVersion
	copy(out[1:], k.id[:])
	nonce := out[tokenHeader:]
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	aead, err := r.tokenAEAD(k, purpose)
	if err != nil {
		return "", err
	}
	token := base64.RawURLEncoding.EncodeToString(aead.Seal(out, nonce, plain, tokenData(k.id, purpose)))
	if len(token) > maxToken {
		return "", fmt.Errorf("a token of %d characters is too long", len(token))
	}
	return token, nil
}

// Parse opens a token of that role and purpose into body. Errors: ErrToken;
// ErrExpired, with body filled in all the same, for a text that helps.
func (r *Ring) Parse(role, purpose, token string, now time.Time, body any) error {
	if len(token) > maxToken {
		return ErrToken
	}
	raw, err := DecodeText(token)
	if err != nil || len(raw) < tokenHeader+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead || raw[0] != tokenVersion {
		return ErrToken
	}
	k := r.find(role, KeyID(raw[1:tokenHeader]))
	if k == nil {
		return ErrToken
	}
	aead, err := r.tokenAEAD(k, purpose)
	if err != nil {
		return err
	}
	nonce, box := raw[tokenHeader:tokenHeader+chacha20poly1305.NonceSizeX], raw[tokenHeader+chacha20poly1305.NonceSizeX:]
	plain, err := aead.Open(nil, nonce, box, tokenData(k.id, purpose))
	if err != nil {
		return ErrToken
	}
	var t tokenBody
	if account.Decode(plain, &t) != nil || account.Decode(t.Body, body) != nil {
		return ErrToken
	}
	if !now.Before(t.Expires) {
		return ErrExpired
	}
	return nil
}

// DecodeText reads base64url (RFC 4648 section 5) in the one form that its encoder
// writes. Package encoding/base64 skips line breaks, also when it is strict: one
// token would have many texts then, and whoever remembers the text of one that was
// used would take the next for another.
func DecodeText(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

func (r *Ring) tokenAEAD(k *key, purpose string) (cipher.AEAD, error) {
	name := k.id.String() + "/" + purpose
	if cached, ok := r.tokens.Load(name); ok {
		return cached.(cipher.AEAD), nil //nolint:forcetypeassert // only this function stores
	}
	aead, err := chacha20poly1305.NewX(derive(k.secret, "token/"+purpose))
	if err == nil {
		r.tokens.Store(name, aead)
	}
	return aead, err
}

func tokenData(id KeyID, purpose string) []byte {
	b := append([]byte{tokenVersion}, id[:]...)
	return append(b, purpose...)
}
