// Package web turns a view model into a finished page: what a person sees while
// signing in with a second factor, enrolling one, or looking after it.
//
// It decides nothing. The daemon fills in one of the view models (signin.go,
// enrol.go, security.go, apppassword.go, message.go) and calls Pages.Render, which
// chooses language and brand, executes the template and answers with strict
// headers. Texts are nowhere but in the catalogues (catalogue/*.toml), in templates
// neither; a test holds that, and that all five languages have every one of them.
//
// Everything works without JavaScript but passkeys, whose browser interface is
// JavaScript. There are no inline styles or scripts, so that the content security
// policy can forbid them: branding is a generated style sheet of the same origin.
//
// To look at the pages: go run ./internal/web/gallery
//
// The icons are Lucide's (https://lucide.dev, ISC licence, icon/LICENSE).
package web

import (
	"strings"
	"time"
)

// Paths of pages and forms, below the path of Options.PublicURL. The daemon
// answers them; the templates link and post to them. Each says which methods it
// has and which fields are posted besides FieldToken and FieldCSRF, which all forms
// have.
const (
	PathSignIn        = "sign-in"                     // GET, POST: the factor's fields, FieldTrust
	PathSignInMethod  = "sign-in/method"              // POST FieldMethod: another way
	PathSignInWait    = "sign-in/wait"                // GET FieldQuestion, FieldMethod in the query: is there an answer
	PathPasskey       = "passkey"                     // GET, POST FieldResponse: sign-in without password
	PathEnrol         = "enrol"                       // GET, POST FieldMethod: which method to add
	PathEnrolToken    = "enrol/token"                 // POST FieldEnrolToken
	PathEnrolTOTP     = "enrol/totp"                  // POST FieldCode, FieldName
	PathEnrolPasskey  = "enrol/passkey"               // POST FieldResponse, FieldName
	PathEnrolPlugin   = "enrol/plugin"                // POST FieldMethod, FieldCode, FieldName
	PathEnrolSaved    = "enrol/saved"                 // POST FieldSaved: the backup codes are saved
	PathEnrolLater    = "enrol/later"                 // POST: within the grace period
	PathEnrolDone     = "enrol/done"                  // POST: on to the webmail
	PathSecurity      = "security"                    // GET
	PathConfirm       = "security/confirm"            // GET FieldNext in the query; POST: FieldNext, the method's fields
	PathConfirmMethod = "security/confirm/method"     // POST FieldMethod, FieldNext
	PathConfirmWait   = "security/confirm/wait"       // GET as PathSignInWait, FieldNext
	PathAdd           = "security/add"                // GET, FieldMethod in the query or to be chosen: begins an enrolment
	PathRename        = "security/rename"             // GET FieldKind, FieldID in the query; POST with FieldName
	PathRemove        = "security/remove"             // GET FieldKind, FieldID in the query; POST
	PathPasswordless  = "security/passwordless"       // POST FieldID, FieldOn: the switch of one passkey
	PathBackupCodes   = "security/backup-codes"       // GET: asks; POST: makes new ones
	PathSessionsEnd   = "security/sessions/end"       // GET: asks; POST: logs out everywhere
	PathDevicesEnd    = "security/devices/end"        // GET: asks; POST: no device is trusted any more
	PathAppPassword   = "security/app-password"       // GET: the form; POST: makes one
	PathProfile       = "profile"                     // GET FieldToken: a device's profile; POST: fetches it, FieldWithout: without the password
	PathAppRenew      = "security/app-password/renew" // POST FieldID: it works again
	PathAppsEnd       = "security/app-passwords/end"  // GET: asks; POST: revokes all
	PathDisable       = "security/disable"            // GET: asks; POST: two-step login off
	PathSeen          = "security/seen"               // POST FieldID: the alerts up to Security.Seen are hidden
	PathLogout        = "security/leave"              // POST: ends the settings session
	PathLanguage      = "language"                    // POST FieldLanguage, FieldNext; answered by Pages.Handler
	PathAssets        = "assets/"                     // GET; answered by Pages.Handler
)

// Fields of forms.
const (
	FieldToken    = "t"        // the transaction or settings token, hidden
	FieldCSRF     = "csrf"     // see CSRF, hidden
	FieldMethod   = "method"   // a Method
	FieldCode     = "code"     // TOTP, backup code, or what a plug-in asks for, as typed
	FieldTrust    = "trust"    // "yes": trust this device
	FieldQuestion = "s"        // of a plug-in's question, sealed, where a page waits for its answer
	FieldAgain    = "again"    // "yes": another message
	FieldResponse = "response" // a passkey's answer: PublicKeyCredential as JSON (WebAuthn level 3, section 5.1)
	// FieldFault is what the browser's WebAuthn interface failed with, as the name
	// of a DOMException: "SecurityError" (the relying party does not fit the page:
	// configuration; log it). FieldResponse is empty then.
	FieldFault      = "fault"
	FieldUser       = "username" // for password managers and passkey autofill
	FieldPassword   = "password"
	FieldEnrolToken = "enrolment"
	FieldSaved      = "saved" // "yes"
	FieldName       = "name"
	FieldKind       = "kind" // a Kind
	FieldID         = "id"
	FieldOn         = "on"       // "yes" or "no"
	FieldService    = "service"  // one of account.Scopes; several
	FieldNetworks   = "networks" // addresses and prefixes, separated by blanks, commas or lines
	FieldExpires    = "expires"  // days from now; "0": never
	FieldWithout    = "without"  // "yes": the password is left out
	FieldLanguage   = "lang"
	FieldNext       = "next" // where to go on
)

