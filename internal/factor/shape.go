package factor

import (
	"strings"
	"unicode"

	"postern/internal/account"
)

// Shape is what a presented password looks like. Each shape is checked one way
// only, so that no credential is ever tried as another.
type Shape uint8

// The shapes. NearMiss is an app password typed or copied badly: it must not reach
// the directory, whose logs and lock-out counters it would feed.
const (
	Main Shape = iota
	App
	NearMiss
	Ticket
)

// TicketPrefix begins every ticket of webmail.
const TicketPrefix = "pt1_"

// Presented is a password, classified.
type Presented struct {
	Shape    Shape
	ID       string         // App: the record's id
	Verifier account.Secret // App: what its hash is compared with
}

// Classify tells the shape of a password.
//
// Blanks and dashes are ignored. App: 28 characters of a-z2-7, three or more
// digits in the verifier, right check character. NearMiss: 26 to 30 such
// characters in one case (or with a first capital), or with a wrong check
// character; and, where the string is divided as an app password is shown, also
// with up to two foreign characters. Both ask for digits: a passphrase of 28
// letters is a main password, an app password without digits is never issued.
func Classify(password account.Secret) Presented {
	s := string(password.Reveal())
	if strings.HasPrefix(s, TicketPrefix) {
		return Presented{Shape: Ticket}
	}
	if len(s) > 128 {
		return Presented{Shape: Main}
	}
	chars := compact(s)
	if len(chars) == appLength && foreign(chars) == 0 && digits(chars[appIDLength:appLength-1]) >= appMinDigits &&
		checkCharacter([]byte(chars[:appLength-1])) == chars[appLength-1] {
		return Presented{Shape: App, ID: chars[:appIDLength], Verifier: account.SecretString(chars[appIDLength : appLength-1])}
	}
	if nearMiss(s, chars) {
		return Presented{Shape: NearMiss}
	}
	return Presented{Shape: Main}
}

// LooksLikeOwn reports whether a string that is not an exact app password is one
// of this account's, badly copied: it begins with the id of a record.
func LooksLikeOwn(password account.Secret, has func(id string) bool) bool {
	if len(password.Reveal()) > 128 {
		return false
	}
	chars := strings.ToLower(compact(string(password.Reveal())))
	return nearLength(chars) && has(chars[:appIDLength])
}

func nearMiss(s, chars string) bool {
	if !nearLength(chars) {
		return false
	}
	folded, ok := foldCase(chars)
	if !ok || digits(folded) == 0 {
		return false
	}
	n := foreign(folded)
	return n == 0 || n <= 2 && dividedInFours(s)
}

func nearLength(chars string) bool { return len(chars) >= appLength-2 && len(chars) <= appLength+2 }

// foldCase returns chars in lower case if all its letters have one case, or only
// the first is a capital, as telephones write it. A mixture is a main password.
func foldCase(chars string) (string, bool) {
	lower := strings.ToLower(chars)
	return lower, chars == lower || chars == strings.ToUpper(chars) || chars[1:] == lower[1:]
}

func foreign(chars string) int {
	n := 0
	for i := range len(chars) {
		if strings.IndexByte(alphabet, chars[i]) < 0 {
			n++
		}
	}
	return n
}

// dividedInFours reports whether at least five groups of four stand between the
// separators: somebody copied an app password.
func dividedInFours(s string) bool {
	n := 0
	for _, group := range strings.FieldsFunc(s, separator) {
		if len(group) == 4 {
			n++
		}
	}
	return n >= 5
}

func compact(s string) string {
	return strings.Map(func(r rune) rune {
		if separator(r) {
			return -1
		}
		return r
	}, s)
}

// separator: blanks and dashes of every kind, as text programs like to change them.
func separator(r rune) bool {
	return r == '-' || r == '\u00ad' || unicode.Is(unicode.Pd, r) || unicode.IsSpace(r) || r == '\u200b'
}

// Loggable hides a credential that was pasted where a name belongs, alone or as
// the part before an @.
func Loggable(name string) string {
	local, _, _ := strings.Cut(name, "@")
	for _, s := range []string{name, local} {
		if Classify(account.SecretString(s)).Shape != Main {
			return "[looks like a credential]"
		}
	}
	return name
}
