// Package authpolicy is the wire form of Dovecot's auth policy: the JSON that
// Dovecot 2.3 and 2.4 POST before and after each login, and the flat JSON that
// both can read as an answer.
//
//	POST /?command=allow    {"cred_id":"","login":"alice@example.test","pwhash":"7e414763",…,"tls":false}
//	POST /?command=report   {…,"success":false,"policy_reject":false}
//
//	{"status":-1,"msg":"…"}  refused, the text reaches the client
//	{"status":0,"msg":""}    go on
//	{"status":3,"msg":""}    go on after three seconds
//
// Sources: Dovecot src/auth/auth-policy.c; bodies recorded from 2.3.19 and 2.4.1
// are in testdata. Dovecot's own keys are taken as they come; unknown ones are
// ignored, because sites add attributes and versions add fields.
package authpolicy

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// MaxBody bounds a question; Dovecot's are some hundred bytes.
const MaxBody = 16 << 10

// Query is one question or report.
type Query struct {
	Login      string `json:"login"`       // %{requested_username}
	PwHash     string `json:"pwhash"`      // see Hash; the same for every CRAM-MD5 login
	Remote     string `json:"remote"`      // the client's address
	RealRemote string `json:"real_remote"` // the peer's, where webmail forwards the client's
	DeviceID   string `json:"device_id"`   // the client's IMAP ID
	Protocol   string `json:"protocol"`
	SessionID  string `json:"session_id"` // empty for Postfix
	Mech       string `json:"mech"`
	Master     string `json:"master"`  // a master user, who wants in as Login
	CredID     string `json:"cred_id"` // what our passdb returned, in the second question
	TLS        bool   `json:"tls"`

	// Of a report.
	Success      bool   `json:"success"`
	PolicyReject bool   `json:"policy_reject"`
	FailType     string `json:"fail_type"` // since 2.4: "internal", "credentials", …; "" on 2.3
}

// ErrMalformed says that a body is no flat object of the expected types.
var ErrMalformed = errors.New("malformed auth-policy request")

// Parse reads a body.
func Parse(body []byte) (Query, error) {
	var q Query
	if len(body) > MaxBody {
		return Query{}, ErrMalformed
	}
	if q.parsePlain(body) {
		return q, nil
	}
	q = Query{}
	if json.Unmarshal(body, &q) != nil {
		return Query{}, ErrMalformed
	}
	return q, nil
}

// Answer is what Dovecot is told.
type Answer struct {
	Refuse bool
	Text   string        // with Refuse: shown to the user by the mail program
	Delay  time.Duration // else: go on after this, counted in whole seconds
}

// Append appends the answer's JSON, always flat and with both keys: Dovecot 2.3
// reads nothing else.
func Append(dst []byte, a Answer) []byte {
	status := int64((a.Delay + time.Second - 1) / time.Second)
	text := ""
	if a.Refuse {
		status, text = -1, plain(a.Text)
	}
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, status, 10)
	dst = append(dst, `,"msg":`...)
	dst = strconv.AppendQuote(dst, text) // of printable ASCII this is JSON
	return append(dst, '}')
}

// plain keeps what the line-based protocols behind Dovecot can carry. A text
// outside ASCII would need encodings that neither POP3 nor SMTP has here.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
