// Package policy turns the settings of several levels (site default, domain,
// class, account) into one answer, each value with the level it came from. The
// nearest level that sets a field wins, field by field.
//
// The fields are listed once, in Settings: its tags are the keys of the
// configuration file and of the directory's JSON, and their documentation. Resolve
// copies what is set into the fields of the same names of Effective.
//
// The package knows no directory: whoever reads a level hands it over as a Layer.
package policy

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// TwoFactor says whether an account may or must have a second factor.
type TwoFactor string

// The three settings of two-factor login.
const (
	Off       TwoFactor = "off"
	Optional  TwoFactor = "optional"
	Mandatory TwoFactor = "mandatory"
)

// Settings is what one level may set; nil means: not set here. The tag values says
// what may be written, doc what it does.
type Settings struct {
	TwoFactor             *TwoFactor `json:"twofactor,omitempty" toml:"twofactor" values:"off, optional, mandatory" doc:"off, optional, or mandatory: then no main password opens mail, enrolled or not, once the grace is over."`
	Grace                 *Duration  `json:"grace,omitempty" toml:"grace" values:"0 to 366d" doc:"How long enrolment may be postponed after it became mandatory."`
	GraceStart            *Date      `json:"grace_start,omitempty" toml:"grace_start" values:"2027-01-31 (midnight UTC), RFC 3339" doc:"When the grace begins, for everybody. Not set: for each account when it is first seen under mandatory."`
	Methods               *[]string  `json:"methods,omitempty" toml:"methods" values:"list of totp, passkey, plugin:NAME, plugin:*" doc:"The second factors that may be used. A factor that is not allowed any more does not count, but 2FA stays on."`
	TOTPTolerance         *int       `json:"totp_tolerance,omitempty" toml:"totp_tolerance" values:"0 to 10" doc:"How many steps (of 30 or 60 s) the clock of an authenticator may be off, either way."`
	BackupCodes           *bool      `json:"backup_codes,omitempty" toml:"backup_codes" values:"true, false" doc:"Whether backup codes are offered and accepted."`
	TrustedDeviceDays     *int       `json:"trusted_device_days,omitempty" toml:"trusted_device_days" values:"0 to 365" doc:"Days that a browser is trusted without the second factor, if its user says so. 0: never. Must exceed session_life."`
	SessionLife           *Duration  `json:"session_life,omitempty" toml:"session_life" values:"2h to 365d" doc:"How long a webmail session lives at most."`
	SessionIdle           *Duration  `json:"session_idle,omitempty" toml:"session_idle" values:"2h to 365d" doc:"How long a webmail session lives unused. At most session_life."`
	Passwordless          *bool      `json:"passwordless,omitempty" toml:"passwordless" values:"true, false" doc:"Whether users may let a passkey log in without the password."`
	AppPasswords          *bool      `json:"app_passwords,omitempty" toml:"app_passwords" values:"true, false" doc:"Whether app passwords are accepted. Without them, users with 2FA reach mail by webmail only."`
	AppPasswordMax        *int       `json:"app_password_max,omitempty" toml:"app_password_max" values:"0 to 200" doc:"App passwords in use at once, for each account."`
	AppPasswordServices   *[]string  `json:"app_password_services,omitempty" toml:"app_password_services" values:"list of imap, pop3, smtp, sieve, dav" doc:"The services that users may give an app password."`
	AppPasswordUnusedDays *int       `json:"app_password_unused_days,omitempty" toml:"app_password_unused_days" values:"0 to 3650" doc:"Days after which an app password that nobody used expires. 0: never."`
	KnownDeviceDays       *int       `json:"known_device_days,omitempty" toml:"known_device_days" values:"0 to 90" doc:"Days after 2FA was switched on for which mail programs go on with the main password where they used it before: same service, same network. Weaker than app passwords. 0: not at all."`
	UserMayDisable        *bool      `json:"user_may_disable,omitempty" toml:"user_may_disable" values:"true, false" doc:"Whether users may switch 2FA off themselves, where it is optional."`
	ResetNeedsToken       *bool      `json:"reset_needs_token,omitempty" toml:"reset_needs_token" values:"true, false" doc:"Whether enrolment after an administrator's reset needs the one-time token that the administrator got."`
	Recommend             *bool      `json:"recommend,omitempty" toml:"recommend" values:"true, false" doc:"Whether users without 2FA are shown a recommendation, where it is optional."`
	ServiceAccount        *bool      `json:"service_account,omitempty" toml:"service_account" values:"true, false" doc:"For scanners and list software: app passwords for one service from fixed networks, nobody to enrol."`
}

