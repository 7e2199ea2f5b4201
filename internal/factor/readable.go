package factor

import (
	"crypto/rand"
	"strings"

	"postern/internal/account"
)

// Backup codes and enrolment tokens are read from paper and typed: they have Crockford's
// base32, in which no character can be taken for another, in groups of five. App
// passwords have groups of four and twice the length, codes of authenticators only
// digits: none of them is ever taken for another.
const (
	readable      = "0123456789abcdefghjkmnpqrstvwxyz"
	readableGroup = 5
)

// newReadable makes n random characters, 5 bits each, in groups.
func newReadable(n int) (plain account.Secret, bare string) {
	raw := make([]byte, n)
	rand.Read(raw) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	for i, b := range raw {
		raw[i] = readable[b&31]
	}
	var shown strings.Builder
	for i, c := range raw {
		if i > 0 && i%readableGroup == 0 {
			shown.WriteByte('-')
		}
		shown.WriteByte(c)
	}
	return account.SecretString(shown.String()), string(raw)
}

// fold brings what was typed into the form that newReadable made: small letters, no
// blanks and dashes, and the digits that I, L and O were read for.
func fold(typed string) string {
	if len(typed) > 256 {
		return typed // no code; and not worth the work
	}
	return strings.NewReplacer("o", "0", "i", "1", "l", "1").Replace(strings.ToLower(compact(typed)))
}
