package web

import (
	"time"

	"postern/internal/account"
)

// Security is the self-service page.
type Security struct {
	Common
	Duty
	On         bool      // two-step login
	Since      time.Time // zero: not known
	Recommend  bool      // show why it would be good to switch it on
	MayDisable bool
	MayAdd     []Method // allowed by policy: TOTP, Passkey
	Known      *Known   // nil: the main password is enough nowhere

	Authenticators []Credential
	Passkeys       []PasskeyRow
	Plugins        []Credential
	Backup         *BackupState // nil: the account cannot have any
	Devices        []Device
	MayTrust       bool // trusted devices are offered at all
	Sessions       []Session
	Apps           AppList
	Events         []Event // newest first
	// Alerts are those of the last days that an owner should not miss, until they are
	// hidden (PathSeen).
	Alerts []Event

	// Administrator leads to the administration pages.
	Administrator bool

	// Signal is told to the browser, so that password managers forget removed
	// passkeys; nil: nothing.
	Signal *Signal
}

func (*Security) view() (string, string) { return "security", "security_title" }

// Known says from where mail programs may still use the main password.
type Known struct {
	Until  time.Time
	Places []KnownPlace
}

// KnownPlace is one service in one network.
type KnownPlace struct {
	Service account.Service
	Network string
	Seen    time.Time // before two-step login was on, to the day
}

// Credential is one row of a list.
type Credential struct {
	ID, Name string
	Created  time.Time
	Used     time.Time // zero: never
	Disabled bool      // after too many wrong tries
}

// PasskeyRow is one passkey or security key.
type PasskeyRow struct {
	Credential
	Key             bool // on a security key, not on a device
	Passwordless    bool // the switch
	MayPasswordless bool // the switch is shown
}

// BackupState is how many backup codes are left.
type BackupState struct {
	Total, Used int // Total 0: none were made
	Created     time.Time
}

// Left is how many can still be used.
func (b *BackupState) Left() int { return b.Total - b.Used }

// Device is a trusted device.
type Device struct {
	ID      string
	Browser string // "Firefox on Windows"; empty: unknown
	Address string
	Since   time.Time
	Expires time.Time
	Used    time.Time
	This    bool
}

// Session is a live webmail session.
type Session struct {
	ID      string
	Browser string
	Address string
	Since   time.Time
	Seen    time.Time
	This    bool
}

// Event is one line of the account's recent history.
type Event struct {
	Code    EventCode
	At      time.Time
	Name    string // of the thing, if it has one
	Address string
	Client  string // browser or mail program
	By      string // who, if not the owner
	Count   int    // how often within the hour; 0 is once
}

// EventCode is the closed set of what the history tells.
type EventCode string

// What the history tells.
const (
	EventSignIn          EventCode = "sign_in"
	EventPasskeySignIn   EventCode = "passkey_sign_in"
	EventWrongFactor     EventCode = "wrong_factor" // after a right password
	EventTwoFactorOn     EventCode = "two_factor_on"
	EventTwoFactorOff    EventCode = "two_factor_off"
	EventMethodAdded     EventCode = "method_added"
	EventMethodRemoved   EventCode = "method_removed"
	EventMethodDisabled  EventCode = "method_disabled"
	EventPasskeyCopied   EventCode = "passkey_copied"
	EventBackupUsed      EventCode = "backup_used"
	EventBackupNew       EventCode = "backup_new"
	EventDeviceTrusted   EventCode = "device_trusted"
	EventDeviceRemoved   EventCode = "device_removed"
	EventSessionsEnded   EventCode = "sessions_ended"
	EventAppCreated      EventCode = "app_created"
	EventAppRevoked      EventCode = "app_revoked"
	EventAppRevokedTried EventCode = "app_revoked_tried" // somebody uses a revoked one
	EventAppExpired      EventCode = "app_expired"
	EventAppUnused       EventCode = "app_unused" // expired, because nobody used it
	EventAppRenewed      EventCode = "app_renewed"
	EventMainPassword    EventCode = "main_password" // a mail program used it and was refused
	EventPasswordChanged EventCode = "password_changed"
	EventReset           EventCode = "reset" // by an administrator
	EventPasswordless    EventCode = "passwordless"
	EventAllRevoked      EventCode = "all_revoked"
	EventCodeShown       EventCode = "code_shown" // to an administrator
	EventEnrolToken      EventCode = "enrol_token"
	EventBypass          EventCode = "bypass"
	EventBypassEnded     EventCode = "bypass_ended"
)

// Grave reports whether an owner should not miss it.
func (e EventCode) Grave() bool {
	switch e {
	case EventReset, EventBypass, EventTwoFactorOff, EventMethodDisabled, EventMethodAdded, EventCodeShown, EventPasskeyCopied,
		EventAppRevokedTried, EventEnrolToken:
		return true
	}
	return false
}

// Seen is how the latest of the alerts is named when they are hidden.
func (s *Security) Seen() int64 {
	var latest int64
	for _, e := range s.Alerts {
		latest = max(latest, e.At.Unix())
	}
	return latest
}

// Signal is WebAuthn's signal API (level 3, section 5.1.10). AcceptedIDs must be
// complete, security keys included, and come from the write server: a password
// manager hides what is not in it.
type Signal struct {
	RPID        string   `json:"rpId"`
	UserID      string   `json:"userId"` // base64url
	AcceptedIDs []string `json:"allAcceptedCredentialIds"`
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName"`
}

// Rename asks for a new name.
type Rename struct {
	Common
	Kind Kind
	ID   string
	Name string // as it is, or as typed
	Was  string // as it is
}

func (*Rename) view() (string, string) { return "rename", "rename_title" }

// Remove asks before something is removed: one credential, device or session.
type Remove struct {
	Common
	Kind Kind
	ID   string
	Name string // of a session or device: its browser
	Left Remaining
}

func (r *Remove) view() (string, string) { return "remove", "remove_title_" + string(r.Kind) }

// Remaining is what is left of an account's factors after a removal.
type Remaining struct {
	Authenticators, Passkeys, Plugins, BackupCodes int
	MustEnrol                                      bool // the last one goes: the next sign-in asks to set one up
}

// None reports that no factor is left.
func (r Remaining) None() bool { return r.Authenticators+r.Passkeys+r.Plugins == 0 }

// Ask asks before something that concerns several things at once.
type Ask struct {
	Common
	What Question
	N    int // how many things it concerns
}

func (a *Ask) view() (string, string) { return "ask", "ask_title_" + string(a.What) }

// Question is the closed set of what Ask asks; each is posted to its own path.
type Question string

// The questions.
const (
	AskDisable     Question = "disable"      // PathDisable; N: app passwords, which stay
	AskBackupCodes Question = "backup_codes" // PathBackupCodes; N: unused ones, which become void
	AskSessionsEnd Question = "sessions_end" // PathSessionsEnd; N: sessions
	AskDevicesEnd  Question = "devices_end"  // PathDevicesEnd; N: devices
	AskAppsEnd     Question = "apps_end"     // PathAppsEnd; N: app passwords
)
