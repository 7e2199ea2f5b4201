package account

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Kind is the kind of a record; each has its own LDAP attribute.
type Kind uint8

// The kinds of records, in the order of their attributes' numbers.
const (
	KindState Kind = iota + 1
	KindTOTP
	KindPasskey
	KindBackup
	KindPlugin
	KindApp
	KindDevice
	KindSession
)

// Kinds lists every kind.
var Kinds = []Kind{KindState, KindTOTP, KindPasskey, KindBackup, KindPlugin, KindApp, KindDevice, KindSession}

// kindTable is the one place that ties a kind to its attribute and to the role
// of the key that seals it.
var kindTable = map[Kind]struct{ name, attribute, role string }{
	KindState:   {"state", "posternState", RoleDoor},
	KindTOTP:    {"authenticator", "posternTotp", RoleFactor},
	KindPasskey: {"passkey", "posternPasskey", RoleFactor},
	KindBackup:  {"backup codes", "posternBackupCodes", RoleFactor},
	KindPlugin:  {"plug-in factor", "posternPluginFactor", RoleFactor},
	KindApp:     {"app password", "posternAppPassword", RoleDoor},
	KindDevice:  {"trusted device", "posternTrustedDevice", RoleFactor},
	KindSession: {"session", "posternSession", RoleDoor},
}

// Key roles: one file each, so that a mail host holds no authenticator secrets.
const (
	RoleDoor   = "door"   // State, app passwords, sessions, cred_id: policyserver, webhook, posternctl
	RoleFactor = "factor" // authenticators, passkeys, backup codes, devices, tokens: webhook, posternctl
	RoleTicket = "ticket" // signs tickets: webhook only; mail hosts have its public half
)

func (k Kind) String() string { return kindTable[k].name }

// Attribute is the LDAP attribute that holds records of this kind.
func (k Kind) Attribute() string { return kindTable[k].attribute }

// Role names the key role that seals records of this kind.
func (k Kind) Role() string { return kindTable[k].role }

// IsFactor reports whether a record of this kind is a second factor.
func (k Kind) IsFactor() bool { return k == KindTOTP || k == KindPasskey || k == KindPlugin }

// Use is one use of a credential.
type Use struct {
	At      time.Time  `cbor:"1,keyasint,omitzero"`
	Service Service    `cbor:"2,keyasint,omitempty"`
	From    netip.Addr `cbor:"3,keyasint,omitzero"`
	Agent   string     `cbor:"4,keyasint,omitempty"`
}

// UseEvery is how often the use of one credential is written down at most: a later use
// within that time leaves no trace.
const UseEvery = time.Hour

// Record is one credential, or State: every kind shares this header.
type Record struct {
	Kind    Kind      `cbor:"-"`
	ID      string    `cbor:"-"` // unique per account and kind; readable in the stored value
	Name    string    `cbor:"1,keyasint,omitempty"`
	Created time.Time `cbor:"2,keyasint,omitzero"`
	Expires time.Time `cbor:"3,keyasint,omitzero"` // zero: never
	Ended   time.Time `cbor:"4,keyasint,omitzero"` // zero: live; else a tombstone
	Used    Use       `cbor:"5,keyasint,omitzero"`
	Body    []byte    `cbor:"6,keyasint,omitempty"` // the kind's own state, CBOR
	// Stopped is when a sweep saw, and told, that an app password has expired. Nothing is
	// decided by it: whether it works, policy says (AppLive).
	Stopped time.Time `cbor:"7,keyasint,omitzero"`
	// Stored is the sealed value as read: what a swap compares. Nil on a record
	// that is not stored yet.
	Stored []byte `cbor:"-"`
}

var (
	encMode = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic, Time: cbor.TimeUnixMicro}.EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8, MaxArrayElements: 4096, MaxMapPairs: 4096,
	}.DecMode())
)

// must is for the two static codec options above, which tests cover.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Encode is how every sealed body is written: deterministic CBOR with small
// integer keys, so that fields can be added without a new format.
func Encode(v any) ([]byte, error) { return encMode.Marshal(v) }

