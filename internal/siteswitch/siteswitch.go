// Package siteswitch is the one switch that takes a site back to the behaviour before
// Postern for a while: main passwords open mail and webmail for everybody, with or
// without two-factor login, while app passwords go on working.
//
// It is kept in the directory, beside the key-check values, where every daemon sees it
// within seconds. Each value is sealed by the door key: who may write there, and has no
// key, can neither make one nor change one. Whoever throws the switch adds a value with
// a later time; the latest counts. A value that was replaced could be put back by who
// kept a copy: so each ends by itself, and a daemon that has seen a later one does not
// go back to an earlier one.
package siteswitch

import (
	"errors"
	"strings"
	"time"

	"postern/internal/account"
)

// Tokens seals values; package seal's Ring is one.
type Tokens interface {
	Issue(role, purpose string, expires time.Time, body any) (string, error)
	Parse(role, purpose, token string, now time.Time, body any) error
}

const (
	// Prefix begins a value among the key-check values. No role has that name.
	Prefix  = "switch "
	purpose = "site switch"
)

// Longest is how long the site may be switched off at once.
const Longest = 7 * 24 * time.Hour

// State is one position of the switch. The zero State is: on, and never thrown.
type State struct {
	Off    bool      `cbor:"1,keyasint,omitempty"`
	At     time.Time `cbor:"2,keyasint,omitzero"`  // thrown
	Until  time.Time `cbor:"3,keyasint,omitzero"`  // of the value; with Off, Postern is on again then
	Reason string    `cbor:"4,keyasint,omitempty"` // why, as the administrator said
	By     string    `cbor:"5,keyasint,omitempty"`
}

// IsOff reports whether Postern is switched off at now.
func (s State) IsOff(now time.Time) bool { return s.Off && now.Before(s.Until) }

// Seal makes the value of a state. Errors: a state that does not end.
func (s State) Seal(t Tokens) (string, error) {
	if !s.Until.After(s.At) || s.Until.Sub(s.At) > Longest {
		return "", errors.New("the switch must end by itself, within seven days")
	}
	token, err := t.Issue(account.RoleDoor, purpose, s.Until, s)
	return Prefix + token, err
}

// Latest is the newest state among the site's values; the zero State if there is none.
// What was not sealed by our key, and what has ended, does not count.
func Latest(t Tokens, values []string, now time.Time) State {
	var latest State
	for _, v := range values {
		token, ok := strings.CutPrefix(v, Prefix)
		if !ok {
			continue
		}
		var s State
		if t.Parse(account.RoleDoor, purpose, token, now, &s) == nil && s.At.After(latest.At) {
			latest = s
		}
	}
	return latest
}

// Values are those of the site's values that are a switch's.
func Values(values []string) []string {
	var list []string
	for _, v := range values {
		if strings.HasPrefix(v, Prefix) {
			list = append(list, v)
		}
	}
	return list
}