// Yes is the value of a ticked box.
const Yes = "yes"

// Method is a way to prove who one is: the name of a factor as policies call it, or
// the password. Plug-ins are "plugin:NAME".
type Method string

// The built-in methods.
const (
	TOTP     Method = "totp"
	Passkey  Method = "passkey"
	Backup   Method = "backup"
	Password Method = "password" // on Confirm only
)

// Plugin reports whether the method is a plug-in's.
func (m Method) Plugin() bool { return strings.HasPrefix(string(m), "plugin:") }

// Kind is what can be renamed or removed in Security.
type Kind string

// The kinds, as they stand in FieldKind.
const (
	KindTOTP    Kind = "totp"
	KindPasskey Kind = "passkey"
	KindPlugin  Kind = "plugin"
	KindDevice  Kind = "device"
	KindSession Kind = "session"
	KindApp     Kind = "app"
)

// Page is a view model: a pointer to one of the structs of this package that embed
// Common.
type Page interface {
	common() *Common
	// view names the template, and the message that is the page's title.
	view() (template, title string)
}

// Common is what every page has. The zero value is a page of the site's brand for
// nobody in particular.
type Common struct {
	Domain   string // whose brand; unknown or empty: the site's
	Language string // the account's own, if known: after the person's choice, before the browser's
	User     string // the account's name: shown, and given to password managers
	Webmail  Webmail
	Token    string // FieldToken; empty: no such field
	CSRF     string // FieldCSRF; empty: no such field
	// Origins are those (scheme://host[:port]) to which an answer to one of the page's
	// forms may redirect: browsers hold form-action against redirects, too.
	Origins []string
	// Self is where a GET shows this page again (path and query), for the choice of
	// language. Empty: the request's own URL if it is a GET, else no choice is offered.
	Self    string
	Problem *Problem // what went wrong with the last try
	Notice  *Notice  // what was done
}

func (c *Common) common() *Common { return c }

// Webmail is where people came from and go back to.
type Webmail struct {
	Name string // empty: the word "webmail" in the page's language
	URL  string // empty: no link
	// Administration: these are the administration pages, whatever the name.
	Administration bool
}

// Problem is why a page is shown again. Its Code chooses the text; the other fields
// fill it in.
type Problem struct {
	Code ProblemCode
	// Wait is how long to wait before the next try (TooManyTries).
	Wait time.Duration
	// Drift is how far the device's clock is ahead, negative: behind (CodeWrong; zero:
	// not known). Server is the time to compare it with.
	Drift  time.Duration
	Server time.Time
	Value  string // what was refused, as typed (NetworksWrong)
}

// ProblemCode is the closed set of what can be wrong with something posted.
type ProblemCode string