// Decode is Encode's inverse; an unknown field means that a newer Postern wrote
// the value, and is an error rather than silently lost. Errors wrap ErrDamaged.
func Decode(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Member names one record in State. Ended says that it was revoked: an older
// value of it, live, that somebody puts back is then not believed (ATTACKS 20).
type Member struct {
	_     struct{} `cbor:",toarray"`
	Kind  Kind
	ID    string
	Ended bool
}

// State is the body of an account's State record.
type State struct {
	Enrolled  bool `cbor:"1,keyasint,omitempty"` // has, or had, a factor: 2FA is on
	MustEnrol bool `cbor:"2,keyasint,omitempty"` // after a reset: mail doors stay closed to the main password
	// Generation rises with every change of membership or settings.
	Generation uint64 `cbor:"3,keyasint,omitempty"`
	// Epoch is a Unix time in seconds that only rises, also across a restored
	// backup: sessions and trusted devices begun in an older epoch are void.
	Epoch      int64         `cbor:"4,keyasint,omitempty"`
	Members    []Member      `cbor:"5,keyasint,omitempty"`
	Failures   map[Kind]uint `cbor:"6,keyasint,omitempty"` // consecutive wrong tries per kind
	Handle     []byte        `cbor:"7,keyasint,omitempty"` // WebAuthn user handle
	GraceStart time.Time     `cbor:"8,keyasint,omitzero"`
	MainUses   []MainUse     `cbor:"9,keyasint,omitempty"` // who tried the main password where it is not enough
	// FailedAt is when each kind's last wrong try was: what back-off counts from.
	FailedAt map[Kind]time.Time `cbor:"10,keyasint,omitempty"`
	// EnrolHash is SHA-256 of the one-time token that an administrator handed out to
	// enrol with; empty: none is valid. EnrolUntil is when it expires.
	EnrolHash  []byte    `cbor:"11,keyasint,omitempty"`
	EnrolUntil time.Time `cbor:"12,keyasint,omitzero"`
	// Bypass is the last one that was granted, over or not; nil: none was.
	Bypass *Bypass `cbor:"13,keyasint,omitempty"`

	// History is what happened lately (Happenings), encoded: logins need not read it.
	History []byte `cbor:"20,keyasint,omitempty"`
	// Browsers are hashes of those that signed in at webmail; see KnowBrowser.
	Browsers []byte `cbor:"21,keyasint,omitempty"`
	// PasswordSeen is Account.PasswordChanged as it was last seen, in microseconds of
	// Unix time; 0: never.
	PasswordSeen int64 `cbor:"22,keyasint,omitempty"`
	// Access is what the last sweep saw of what policy refuses.
	Access Access `cbor:"25,keyasint,omitempty"`
	// Known is where the main password goes on being enough for a while; nil: nowhere. It
	// is replaced as a whole, never changed.
	Known *Known `cbor:"26,keyasint,omitempty"`
}

// MainUse is one mail program that still uses the main password of an account
// with two-factor login.
type MainUse struct {
	Use
	Count uint `cbor:"5,keyasint"` // hours in which it did
}

const maxMainUses = 20

// NoteMainUse counts a use with those of the same service, address and program;
// of too many, the one longest unused goes.
func (s *State) NoteMainUse(u Use) {
	same := func(m MainUse) bool { return m.Service == u.Service && m.From == u.From && m.Agent == u.Agent }
	count := uint(1)
	if i := slices.IndexFunc(s.MainUses, same); i >= 0 {
		count += s.MainUses[i].Count
		s.MainUses = slices.Delete(s.MainUses, i, i+1)
	}
	s.MainUses = append(s.MainUses, MainUse{Use: u, Count: count})
	if len(s.MainUses) > maxMainUses {
		s.MainUses = s.MainUses[1:]
	}
}

// DecodeState reads the body of a State record.
func DecodeState(body []byte) (State, error) {
	var s State
	err := Decode(body, &s)
	return s, err
}

// Has reports whether State names the record.
func (s *State) Has(k Kind, id string) bool { return s.Find(k, id) >= 0 }

// Find returns the index of the record among Members, -1 if State does not name it.
func (s *State) Find(k Kind, id string) int {
	return slices.IndexFunc(s.Members, func(m Member) bool { return m.Kind == k && m.ID == id })
}

// Clone returns a copy that shares no memory with s.
func (s State) Clone() State {
	s.Members = slices.Clone(s.Members)
	s.Handle = slices.Clone(s.Handle)
	s.EnrolHash = slices.Clone(s.EnrolHash)
	s.MainUses = slices.Clone(s.MainUses)
	s.History = slices.Clone(s.History)
	s.Browsers = slices.Clone(s.Browsers)
	failures := make(map[Kind]uint, len(s.Failures))
	for k, n := range s.Failures {
		failures[k] = n
	}
	if len(failures) > 0 {
		s.Failures = failures
	}
	s.FailedAt = maps.Clone(s.FailedAt)
	return s
}

// NextEpoch is the epoch that voids all sessions and devices begun before now.
func (s *State) NextEpoch(now time.Time) int64 { return max(s.Epoch+1, now.Unix()) }

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID returns a random readable record id of eight characters (40 bits).
func NewID() string {
	var b [5]byte
	rand.Read(b[:]) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	return base32Lower.EncodeToString(b[:])
}

// Service is the mail service a login is for, in Dovecot's word, folded to what
// an app password's scope can name.
type Service string

// Services that an app password can be scoped to, and the ones that never carry
// a password of a user.
const (
	IMAP    Service = "imap"
	POP3    Service = "pop3"
	SMTP    Service = "smtp" // Postfix's "smtp" and Dovecot's "submission"
	Sieve   Service = "sieve"
	DAV     Service = "dav"
	Doveadm Service = "doveadm" // the administrator's own `doveadm auth test`
)

// MailServices is the default scope of an app password.
var MailServices = []Service{IMAP, POP3, SMTP, Sieve}

// Scopes lists what an app password can be scoped to.
var Scopes = []Service{IMAP, POP3, SMTP, Sieve, DAV}

// ParseService folds Dovecot's service names: submission is SMTP, managesieve is
// sieve. Unknown names pass through in lower case: no app password's scope has them.
func ParseService(s string) Service {
	switch s = strings.ToLower(s); s {
	case "submission", "submissions", "smtps":
		return SMTP
	case "managesieve":
		return Sieve
	case "imaps":
		return IMAP
	case "pop3s":
		return POP3
	default:
		return Service(s)
	}
}