// Layer is one level's settings.
type Layer struct {
	Origin string // "default", "domain example.test", "class students", "account"
	Settings
	Err  error  // the level exists but cannot be read: see Resolve
	Text string // as stored; "" if it is not
}

// Layers are ordered from the farthest (site default) to the nearest (account).
type Layers []Layer

// Effective is the answer: every field has a value and an origin. Lists and origins
// are shared with other answers: they must not be changed.
type Effective struct {
	TwoFactor             TwoFactor
	Grace                 time.Duration
	GraceStart            time.Time // zero: when the account is first seen under it
	Methods               []string  // see AllowsMethod
	TOTPTolerance         int       // steps either way
	BackupCodes           bool
	TrustedDeviceDays     int // 0: off
	SessionLife           time.Duration
	SessionIdle           time.Duration // a session ends at whichever comes first
	Passwordless          bool          // a passkey alone may log in
	AppPasswords          bool
	AppPasswordMax        int
	AppPasswordServices   []string // see AllowsService
	AppPasswordUnusedDays int      // 0: never
	KnownDeviceDays       int      // 0: off
	UserMayDisable        bool
	ResetNeedsToken       bool
	Recommend             bool
	ServiceAccount        bool

	Origin map[string]string // by JSON key
}

// BuiltIn is the origin of values that no level sets.
const BuiltIn = "built in"

// Builtin is what holds when no level says anything. Only grace_start is not set.
func Builtin() Layer {
	day := 24 * time.Hour
	return Layer{Origin: BuiltIn, Settings: Settings{
		TwoFactor: new(Optional), Grace: new(Duration(0)),
		Methods: &[]string{MethodTOTP, MethodPasskey, MethodPlugin + "*"}, TOTPTolerance: new(1),
		BackupCodes: new(true), TrustedDeviceDays: new(30),
		SessionLife: new(Duration(7 * day)), SessionIdle: new(Duration(day / 2)), Passwordless: new(true),
		AppPasswords: new(true), AppPasswordMax: new(25), AppPasswordServices: new(slices.Clone(services)),
		AppPasswordUnusedDays: new(0), KnownDeviceDays: new(0), UserMayDisable: new(true), ResetNeedsToken: new(true), Recommend: new(true),
		ServiceAccount: new(false),
	}}
}

// builtin is Builtin resolved, which every answer starts from.
var builtin = resolveBuiltin()

func resolveBuiltin() Effective {
	e := Effective{Origin: make(map[string]string, len(table))}
	for _, f := range table {
		e.Origin[f.Key] = BuiltIn
	}
	l := Builtin()
	e.take(&l)
	return e
}

// Resolve merges the layers over Builtin. A level that cannot be read is an
// error, not a level without settings: otherwise spoiling one value would relax
// the policy. Values that contradict each other are no error here; see Check.
func (l Layers) Resolve() (Effective, error) {
	e, own := builtin, false
	var errs []error
	for i := range l {
		switch {
		case l[i].Err != nil:
			errs = append(errs, fmt.Errorf("policy of %s: %w", l[i].Origin, l[i].Err))
		case l[i].Settings == Settings{}: // the most frequent case by far
		default:
			if !own {
				e.Origin, own = maps.Clone(e.Origin), true
			}
			e.take(&l[i])
		}
	}
	return e, errors.Join(errs...)
}

// take copies what the layer sets.
func (e *Effective) take(l *Layer) {
	from, to := reflect.ValueOf(&l.Settings).Elem(), reflect.ValueOf(e).Elem()
	for i := range table {
		f := &table[i]
		if v := from.Field(f.from); !v.IsNil() {
			into := to.Field(f.to)
			into.Set(v.Elem().Convert(into.Type()))
			e.Origin[f.Key] = l.Origin
		}
	}
}

// The methods that Settings.Methods lists; a plug-in's name follows its prefix.
const (
	MethodTOTP    = "totp"
	MethodPasskey = "passkey"
	MethodPlugin  = "plugin:"
)

// AllowsMethod reports whether a second factor may be used: MethodTOTP,
// MethodPasskey, or MethodPlugin with a plug-in's name.
func (e Effective) AllowsMethod(name string) bool {
	return slices.Contains(e.Methods, name) ||
		strings.HasPrefix(name, MethodPlugin) && slices.Contains(e.Methods, MethodPlugin+"*")
}

// AllowsService reports whether users may give an app password that service.
func (e Effective) AllowsService(name string) bool {
	return slices.Contains(e.AppPasswordServices, name)
}
