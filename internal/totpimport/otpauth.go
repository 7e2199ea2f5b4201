package totpimport

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"postern/internal/factor"
)

// hotpText is what to do about tokens that count.
const hotpText = "this is HOTP, which counts instead of following the clock: Postern has none of these; give its owner another"

// readURIs reads lines of otpauth://totp/… or of Google Authenticator's export,
// otpauth-migration://offline?data=…, with the user before it or in its label.
func readURIs(data []byte, l *List) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		at := strings.Index(text, "otpauth")
		if at < 0 || at > 0 && !strings.ContainsAny(text[at-1:at], " \t,;") {
			l.problem(n, "there is no otpauth:// address")
			continue
		}
		user := strings.Trim(text[:at], " \t,;")
		u, err := url.Parse(text[at:])
		if err != nil {
			l.problem(n, "the address cannot be read") // the library's text quotes it
			continue
		}
		switch u.Scheme {
		case "otpauth":
			l.addURI(n, user, u)
		case "otpauth-migration":
			l.addMigration(n, user, u.Query().Get("data"))
		default:
			l.problem(n, "the address is neither otpauth:// nor otpauth-migration://")
		}
	}
	return lines.Err()
}

// addURI takes an address as apps read it from QR codes
// (github.com/google/google-authenticator/wiki/Key-Uri-Format).
func (l *List) addURI(line int, user string, u *url.URL) {
	if u.Host == "hotp" {
		l.problem(line, "%s", hotpText)
		return
	}
	if u.Host != "totp" {
		l.problem(line, "the address is not of a TOTP authenticator")
		return
	}
	q := u.Query()
	issuer, account := label(strings.TrimPrefix(u.Path, "/"))
	e := Entry{Line: line, User: user, Name: firstOf(q.Get("issuer"), issuer)}
	if user == "" {
		e.User = account
	}
	var err error
	if e.Options.Secret, err = factor.ParseTOTPSecret(q.Get("secret")); err != nil {
		l.problem(line, "%v", err)
		return
	}
	if problem := readOptions(&e.Options, q.Get("algorithm"), q.Get("digits"), q.Get("period")); problem != "" {
		l.problem(line, "%s", problem)
		return
	}
	l.add(e)
}

// label cuts "Issuer:user" at its colon.
func label(s string) (issuer, user string) {
	if before, after, ok := strings.Cut(s, ":"); ok {
		return strings.TrimSpace(before), strings.TrimSpace(after)
	}
	return "", s
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// addMigration takes what Google Authenticator exports: a message of protocol buffers
// whose field 1 is repeated, an authenticator each. Google documents it nowhere; the
// numbers are what every reader of it found.
func (l *List) addMigration(line int, user, data string) {
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(data, " ", "+"))
	if err != nil || len(raw) == 0 {
		l.problem(line, "the address holds no data in base64")
		return
	}
	found := false
	err = eachField(raw, func(number protowire.Number, f field) error {
		if number != 1 {
			return nil
		}
		found = true
		return l.addParameters(line, user, f.bytes)
	})
	if err != nil || !found {
		l.problem(line, "the data of the address cannot be read")
	}
}

// Numbers of google_auth.MigrationPayload.OtpParameters.
const (
	fieldSecret, fieldName, fieldIssuer              = 1, 2, 3
	fieldAlgorithm, fieldDigits, fieldType, typeHOTP = 4, 5, 6, 1
)

func (l *List) addParameters(line int, user string, raw []byte) error {
	e := Entry{Line: line, User: user}
	var name string
	var algorithm, digits, kind uint64
	err := eachField(raw, func(number protowire.Number, f field) error {
		switch number {
		case fieldSecret:
			e.Options.Secret = f.bytes
		case fieldName:
			name = string(f.bytes)
		case fieldIssuer:
			e.Name = string(f.bytes)
		case fieldAlgorithm:
			algorithm = f.varint
		case fieldDigits:
			digits = f.varint
		case fieldType:
			kind = f.varint
		}
		return nil
	})
	if err != nil {
		return err
	}
	issuer, account := label(name)
	e.Name = firstOf(e.Name, issuer)
	if user == "" {
		e.User = account
	}
	if kind == typeHOTP {
		l.problem(line, "%s", hotpText)
		return nil
	}
	var known bool
	e.Options.Algorithm, known = map[uint64]factor.Algorithm{0: factor.SHA1, 1: factor.SHA1, 2: factor.SHA256, 3: factor.SHA512}[algorithm]
	if !known || digits > 2 || len(e.Options.Secret) == 0 {
		l.problem(line, "an authenticator in it has no secret, or another algorithm than SHA1, SHA256 and SHA512, or another number of digits than 6 and 8")
		return nil
	}
	e.Options.Digits = map[uint64]int{0: 6, 1: 6, 2: 8}[digits]
	l.add(e)
	return nil
}

// field is a value of a message: of a number, or of bytes.
type field struct {
	varint uint64
	bytes  []byte
}

var errMessage = errors.New("not a message of protocol buffers")

// eachField goes through a message.
func eachField(raw []byte, f func(protowire.Number, field) error) error {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return errMessage
		}
		raw = raw[n:]
		var one field
		switch kind {
		case protowire.VarintType:
			one.varint, n = protowire.ConsumeVarint(raw)
		case protowire.BytesType:
			one.bytes, n = protowire.ConsumeBytes(raw)
		default:
			n = protowire.ConsumeFieldValue(number, kind, raw)
		}
		if n < 0 {
			return errMessage
		}
		if err := f(number, one); err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}
