package web

import (
	"time"

	"postern/internal/account"
)

// Paths of the administration pages. The daemon asks for a fresh factor before it shows
// one that asks about a change.
const (
	PathAdmin        = "admin/"        // GET: the list; FieldDomain, FieldQuery, FieldState, FieldPage
	PathAdminSignIn  = "admin/sign-in" // GET; POST FieldUser, FieldPassword
	PathAdminPasskey = "admin/passkey" // POST: with a passkey instead
	PathAdminBack    = "admin/back"    // GET: where the sign-in leads back to
	PathAdminLeave   = "admin/leave"   // POST: ends the session
	PathAdminAccount = "admin/account" // GET FieldTarget
	PathAdminChange  = "admin/change"  // GET FieldTarget, FieldAction, FieldKind, FieldID: asks; POST: does it
	PathAdminTOTP    = "admin/totp"    // GET FieldTarget: the form; POST: adds an authenticator
	PathAdminPolicy  = "admin/policy"  // GET FieldLevel, FieldLevelName; POST: the keys of policy.Fields, too
	PathAdminBulk    = "admin/bulk"    // GET FieldDomain, FieldAction, FieldSelected: asks; POST: does it
)

// Fields of the forms there.
const (
	FieldTarget    = "account"  // login name of the account that it is about
	FieldDomain    = "domain"   // whose mailboxes
	FieldQuery     = "q"        // part of a name
	FieldState     = "state"    // an AdminState
	FieldPage      = "page"     // from 1
	FieldAction    = "action"   // an AdminAction
	FieldSelected  = "selected" // AdminRow.Handle; several, or with blanks between
	FieldAll       = "all"      // Yes: all of the page are ticked
	FieldCount     = "count"    // how many accounts it is about, typed again
	FieldReason    = "reason"
	FieldClass     = "class"
	FieldHours     = "hours"
	FieldLevel     = "level" // a policy.Kind
	FieldLevelName = "of"
	FieldWas       = "was" // what the level set when the form was made, as JSON
	FieldSecret    = "secret"
	FieldAlgorithm = "algorithm"
	FieldDigits    = "digits"
	FieldPeriod    = "period" // seconds
)

// Admin is what all administration pages have. Common.User is the administrator.
type Admin struct {
	Common
	Role    AdminRole
	Looked  string   // the domain that is looked at; empty: all that there are
	Domains []string // to choose from, if more than one
	May     AdminRights
}

// AdminRole is what an administrator is.
type AdminRole string

// The roles.
const (
	AdminSite     AdminRole = "site"
	AdminDomain   AdminRole = "domain"
	AdminHelpDesk AdminRole = "help_desk"
)

// AdminRights say which buttons there are. What may be done the daemon decides anew
// when one is pressed.
type AdminRights struct {
	Reset, Token, Revoke, Remove, Sessions, Class, Provision, Code, Bypass bool

	Policies bool // they are shown
	Policy   bool // and accounts' own can be changed
	Several  bool // several accounts at once
}

// AdminState is an account's second factor in a word; package desk's words.
type AdminState string

// The states.
const (
	StateOff        AdminState = "off"
	StateRequired   AdminState = "required" // by policy, and the grace is over
	StateGrace      AdminState = "grace"    // by policy, from a day on
	StateOn         AdminState = "on"
	StateMustEnrol  AdminState = "must_enrol" // after a reset
	StateUnreadable AdminState = "unreadable"
)

// AdminAction is what can be done to accounts.
type AdminAction string

// The actions.
const (
	ActReset    AdminAction = "reset"
	ActToken    AdminAction = "token"      // a new enrolment token
	ActRevoke   AdminAction = "revoke"     // one credential
	ActAll      AdminAction = "revoke_all" // app passwords, sessions, devices
	ActSessions AdminAction = "sessions"   // all sessions and devices
	ActClass    AdminAction = "class"
	ActCode     AdminAction = "code" // shows an authenticator's current code
	ActBypass   AdminAction = "bypass"
	ActEnd      AdminAction = "bypass_end"
)

// AdminRow is one account of the list.
type AdminRow struct {
	Handle string // names it in a form
	Name   string
	AdminStanding
	Methods AdminMethods
	Apps    int       // app passwords that work
	Main    time.Time // last use of the main password where it is not enough; zero: none
	Seen    time.Time // last sign-in; zero: none is known
}

// AdminStanding is how an account stands.
type AdminStanding struct {
	State    AdminState
	Until    time.Time // StateGrace: its end
	Disabled bool      // by the directory
	Locked   bool      // by wrong passwords
	Bypass   time.Time // until when the main password is enough; zero: it is not
	Class    string
}

// AdminMethods counts what an account has.
type AdminMethods struct {
	Authenticators, Passkeys, Plugins int
	Codes                             bool // backup codes
}

