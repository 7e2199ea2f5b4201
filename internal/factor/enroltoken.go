package factor

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"postern/internal/account"
)

// enrolTokenLength is in characters: 100 bits, so that one SHA-256 is enough.
const enrolTokenLength = 20

// ErrEnrolToken: not the account's enrolment token, or no longer. The text says what to do.
var ErrEnrolToken = errors.New("wrong enrolment token")

// NewEnrolToken makes the one-time token that an administrator hands to an account's
// owner, and the hash of it that State keeps. It proves who is about to enrol after a
// reset, when there is no factor to prove it by (ATTACKS 37).
func NewEnrolToken() (token account.Secret, hash []byte) {
	plain, bare := newReadable(enrolTokenLength)
	sum := sha256.Sum256([]byte(bare))
	return plain, sum[:]
}

// CheckEnrolToken compares what was typed with State's; case, blanks and dashes do not
// matter. Errors: ErrEnrolToken when it is wrong or was used, and, saying so, when it
// expired.
func CheckEnrolToken(s *account.State, typed account.Secret, now time.Time) error {
	sum := sha256.Sum256([]byte(fold(string(typed.Reveal()))))
	if subtle.ConstantTimeCompare(sum[:], s.EnrolHash) != 1 {
		return ErrEnrolToken
	}
	if !now.Before(s.EnrolUntil) {
		return fmt.Errorf("%w: it expired; the administrator can make a new one", ErrEnrolToken)
	}
	return nil
}
