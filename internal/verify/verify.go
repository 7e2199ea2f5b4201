// Package verify is the wire form of the one question that every door asks and of
// its answer. The question is an HTML form, so that Lua, C and curl can send it;
// the answer is one line of TAB-separated words, so that checkpassword can hand
// its tail to Dovecot unparsed.
//
//	POST /verify
//	user=alice%40example.test&password=…&service=imap&remote_ip=192.0.2.7&…
//
//	granted TAB cred_id=… TAB userdb_user_cred=…
//	denied
//	next
//	unavailable
//
// The package imports little on purpose: checkpassword is started for every login
// and pays for each import (docs/performance.md).
package verify

import "errors"

// Limits of a question. Dovecot's own are lower: checkpassword carries 512 bytes
// in all (src/auth/passdb-checkpassword.c).
const (
	MaxBody = 64 << 10
	MaxUser = 1024
)

// Question is one login as a door saw it.
type Question struct {
	User     string // as Dovecot presents it, after auth_username_format
	Password []byte // never kept, never logged
	Service  string // Dovecot's word: imap, pop3, submission, smtp, sieve, lmtp, doveadm
	Mech     string // SASL mechanism, upper case: PLAIN, LOGIN
	RemoteIP string // the client
	RealIP   string // the peer, where a proxy or webmail forwards the client's address
	LocalIP  string
	Session  string // Dovecot's session id
	Agent    string // client's own name for itself (IMAP ID), if known
	Master   string // a master user who wants to log in as User
	OrigUser string // as the client sent it
	Secured  string // "", "secured", "TLS"
	Lookup   bool   // a passdb lookup without a password (LMTP, doveadm, proxy)
	Door     string // checkpassword, lua-2.3, lua-2.4
}

// Verdict is the first word of an answer.
type Verdict uint8

// The verdicts. Unavailable is the zero value. Next is a denial that the Lua door
// may turn into PASSDB_RESULT_NEXT: the site's own passdb decides; every door
// that cannot do that treats it as unavailable, never as access.
const (
	Unavailable Verdict = iota
	Denied
	Next
	Granted
)

var words = [...]string{Unavailable: "unavailable", Denied: "denied", Next: "next", Granted: "granted"}

func (v Verdict) String() string { return words[v] }

// Field is one field for Dovecot, such as cred_id or userdb_home.
type Field struct{ Key, Value string }

// Answer is the daemon's reply.
type Answer struct {
	Verdict Verdict
	// Unknown says, in the answer to a lookup, that there is no such account:
	// Dovecot treats that differently from a refusal.
	Unknown bool
	Fields  []Field // only with Granted
}

// ErrMalformed is wrapped by the errors of the parsers.
var ErrMalformed = errors.New("malformed")

// AppendAnswer appends the line, with its LF. It fails on a field that Dovecot
// would misread: a key outside a-z0-9_, or a value with TAB, LF, CR, NUL or SOH
// (which starts an escape, src/lib/strescape.h).
func AppendAnswer(dst []byte, a Answer) ([]byte, error) {
	dst = append(dst, a.Verdict.String()...)
	if a.Unknown {
		dst = append(dst, "\tunknown"...)
	}
	for _, f := range a.Fields {
		if a.Verdict != Granted || !validKey(f.Key) || !ValidValue(f.Value) {
			return nil, errors.New("field " + f.Key + " cannot be given to Dovecot")
		}
		dst = append(dst, '\t')
		dst = append(dst, f.Key...)
		dst = append(dst, '=')
		dst = append(dst, f.Value...)
	}
	return append(dst, '\n'), nil
}

// ParseAnswer reads the line strictly. tail is what follows the verdict's TAB:
// for Granted exactly what Dovecot's checkpassword protocol wants on FD 4.
func ParseAnswer(line []byte) (v Verdict, tail []byte, err error) {
	n := len(line)
	if n == 0 || line[n-1] != '\n' {
		return Unavailable, nil, ErrMalformed // cut off: never read as "granted"
	}
	word := line[:n-1]
	for i, c := range word {
		switch c {
		case '\n', '\r', 0, 1:
			return Unavailable, nil, ErrMalformed
		case '\t':
			if tail == nil {
				tail = word[i+1:]
			}
		}
	}
	if tail != nil {
		word = word[:len(word)-len(tail)-1]
	}
	for i, w := range words {
		if string(word) == w && validTail(Verdict(i), tail) {
			return Verdict(i), tail, nil
		}
	}
	return Unavailable, nil, ErrMalformed
}

// validTail reports whether tail is what may follow v: key=value words after
// "granted", "unknown" after "denied", else nothing. nil means that no TAB came.
func validTail(v Verdict, tail []byte) bool {
	if tail == nil {
		return true
	}
	if v != Granted {
		return v == Denied && string(tail) == "unknown"
	}
	for more := true; more; {
		var word, key []byte
		word, tail, more = cut(tail, '\t')
		key, _, ok := cut(word, '=')
		if !ok || !validKey(key) {
			return false
		}
	}
	return true
}

// cut is bytes.Cut for one byte.
func cut(b []byte, sep byte) (before, after []byte, found bool) {
	for i, c := range b {
		if c == sep {
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}

func validKey[T string | []byte](k T) bool {
	for i := range len(k) {
		c := k[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(k) > 0
}

// ValidValue reports whether Dovecot's line protocol can carry v unescaped.
func ValidValue(v string) bool {
	for i := range len(v) {
		switch v[i] {
		case 0, 1, '\t', '\n', '\r':
			return false
		}
	}
	return true
}