// What can be wrong. The comment names the field the text stands at.
const (
	CodeEmpty       ProblemCode = "code_empty"      // FieldCode
	CodeShort       ProblemCode = "code_short"      // FieldCode
	CodeLong        ProblemCode = "code_long"       // FieldCode
	CodeNotDigits   ProblemCode = "code_not_digits" // FieldCode
	CodeWrong       ProblemCode = "code_wrong"      // FieldCode; with Drift a hint
	CodeUsed        ProblemCode = "code_used"       // FieldCode
	CodeExpired     ProblemCode = "code_expired"    // FieldCode; of a plug-in
	BackupForm      ProblemCode = "backup_form"     // FieldCode: no backup code looks like this
	BackupWrong     ProblemCode = "backup_wrong"    // FieldCode
	BackupUsed      ProblemCode = "backup_used"     // FieldCode
	TooManyTries    ProblemCode = "too_many_tries"  // FieldCode; Wait
	MethodDisabled  ProblemCode = "method_disabled" // this method, after too many tries; choose another
	MethodDown      ProblemCode = "method_down"     // this method cannot be checked now
	Pending         ProblemCode = "pending"         // a plug-in has no answer yet
	PluginWrong     ProblemCode = "plugin_wrong"    // FieldCode: not accepted by a plug-in
	PluginForm      ProblemCode = "plugin_form"     // FieldCode: no answer to a plug-in's question
	PasskeyRefused  ProblemCode = "passkey_refused" // not one of this account, or its answer is wrong
	PasskeyUV       ProblemCode = "passkey_uv"      // fingerprint, face or screen lock was needed
	PasskeyCopied   ProblemCode = "passkey_copied"  // counter went back (ATTACKS 29)
	PasskeyKnown    ProblemCode = "passkey_known"   // already on this account
	PasskeyKind     ProblemCode = "passkey_kind"    // attestation: not one of the models allowed
	PasskeySetup    ProblemCode = "passkey_setup"   // FieldFault SecurityError
	PasskeyExpired  ProblemCode = "passkey_expired" // the challenge is too old, or was used
	PasswordEmpty   ProblemCode = "password_empty"  // FieldPassword
	PasswordWrong   ProblemCode = "password_wrong"  // FieldPassword
	EnrolTokenWrong ProblemCode = "enrolment_wrong" // FieldEnrolToken
	SavedMissing    ProblemCode = "saved_missing"   // FieldSaved
	NameEmpty       ProblemCode = "name_empty"      // FieldName
	NameLong        ProblemCode = "name_long"       // FieldName: over 64 characters
	NameForm        ProblemCode = "name_form"       // FieldName: unseen characters, or like a password
	NameTaken       ProblemCode = "name_taken"      // FieldName
	ServicesNone    ProblemCode = "services_none"   // FieldService
	NetworksWrong   ProblemCode = "networks_wrong"  // FieldNetworks; Value
	ExpiresWrong    ProblemCode = "expires_wrong"   // FieldExpires
	AppMaximum      ProblemCode = "app_maximum"     // as many app passwords as the policy allows
	NotAllowed      ProblemCode = "not_allowed"     // by policy
	Busy            ProblemCode = "busy"            // others are changing the account; nothing was done
	Unavailable     ProblemCode = "unavailable"     // nothing was checked or done
	FormOld         ProblemCode = "form_old"        // FieldCSRF or FieldToken does not fit; the page is fresh now

	// Of administrators.
	ReasonEmpty    ProblemCode = "reason_empty"    // FieldReason
	ReasonWrong    ProblemCode = "reason_wrong"    // FieldReason: too long, invisible characters, or a password
	CountWrong     ProblemCode = "count_wrong"     // FieldCount
	NoneSelected   ProblemCode = "none_selected"   //
	SecretWrong    ProblemCode = "secret_wrong"    // FieldSecret
	ClassWrong     ProblemCode = "class_wrong"     // FieldClass; Value: why
	PolicyWrong    ProblemCode = "policy_wrong"    // Value: why
	AdminForbidden ProblemCode = "admin_forbidden" // beyond the administrator's rights
	AccountUnknown ProblemCode = "account_unknown" //
	AccountNothing ProblemCode = "account_nothing" // it is so already
	AccountDamaged ProblemCode = "account_damaged" // its records cannot be read
)

// Notice is what was done, told once at the top of the next page.
type Notice struct {
	Code NoticeCode
	Name string // of the thing
}

// NoticeCode is the closed set of things done.
type NoticeCode string

// What was done.
const (
	DoneTwoFactorOn     NoticeCode = "two_factor_on"
	DoneTwoFactorOff    NoticeCode = "two_factor_off"
	DoneMethodAdded     NoticeCode = "method_added"
	DoneRenamed         NoticeCode = "renamed"
	DoneMethodRemoved   NoticeCode = "method_removed"
	DonePasskeyRemoved  NoticeCode = "passkey_removed" // also delete it in the password manager
	DonePasswordlessOn  NoticeCode = "passwordless_on"
	DonePasswordlessOff NoticeCode = "passwordless_off"
	DoneCodesNew        NoticeCode = "codes_new"
	DoneDeviceRemoved   NoticeCode = "device_removed"
	DoneDevicesRemoved  NoticeCode = "devices_removed"
	DoneSessionEnded    NoticeCode = "session_ended"
	DoneAppRevoked      NoticeCode = "app_revoked"
	DoneAppRenewed      NoticeCode = "app_renewed"
	DoneAppsRevoked     NoticeCode = "apps_revoked"
	DoneAppCreated      NoticeCode = "app_created"
	DoneNothing         NoticeCode = "nothing_to_do" // it is already so

	// By an administrator.
	DoneAdminReset    NoticeCode = "admin_reset"
	DoneAdminRevoked  NoticeCode = "admin_revoked" // one credential
	DoneAdminAll      NoticeCode = "admin_all"
	DoneAdminSessions NoticeCode = "admin_sessions"
	DoneAdminClass    NoticeCode = "admin_class"
	DoneAdminTOTP     NoticeCode = "admin_totp"
	DoneAdminPolicy   NoticeCode = "admin_policy"
	DoneAdminBypass   NoticeCode = "admin_bypass"
	DoneAdminEnd      NoticeCode = "admin_bypass_end"
)
