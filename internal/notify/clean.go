package notify

import (
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/internal/effect"
)

// maxName bounds a name in a mail, in characters.
const maxName = 64

// harmless makes a name that somebody chose fit for a line of a mail: one line, short,
// and nothing that a mail program makes a link of. Whoever made an app password, or sent
// the name of a browser, chose it: it must not become a message to the owner.
func harmless(name string) string {
	name = strings.Join(strings.Fields(effect.Clean(name)), " ")
	if utf8.RuneCountInString(name) > maxName {
		name = string([]rune(name)[:maxName-1]) + "…"
	}
	return unlinked.ReplaceAllStringFunc(name, func(s string) string {
		return strings.NewReplacer(".", "․", "://", "∶//", "@", "＠").Replace(s) // look alike, and link to nothing
	})
}

// unlinked are what mail programs make links of.
var unlinked = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S*|\S+@\S+|[\pL\pN-]+(\.[\pL\pN-]+)+(/\S*)?`)

// program is the name of a browser or mail program: letters and digits, and what names
// of programs are made of.
func program(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ,-_()/.+", r) {
			return r
		}
		return -1
	}, name)
	return harmless(name)
}

// ValidAddress reports whether mail can be sent to what the directory or the
// configuration calls an address.
func ValidAddress(s string) bool {
	a, err := mail.ParseAddress("<" + s + ">")
	return err == nil && a.Address == s && !strings.ContainsFunc(s, unicode.IsControl) && strings.Contains(s, "@") && len(s) <= 320
}