// AdminList lists mailboxes.
type AdminList struct {
	Admin
	Total, With, MustEnrol, Main int // of the domain: mailboxes, with a second factor, …
	Query                        string
	Filter                       AdminState // empty: all
	Found                        int        // that match
	Page, Pages                  int
	Rows                         []AdminRow
	Ticked                       bool // all rows
	Address                      func(page int) string
	Tick                         string // path that shows this page with all rows ticked, or none
}

func (*AdminList) view() (string, string) { return "adminlist", "admin_title" }

// AdminAccount is one account.
type AdminAccount struct {
	Admin
	Name string
	AdminStanding
	Cause      string // why it is disabled or locked, or its records cannot be read
	Methods    []AdminCredential
	Backup     *BackupState // nil: none
	Apps       []AppRow
	Devices    []Device
	Sessions   []Session
	Main       []Event   // uses of the main password where it is not enough
	Events     []Event   // newest first
	EnrolUntil time.Time // an enrolment token is handed out until then; zero: none
	NeedsToken bool      // to enrol
	Policy     []AdminField
	Resettable bool // there is something that a reset would take away
}

func (*AdminAccount) view() (string, string) { return "adminaccount", "admin_account_title" }

// AdminCredential is a second factor.
type AdminCredential struct {
	Kind Kind
	Credential
	Detail string // "SHA-1, 6, 30 s"
}

// AdminChange asks before a change of one account.
type AdminChange struct {
	Admin
	Action AdminAction
	Name   string // of the account
	// What it ends.
	Factors, Codes, Apps, Sessions, Devices int
	Token                                   bool // the reset leads to an enrolment token
	// Of ActRevoke and ActCode.
	Kind     Kind
	ID, What string
	// As typed before.
	Reason, Class string
	Classes       []string // that have a policy
	Hours         int      // ActBypass: at most
}

func (a *AdminChange) view() (string, string) {
	return "adminchange", "admin_title_" + string(a.Action)
}

// AdminTOTP is the form for an authenticator that is handed out.
type AdminTOTP struct {
	Admin
	Name       string // of the account
	Label      string // FieldName, as typed
	Algorithms []string
	Algorithm  string
	Digits     int
	Period     int
}

func (*AdminTOTP) view() (string, string) { return "admintotp", "admin_totp_title" }

// AdminShow shows something once, in the answer to a POST.
type AdminShow struct {
	Admin
	What  AdminShown
	Name  string         // of the account
	Value account.Secret // token, code or key
	Until time.Time      // how long it is good
	URI   account.Secret // ShownKey: otpauth:, for the QR code
	Ended int            // ShownToken: credentials that the reset ended; 0: it was no reset
}

func (s *AdminShow) view() (string, string) {
	return "adminshow", "admin_shown_" + string(s.What)
}

// AdminShown is what AdminShow shows.
type AdminShown string

// What is shown.
const (
	ShownToken AdminShown = "token"
	ShownCode  AdminShown = "code"
	ShownKey   AdminShown = "key"
)

// AdminBulk asks before a change of several accounts.
type AdminBulk struct {
	Admin
	Action   AdminAction
	Rows     []AdminRow
	Total    int    // mailboxes of the domain
	Selected string // FieldSelected
	Count    string // FieldCount, as typed
	Class    string
	Classes  []string
}

func (b *AdminBulk) view() (string, string) { return "adminbulk", "admin_title_" + string(b.Action) }

// AdminDone says what was done to several accounts.
type AdminDone struct {
	Admin
	Action AdminAction
	Done   []AdminResult
	Failed []AdminResult
}

func (*AdminDone) view() (string, string) { return "admindone", "admin_done_title" }

// AdminResult is what became of one account.
type AdminResult struct {
	Name    string
	Token   account.Secret
	Until   time.Time
	Problem ProblemCode // of those that failed
}

// AdminPolicy shows what a level sets.
type AdminPolicy struct {
	Admin
	Level    PolicyWord
	Of       string // domain, class or account; empty for the default
	Others   []AdminLevel
	Fields   []AdminField
	MayWrite bool
	Was      string // FieldWas
	Broken   string // why the level cannot be read
	Clashes  []string
}

func (*AdminPolicy) view() (string, string) { return "adminpolicy", "admin_policy_title" }

// AdminLevel names a level of policy.
type AdminLevel struct {
	Level PolicyWord
	Of    string
}

// PolicyWord is a word of package policy: the key of a setting, a choice, a level.
type PolicyWord string

// AdminField is one setting.
type AdminField struct {
	Key     PolicyWord // policy.Field's
	Choices []PolicyWord
	Own     string // what the level sets, as it is written; empty: nothing
	// Inherited is what holds if the level sets nothing, and Origin which level that
	// comes from: an AdminLevel's.
	Inherited string
	Origin    AdminLevel
	Wrong     bool // what was typed is no value
}
