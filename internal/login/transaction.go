package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
)

// stage is what a transaction waits for.
type stage uint8

const (
	stageFactor stage = iota + 1
	stageEnrol
	stagePasswordless
)

// transaction is a login under way. Webmail keeps it, sealed for one purpose, and
// the browser carries it, sealed for another: neither can stand in for the other.
type transaction struct {
	ID       []byte     `cbor:"1,keyasint"`
	Client   string     `cbor:"2,keyasint"` // hook client that began it
	Account  account.ID `cbor:"3,keyasint,omitempty"`
	DN       string     `cbor:"4,keyasint,omitempty"`
	User     string     `cbor:"5,keyasint,omitempty"` // as typed
	ReturnTo string     `cbor:"6,keyasint"`
	Addr     netip.Addr `cbor:"7,keyasint,omitzero"`
	Agent    string     `cbor:"8,keyasint,omitempty"`
	Stage    stage      `cbor:"9,keyasint"`
	Epoch    int64      `cbor:"10,keyasint,omitempty"`
	Begun    time.Time  `cbor:"11,keyasint"`
	// Postpone: enrolment may be put off, as the grace is not over.
	Postpone bool `cbor:"12,keyasint,omitempty"`
	// Domain chooses the relying party while nobody knows whose passkey it will be.
	Domain string `cbor:"13,keyasint,omitempty"`
	// Renews: a backup code was right and is spent, and the last factor is gone: it is the
	// page's alone, as webmail goes on waiting for the second factor.
	Renews bool `cbor:"14,keyasint,omitempty"`
}

// code is what the browser brings back to webmail: the proof, useless without the
// transaction.
type code struct {
	Transaction []byte       `cbor:"1,keyasint"` // hash of its id
	Proof       factor.Proof `cbor:"2,keyasint,omitzero"`
	Device      string       `cbor:"3,keyasint,omitempty"` // trusted device that stood in for the factor
	Trust       string       `cbor:"4,keyasint,omitempty"` // id under which this browser is to be trusted
	Enrolled    bool         `cbor:"5,keyasint,omitempty"` // the factor was added just now
	Postponed   bool         `cbor:"6,keyasint,omitempty"`
	Account     account.ID   `cbor:"7,keyasint,omitempty"` // passwordless: who it is
	DN          string       `cbor:"8,keyasint,omitempty"`
	User        string       `cbor:"9,keyasint,omitempty"`
	Epoch       int64        `cbor:"10,keyasint,omitempty"`
	Renewed     bool         `cbor:"11,keyasint,omitempty"` // Enrolled or Postponed after a backup code
}

// Purposes of tokens. All are of role factor: mail hosts can neither make nor read them.
const (
	purposeTransaction = "transaction" // to webmail
	purposePage        = "page"        // in the URL, to the browser
	purposeCode        = "code"        // back through the browser
	purposeFactor      = "factor state"
	purposeEnrolled    = "enrolment"
	purposeDevice      = "trusted device"
	purposeGrant       = "grant"
	purposeLink        = "settings link"
	purposeSettings    = "settings session"
)

const (
	codeLife = time.Minute
	maxAgent = 120 // bytes of a browser's name that are kept
)

func (s *SignIn) seal(purpose string, life time.Duration, body any) (string, error) {
	return s.tokens.Issue(account.RoleFactor, purpose, s.now().Add(life), body)
}

func (s *SignIn) open(purpose, token string, body any) error {
	return s.tokens.Parse(account.RoleFactor, purpose, token, s.now(), body)
}

func newTransaction() transaction {
	t := transaction{ID: make([]byte, 16)}
	rand.Read(t.ID) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	return t
}

// ref is the account that the transaction is about, as far as reading it anew needs.
func (t *transaction) ref() *account.Account {
	return &account.Account{ID: t.Account, DN: t.DN, Name: t.User}
}

var sessionIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// sessionID is the id of the session that this transaction ends in: however often a
// code is exchanged, it is one session. An ended one stays as a tombstone for longer
// than a transaction lives, so it does not begin anew either.
func (t *transaction) sessionID() string {
	sum := sha256.Sum256(append([]byte("session "), t.ID...))
	return sessionIDs.EncodeToString(sum[:10])
}

// hash is how a code names its transaction.
func (t *transaction) hash() []byte {
	sum := sha256.Sum256(append([]byte("code "), t.ID...))
	return sum[:]
}

// logID ties the lines of one login together in the audit log.
func (t *transaction) logID() string {
	sum := sha256.Sum256(append([]byte("log "), t.ID...))
	return hex.EncodeToString(sum[:6])
}

// back is where the browser goes when it is done, with one more query parameter.
func (t *transaction) back(parameter, value string) string {
	to, fragment, _ := strings.Cut(t.ReturnTo, "#")
	separator := "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	if fragment != "" {
		fragment = "#" + fragment
	}
	return to + separator + parameter + "=" + value + fragment
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
