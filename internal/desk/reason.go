package desk

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrReasonWrong: a reason that cannot be written down. It comes along with ErrInvalid.
var ErrReasonWrong = errors.New("this cannot be a reason")

const maxReason = 200 // characters

// checkReason checks what somebody says why.
func checkReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return "", fmt.Errorf("a reason is needed: it goes to the audit log and to the account's owner")
	case !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason:
		return "", fmt.Errorf("%w: it must have at most %d characters", ErrReasonWrong, maxReason)
	case strings.ContainsFunc(reason, unseen):
		return "", fmt.Errorf("%w: it must not have control characters", ErrReasonWrong)
	case looksLikeCredential(reason):
		return "", fmt.Errorf("%w: it looks like a password", ErrReasonWrong)
	}
	return reason, nil
}
