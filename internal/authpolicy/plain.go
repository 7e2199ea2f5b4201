package authpolicy

import (
	"bytes"
	"strings"
)

// parsePlain reads an object as Dovecot writes nearly all: without escapes,
// blanks between the words, or other than ASCII, with text, true and false. It reports whether body was one.
// It is worth a tenth of what a question costs (docs/performance.md); what it takes,
// encoding/json reads alike.
func (q *Query) parsePlain(body []byte) bool {
	if bytes.ContainsFunc(body, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }) {
		return false
	}
	rest, more := strings.CutPrefix(string(body), "{")
	if !more {
		return false
	}
	for more {
		key, value, ok := cutText(rest)
		if !ok || key != strings.ToLower(key) || !strings.HasPrefix(value, ":") {
			return false
		}
		if rest, ok = q.setPlain(key, value[1:]); !ok {
			return false
		}
		rest, more = strings.CutPrefix(rest, ",")
	}
	return rest == "}"
}

// setPlain takes the value that rest begins with.
func (q *Query) setPlain(key, rest string) (after string, ok bool) {
	flag, text := q.flag(key), q.text(key)
	if value, after, ok := cutText(rest); ok {
		if text != nil {
			*text = value
		}
		return after, flag == nil
	}
	after, value := strings.CutPrefix(rest, "true")
	if !value {
		if after, ok = strings.CutPrefix(rest, "false"); !ok {
			return "", false
		}
	}
	if flag != nil {
		*flag = value
	}
	return after, text == nil
}

// cutText cuts a text in quotes off s.
func cutText(s string) (text, rest string, ok bool) {
	if s, ok = strings.CutPrefix(s, `"`); !ok {
		return "", "", false
	}
	return strings.Cut(s, `"`)
}

func (q *Query) flag(key string) *bool {
	switch key {
	case "tls":
		return &q.TLS
	case "success":
		return &q.Success
	case "policy_reject":
		return &q.PolicyReject
	}
	return nil
}

func (q *Query) text(key string) *string {
	switch key {
	case "login":
		return &q.Login
	case "pwhash":
		return &q.PwHash
	case "remote":
		return &q.Remote
	case "real_remote":
		return &q.RealRemote
	case "device_id":
		return &q.DeviceID
	case "protocol":
		return &q.Protocol
	case "session_id":
		return &q.SessionID
	case "mech":
		return &q.Mech
	case "master":
		return &q.Master
	case "cred_id":
		return &q.CredID
	case "fail_type":
		return &q.FailType
	}
	return nil
}
