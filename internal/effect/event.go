// Package effect is what follows a decision or a change: the audit line and the
// metrics, and the end of live sessions (spool.go). Events come from
// two places only: the end of a decision in package login, and the commit of a
// change in package desk; here are added those of the sessions that were ended.
package effect

import (
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/internal/account"
)

// Action says what an event is about.
type Action string

// The closed set of actions.
const (
	Login              Action = "login"
	Lookup             Action = "lookup"
	Policy             Action = "policy"          // a refusal by the auth policy
	Damage             Action = "damage"          // stored data does not match what Postern wrote: an alarm
	FirstFactor        Action = "first_factor"    // a right password at webmail; a second factor must follow
	SecondFactor       Action = "second_factor"   // an answer that was not right, or could not be checked
	FactorDisabled     Action = "factor_disabled" // by too many wrong tries: an alarm
	DeviceTrusted      Action = "device_trusted"
	AppPasswordCreated Action = "app_password_created"
	AppPasswordRevoked Action = "app_password_revoked"
	AppPasswordRenewed Action = "app_password_renewed"
	ProfileFetched     Action = "profile_fetched" // with an app password in it, for a device
	TOTPAdded          Action = "totp_added"
	TOTPRemoved        Action = "totp_removed"
	TOTPCodeShown      Action = "totp_code_shown"
	PasskeyAdded       Action = "passkey_added"
	PasskeyRemoved     Action = "passkey_removed"
	PluginAdded        Action = "plugin_factor_added"
	PluginRemoved      Action = "plugin_factor_removed"
	BackupCodesMade    Action = "backup_codes_made"
	Renamed            Action = "renamed"
	PasswordlessSet    Action = "passwordless_set" // whether a passkey may sign in alone
	DeviceRemoved      Action = "device_removed"
	WebSessionEnded    Action = "web_session_ended"     // one, from elsewhere
	LoggedOut          Action = "logged_out"            // by webmail, of its own session
	LoggedOutAll       Action = "logged_out_everywhere" // of webmail, trusted devices among it
	TwoFactorOn        Action = "two_factor_on"
	TwoFactorOff       Action = "two_factor_off"
	Reset              Action = "reset"
	EnrolTokenMade     Action = "enrol_token_made"
	RevokedAll         Action = "revoked_all"
	PolicyChanged      Action = "policy_changed"
	ClassChanged       Action = "class_changed"
	AccountViewed      Action = "account_viewed" // by an administrator; recorded if refused
	BypassGranted      Action = "bypass_granted"
	BypassEnded        Action = "bypass_ended"
	KnownDevicesKept   Action = "known_devices_kept"  // with two_factor_on: from where the main password goes on for some days
	KnownDevicesEnded  Action = "known_devices_ended" // before these days were over
	RevokedSince       Action = "revoked_since"       // the answer to an incident
	Erased             Action = "erased"
	Exported           Action = "exported"
	BackupCodeUsed     Action = "backup_code_used"
	NewSignIn          Action = "new_sign_in"           // at webmail, from a browser not seen before
	PasswordChanged    Action = "main_password_changed" // seen after the fact: the directory does not tell when it happens
	Mailed             Action = "mailed"                // a security mail was handed over, or given up
)

// Event is one audit line: a decision, or a change that was committed. It has no
// field that could hold a secret.
type Event struct {
	Time       time.Time       `json:"time"`
	Action     Action          `json:"action"`
	Outcome    string          `json:"outcome"` // granted, denied, unavailable; done, refused for changes
	Reason     string          `json:"reason,omitempty"`
	User       string          `json:"user,omitempty"`    // canonical, or as typed when no entry was found
	Account    account.ID      `json:"account,omitempty"` // key of the entry
	Domain     string          `json:"domain,omitempty"`
	Credential string          `json:"credential,omitempty"` // main, or account.Credential: app:ID, totp:ID
	Service    account.Service `json:"service,omitempty"`
	Client     netip.Addr      `json:"client,omitzero"`
	Peer       netip.Addr      `json:"peer,omitzero"`
	Session    string          `json:"session,omitempty"` // Dovecot's session id
	Mech       string          `json:"mech,omitempty"`
	Door       string          `json:"door,omitempty"`
	Agent      string          `json:"agent,omitempty"`
	Actor      string          `json:"actor,omitempty"` // who made a change
	Detail     string          `json:"detail,omitempty"`
	Micros     int64           `json:"us,omitempty"`   // duration in microseconds
	Until      time.Time       `json:"until,omitzero"` // when what was granted ends
	Epoch      int64           `json:"-"`              // of the account after a change; see Ending

	// For what the account's owner is told (topic.go); the audit log has it in Detail.
	Name    string `json:"-"` // what the owner calls the credential
	ByOwner bool   `json:"-"` // the change was the owner's own
	Proven  bool   `json:"-"` // with SecondFactor: after a right password or in a session
	Left    int    `json:"-"` // backup codes that are left, with BackupCodeUsed
	// Kept are the names of app passwords that go on, with PasswordChanged; At, when it
	// was changed, as far as the directory tells, or when an app password stopped to work.
	Kept []string  `json:"-"`
	At   time.Time `json:"-"`
}

// Recorder takes events. Record must not block on slow outputs for long, and
// must not fail the caller.
type Recorder interface{ Record(Event) }

// Discard is a Recorder for callers without an audit trail, such as -check.
type Discard struct{}

// Record drops the event.
func (Discard) Record(Event) {}

const maxText = 256 // bytes of any one text field

// Clean makes text from outside safe for a log line: valid UTF-8, no control or
// invisible format characters, at most 256 bytes (ATTACKS 31).
func Clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
		for len(s) > 0 && !utf8.ValidString(s[len(s)-1:]) && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// Printable is an event that was read from somewhere, with every text safe to print.
func (e Event) Printable() Event {
	e.Outcome, e.Action = Clean(e.Outcome), Action(Clean(string(e.Action)))
	e.Account, e.Domain, e.Credential = account.ID(Clean(string(e.Account))), Clean(e.Domain), Clean(e.Credential)
	return e.cleaned()
}

// cleaned returns the event with every field that can come from outside made safe.
func (e Event) cleaned() Event {
	for _, p := range []*string{&e.User, &e.Session, &e.Mech, &e.Door, &e.Agent, &e.Actor, &e.Detail, &e.Reason} {
		*p = Clean(*p)
	}
	e.Service = account.Service(Clean(string(e.Service)))
	return e
}
