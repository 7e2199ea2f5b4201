// Package factor holds what a person proves themselves with: the interface of a second
// factor with authenticators and backup codes behind it, app passwords, and the tokens
// that administrators hand out to enrol with.
//
// Nothing here reads or writes: an account and a time go in, a verdict comes out, and
// what a right answer uses up is a new value of its record, which the caller swaps for
// the stored one. That swap is what makes a code work once.
package factor

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/account"
)

// An app password is 28 characters of lower-case base32 (RFC 4648 section 6), shown in groups
// of four: 4 characters of id, 23 of verifier (115 bits), 1 check character. The
// shape alone says that a string is an app password: it is then checked against
// its record only and never sent to the directory.
const (
	alphabet     = "abcdefghijklmnopqrstuvwxyz234567"
	appLength    = 28
	appIDLength  = 4
	appMinDigits = 3 // of the verifier; see Classify
)

// AppPassword is the body of an app password's record.
type AppPassword struct {
	Verifier []byte            `cbor:"1,keyasint"` // SHA-256 of the 23 verifier characters: 115 random bits need no slow hash
	Services []account.Service `cbor:"2,keyasint,omitempty"`
	Networks []netip.Prefix    `cbor:"3,keyasint,omitempty"` // empty: from anywhere
	// Fetched says that a device has fetched the profile with this app password in it.
	Fetched bool `cbor:"4,keyasint,omitempty"`
}

// DecodeAppPassword reads the body of an app password's record. A body without a
// whole verifier is damage: it must not compare equal to anything.
func DecodeAppPassword(body []byte) (AppPassword, error) {
	var p AppPassword
	if err := account.Decode(body, &p); err != nil {
		return p, err
	}
	if len(p.Verifier) != sha256.Size {
		return p, account.ErrDamaged
	}
	return p, nil
}

// NewAppPassword makes an app password with the given scope. The plain form is
// shown once; only the body is stored. The id is random: the caller asks again if
// the account has it already.
func NewAppPassword(scope AppPassword) (plain account.Secret, body AppPassword, id string) {
	for {
		raw := make([]byte, appLength-1, appLength)
		rand.Read(raw) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
		for i, b := range raw {
			raw[i] = alphabet[b&31]
		}
		if digits(raw[appIDLength:]) < appMinDigits {
			continue
		}
		raw = append(raw, checkCharacter(raw))
		sum := sha256.Sum256(raw[appIDLength : appLength-1])
		scope.Verifier = sum[:]
		return account.NewSecret(grouped(raw)), scope, string(raw[:appIDLength])
	}
}

// Matches reports in constant time whether v is this app password's verifier.
func (p *AppPassword) Matches(v account.Secret) bool {
	sum := sha256.Sum256(v.Reveal())
	return subtle.ConstantTimeCompare(sum[:], p.Verifier) == 1
}

// AllowsService reports whether the scope has the service. The administrator's own
// `doveadm auth test` opens nothing and is let through.
func (p *AppPassword) AllowsService(s account.Service) bool {
	return s == account.Doveadm || slices.Contains(p.Services, s)
}

// AllowsAddress reports whether the scope has the client's address. An unknown
// address is in no network.
func (p *AppPassword) AllowsAddress(a netip.Addr) bool {
	if len(p.Networks) == 0 {
		return true
	}
	a = a.Unmap().WithZone("")
	return a.IsValid() && slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

func grouped(raw []byte) []byte {
	var out []byte
	for i, c := range raw {
		if i > 0 && i%4 == 0 {
			out = append(out, '-')
		}
		out = append(out, c)
	}
	return out
}

// checkCharacter is the sum of the characters' values, each multiplied by another
// power of a generator of GF(32): every single wrong character and every swap of
// two characters is noticed.
func checkCharacter(chars []byte) byte {
	var sum byte
	for _, c := range chars {
		sum = timesX(sum) ^ value(c)
	}
	return alphabet[timesX(sum)]
}

// timesX multiplies by x in GF(2)[x]/(x^5+x^2+1), whose x is a generator.
func timesX(v byte) byte {
	v <<= 1
	if v&32 != 0 {
		v ^= 0b100101
	}
	return v
}

func value(c byte) byte { return byte(strings.IndexByte(alphabet, c)) } //nolint:gosec // callers pass characters of the alphabet

func digits[T ~[]byte | ~string](s T) int {
	n := 0
	for i := range len(s) {
		if s[i] >= '2' && s[i] <= '7' {
			n++
		}
	}
	return n
}
