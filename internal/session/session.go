// Package session holds what webmail's sessions are made of: the body of a session's
// record, and the ticket, a short-lived password for the mail doors that stands for it.
//
// A session is a record of the account. Webmail holds a grant, the session's handle,
// and renews a ticket by it every few minutes. A ticket is signed by the webhook and
// checked at the doors with the public key alone, and it is worth nothing once its
// session is not there any more: whoever ends the session ends the ticket.
package session

import "postern/internal/account"

// Session is the body of a session's record. The record's header says when it began
// and expires, who uses it from where (Used), and its Name which client it is of.
type Session struct {
	Epoch  int64  `cbor:"1,keyasint,omitempty"` // of the account when it began
	Client string `cbor:"2,keyasint,omitempty"` // the hook client, by its configured name
	Strong bool   `cbor:"3,keyasint,omitempty"` // begun with a second factor
	Via    string `cbor:"4,keyasint,omitempty"` // credential that began it: "main", "totp:ID", "device:ID"
	// Links are the one-time links to the settings that were used: the last few ids.
	Links [][]byte `cbor:"5,keyasint,omitempty"`
}

// KeepEnded is how long an ended session stays as a tombstone: longer than a
// transaction lives, so that a repeated exchange cannot begin it anew.
const KeepEnded = account.KeepEndedSession

// Decode reads the body of a session's record. Errors wrap account.ErrDamaged.
func Decode(body []byte) (Session, error) {
	var s Session
	err := account.Decode(body, &s)
	return s, err
}
