package session

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/seal"
)

// Ticket is a password for the mail doors.
type Ticket struct {
	Session  string            // id of the session's record
	Epoch    int64             // of the account
	Expires  time.Time         // whole seconds
	Services []account.Service // what it opens: its audience
}

// A ticket is, after factor.TicketPrefix and in base64url,
//
//	version (1) | key id (4) | services (1) | expires (4, Unix seconds) | epoch (8) | session id | signature (64)
//
// The signature (Ed25519) covers the account's key too, which does not travel: a
// ticket of one account is forged for any other.
const (
	ticketVersion = 1
	ticketHeader  = 1 + 4 + 1 + 4 + 8
	signatureSize = 64
	maxSessionID  = 64
	// MaxTicket is the most characters of a ticket (DESIGN.md).
	MaxTicket = 255
)

// audience is the bit of each service.
var audience = []account.Service{account.IMAP, account.SMTP, account.Sieve, account.POP3}

// ErrForged: not a ticket that a webhook of this site made for this account.
// ErrUnknownKey, which wraps it: signed, if at all, with a key that is not known here,
// as the webhook's next one is not where only the last ticket.pub is.
var (
	ErrForged     = errors.New("not a ticket of this account")
	ErrUnknownKey = fmt.Errorf("signed with an unknown key: %w", ErrForged)
)

// Signer signs tickets; package seal's Ring of a webhook is one.
type Signer interface {
	Sign(message []byte) (seal.KeyID, []byte, error)
}

// Verifier checks their signatures; a Ring with the public half is one.
type Verifier interface {
	CanVerify() bool
	Knows(id seal.KeyID) bool
	VerifySignature(id seal.KeyID, message, signature []byte) bool
}

// Issue makes the ticket's text for the account. Errors: seal.ErrNoKey, and a
// session id, an expiry or a service that a ticket cannot hold.
func (t Ticket) Issue(s Signer, id account.ID) (account.Secret, error) {
	if t.Session == "" || len(t.Session) > maxSessionID {
		return account.Secret{}, fmt.Errorf("a session id must have 1 to %d bytes", maxSessionID)
	}
	expires := t.Expires.Unix()
	if expires <= 0 || expires > math.MaxUint32 { // in four bytes it would become some other time
		return account.Secret{}, fmt.Errorf("a ticket cannot expire at %s", t.Expires.UTC().Format(time.RFC3339))
	}
	b := make([]byte, ticketHeader, ticketHeader+len(t.Session)+signatureSize)
	b[0] = ticketVersion
	for _, service := range t.Services {
		i := slices.Index(audience, service)
		if i < 0 {
			return account.Secret{}, fmt.Errorf("a ticket cannot be for %q", service)
		}
		b[5] |= 1 << i
	}
	binary.BigEndian.PutUint32(b[6:], uint32(expires))
	binary.BigEndian.PutUint64(b[10:], uint64(t.Epoch))
	b = append(b, t.Session...)
	// The key id is not part of the message: a wrong one finds another key, which did not sign.
	key, signature, err := s.Sign(message(id, b))
	if err != nil {
		return account.Secret{}, err
	}
	copy(b[1:], key[:])
	return account.SecretString(factor.TicketPrefix + base64.RawURLEncoding.EncodeToString(append(b, signature...))), nil
}

// Parse reads a ticket of the account and checks its signature, and nothing else:
// whether it has expired, and whether its session lives, is the caller's to ask.
// Errors: ErrForged, ErrUnknownKey.
func Parse(v Verifier, id account.ID, text account.Secret) (Ticket, error) {
	encoded, ok := strings.CutPrefix(string(text.Reveal()), factor.TicketPrefix)
	if !ok || len(encoded) > MaxTicket-len(factor.TicketPrefix) {
		return Ticket{}, ErrForged
	}
	b, err := seal.DecodeText(encoded)
	if err != nil || len(b) <= ticketHeader+signatureSize || b[0] != ticketVersion {
		return Ticket{}, ErrForged
	}
	body, signature := b[:len(b)-signatureSize], b[len(b)-signatureSize:]
	key := seal.KeyID(body[1:5])
	copy(body[1:5], make([]byte, 4))
	if !v.Knows(key) {
		return Ticket{}, ErrUnknownKey
	}
	if !v.VerifySignature(key, message(id, body), signature) {
		return Ticket{}, ErrForged
	}
	t := Ticket{
		Session: string(body[ticketHeader:]),
		Epoch:   int64(binary.BigEndian.Uint64(body[10:])),
		Expires: time.Unix(int64(binary.BigEndian.Uint32(body[6:])), 0),
	}
	for i, service := range audience {
		if body[5]&(1<<i) != 0 {
			t.Services = append(t.Services, service)
		}
	}
	return t, nil
}

// message is what is signed.
func message(id account.ID, body []byte) []byte {
	m := []byte("postern ticket\x00")
	m = binary.BigEndian.AppendUint16(m, uint16(len(id)))
	m = append(m, id...)
	return append(m, body...)
}
