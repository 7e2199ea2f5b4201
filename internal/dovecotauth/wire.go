package dovecotauth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postern/internal/account"
)

const (
	// Version 1.2 of the protocol, which 2.2 to 2.4 speak; another major one is
	// another protocol.
	versionMajor, versionMinor = 1, 2
	// maxLine is AUTH_CLIENT_MAX_LINE_LENGTH (src/lib-auth/auth-client-interface.h):
	// a longer line ends the connection in either direction.
	maxLine = 16384
)

// greeting is what Dovecot says of itself.
type greeting struct{ version, plain bool }

// add reads a line of it and reports whether it was the last. Lines of other kinds
// are none of ours.
func (g *greeting) add(line []byte) (done bool, err error) {
	words := strings.Split(string(line), "\t")
	switch words[0] {
	case "VERSION":
		g.version = len(words) == 3 && words[1] == strconv.Itoa(versionMajor)
		if !g.version {
			return false, fmt.Errorf("speaks another version of the protocol: %.60q", line)
		}
	case "MECH":
		g.plain = g.plain || len(words) > 1 && words[1] == "PLAIN"
	case "DONE":
		if !g.version {
			return false, errors.New("does not name its version: not Dovecot's auth service")
		}
		if !g.plain {
			return false, errors.New("takes no passwords: auth_mechanisms must have plain")
		}
		return true, nil
	}
	return false, nil
}

// question is one request.
type question struct {
	service, session string
	user             string
	password         account.Secret
}

// check finds what Dovecot cannot be asked. A password that PLAIN cannot carry is
// wrong, because no door can have taken it either.
func (q *question) check() error {
	password := q.password.Reveal()
	switch {
	case q.user == "" || strings.ContainsRune(q.user, 0):
		return unavailable(errors.New("not a user name"))
	case len(password) == 0, bytes.IndexByte(password, 0) >= 0:
		return account.ErrWrong
	case q.lineLength() > maxLine:
		return account.ErrWrong
	}
	return nil
}

// lineLength is at most what appendLine appends.
func (q *question) lineLength() int {
	return len("AUTH\t4294967295\tPLAIN\tservice=\tsession=\tsecured\tnologin\tno-penalty\tresp=\n") +
		2*len(q.service) + 2*len(q.session) + base64.StdEncoding.EncodedLen(q.sizeOfPlain())
}

func (q *question) sizeOfPlain() int { return 2 + len(q.user) + len(q.password.Reveal()) }

// appendLine appends the request without its end. Where dst has room, no copy of the
// password is left behind. secured says that the password came by no readable network,
// nologin that no process waits for the session, no-penalty that anvil's wait for an
// address is not ours: there is no address.
func (q *question) appendLine(dst []byte, id uint32) []byte {
	dst = strconv.AppendUint(append(dst, "AUTH\t"...), uint64(id), 10)
	dst = appendEscaped(append(dst, "\tPLAIN\tservice="...), q.service)
	dst = appendEscaped(append(dst, "\tsession="...), q.session)
	dst = append(dst, "\tsecured\tnologin\tno-penalty\tresp="...)
	plain := make([]byte, 0, q.sizeOfPlain())
	plain = append(plain, 0)
	plain = append(plain, q.user...)
	plain = append(plain, 0)
	plain = append(plain, q.password.Reveal()...)
	dst = base64.StdEncoding.AppendEncode(dst, plain)
	clear(plain)
	return dst
}

// escapes are those of src/lib/strescape.c.
var escapes = strings.NewReplacer("\x00", "\x010", "\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n")

func appendEscaped(dst []byte, s string) []byte { return append(dst, escapes.Replace(s)...) }

var unescapes = strings.NewReplacer("\x010", "\x00", "\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n")

// answer is the end of one request.
type answer struct {
	ok        bool   // else FAIL, or a challenge, which PLAIN does not have
	temporary bool   // FAIL says nothing about the password
	user      string // whom it is about; "" if it does not say
	reason    string // of a FAIL, for our log
}

// parseAnswer reads a line; ok is false for one of another kind.
func parseAnswer(line string) (id uint32, a answer, ok bool) {
	words := strings.Split(line, "\t")
	if len(words) < 2 {
		return 0, a, false
	}
	n, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil || words[0] != "OK" && words[0] != "FAIL" && words[0] != "CONT" {
		return 0, a, false
	}
	a.ok = words[0] == "OK"
	if words[0] != "CONT" {
		for _, word := range words[2:] {
			a.set(word)
		}
	}
	return uint32(n), a, true
}

// set takes note of one parameter. Dovecot writes user first; a passdb's fields, which
// come behind it, do not change whom the answer is about.
func (a *answer) set(word string) {
	key, value, _ := strings.Cut(word, "=")
	switch value = unescapes.Replace(value); key {
	case "user":
		if a.user == "" {
			a.user = value
		}
	case "temp": // before 2.3.5
		a.temporary = true
	case "code":
		a.temporary = a.temporary || value == "temp_fail"
	case "reason":
		a.reason = value
	}
}

// verdict is what the answer says about the user's password: nil, account.ErrWrong, or
// why it says nothing. Dovecot names the user whenever it has looked at the password,
// and does not when it refuses the request itself or asks for more.
func (a *answer) verdict(user string) error {
	switch {
	case a.temporary:
		return errors.New("Dovecot could not check the password: its log says why") //nolint:staticcheck // ST1005: a name
	case a.user == "":
		return fmt.Errorf("Dovecot refuses the request, not the password: %.100q", a.reason) //nolint:staticcheck // ST1005: a name
	case !sameUser(a.user, user):
		return fmt.Errorf("asked about %q, Dovecot answers about %q: its passdb must know users by the name that directory.login_attribute gives them", user, a.user)
	case a.ok:
		return nil
	}
	return account.ErrWrong
}

// sameUser allows for what auth_username_format does: lower case, and leaving the
// domain out.
func sameUser(answered, asked string) bool {
	local, _, _ := strings.Cut(asked, "@")
	return strings.EqualFold(answered, asked) || strings.EqualFold(answered, local)
}
