package desk

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxReason = 200 // characters

// checkReason checks what somebody says why.
func checkReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return "", fmt.Errorf("a reason is needed: it goes to the audit log and to the account's owner")
	case !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason:
		return "", fmt.Errorf("a reason must have at most %d characters", maxReason)
	case strings.ContainsFunc(reason, unicode.IsControl):
		return "", fmt.Errorf("a reason must not have control characters")
	case looksLikeCredential(reason):
		return "", fmt.Errorf("this reason looks like a password")
	}
	return reason, nil
}
