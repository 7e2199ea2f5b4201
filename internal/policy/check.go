package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// services are what app passwords can be given for: account.Scopes, which package
// policy cannot import.
var services = []string{"imap", "pop3", "smtp", "sieve", "dav"}

// Limits of values.
const (
	maxGrace       = 366 * day
	minSession     = 2 * time.Hour // renewals of a session are written hourly
	maxSession     = 365 * day
	maxTolerance   = 10
	maxTrustDays   = 365
	maxApp         = 200
	maxUnusedDays  = 3650
	maxPluginName  = 64
	maxPluginCount = 32
)

// MaxKnownDays is the most of known_device_days: it is for switching over, not for good.
const MaxKnownDays = 90

// Validate names every value that is out of range.
func (s *Settings) Validate() error {
	return errors.Join(
		s.validateTwoFactor(), validateMethods(s.Methods), validateServices(s.AppPasswordServices),
		between("grace", s.Grace, 0, Duration(maxGrace)),
		between("session_life", s.SessionLife, Duration(minSession), Duration(maxSession)),
		between("session_idle", s.SessionIdle, Duration(minSession), Duration(maxSession)),
		between("totp_tolerance", s.TOTPTolerance, 0, maxTolerance),
		between("trusted_device_days", s.TrustedDeviceDays, 0, maxTrustDays),
		between("app_password_max", s.AppPasswordMax, 0, maxApp),
		between("app_password_unused_days", s.AppPasswordUnusedDays, 0, maxUnusedDays),
		between("known_device_days", s.KnownDeviceDays, 0, MaxKnownDays))
}

func (s *Settings) validateTwoFactor() error {
	if s.TwoFactor == nil || slices.Contains([]TwoFactor{Off, Optional, Mandatory}, *s.TwoFactor) {
		return nil
	}
	return fmt.Errorf("twofactor must be off, optional or mandatory, not %.40q", *s.TwoFactor)
}

func between[T int | Duration](key string, v *T, low, high T) error {
	if v == nil || *v >= low && *v <= high {
		return nil
	}
	return fmt.Errorf("%s must be from %v to %v, not %v", key, low, high, *v)
}

// validateMethods allows an empty list: then nobody can enrol.
func validateMethods(list *[]string) error {
	if list == nil {
		return nil
	}
	if len(*list) > maxPluginCount {
		return fmt.Errorf("methods has more than %d entries", maxPluginCount)
	}
	for _, m := range *list {
		if err := ValidateMethod(m); err != nil {
			return err
		}
	}
	return nil
}

// ValidateMethod says what is wrong with an entry of methods.
func ValidateMethod(m string) error {
	plugin, ok := strings.CutPrefix(m, MethodPlugin)
	if m != MethodTOTP && m != MethodPasskey && (!ok || plugin != "*" && !pluginName(plugin)) {
		return fmt.Errorf("methods: %.80q is none of totp, passkey, plugin:NAME, plugin:*", m)
	}
	return nil
}

func pluginName(s string) bool {
	return s != "" && len(s) <= maxPluginName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

func validateServices(list *[]string) error {
	if list == nil {
		return nil
	}
	if len(*list) == 0 {
		return errors.New("app_password_services is empty; to have no app passwords, set app_passwords to false")
	}
	for _, s := range *list {
		if !slices.Contains(services, s) {
			return fmt.Errorf("app_password_services: %.40q is none of %s", s, strings.Join(services, ", "))
		}
	}
	return nil
}

// Check names every contradiction between values, each with the level that it comes
// from. Whoever changes a level must not leave any; a login goes on with them, as
// none of them relaxes anything, and a session setting must not close mail.
func (e *Effective) Check() []error {
	var errs []error
	contradict := func(when bool, format string, keys ...string) {
		if when {
			errs = append(errs, e.explain(format, keys))
		}
	}
	contradict(e.SessionIdle > e.SessionLife, "%s must not exceed %s", "session_idle", "session_life")
	contradict(e.TrustedDeviceDays > 0 && time.Duration(e.TrustedDeviceDays)*day <= e.SessionLife,
		"%s must exceed %s, or be 0", "trusted_device_days", "session_life")
	contradict(e.TwoFactor == Mandatory && len(e.Methods) == 0, "%s while %s allows none", "twofactor", "methods")
	contradict(e.ServiceAccount && !e.AppPasswords, "%s needs %s", "service_account", "app_passwords")
	return errs
}

// explain fills in keys, each with its value and level.
func (e *Effective) explain(format string, keys []string) error {
	args := make([]any, len(keys))
	for i, key := range keys {
		args[i] = fmt.Sprintf("%s (%s, %s)", key, Text(e.Get(key)), e.Origin[key])
	}
	return fmt.Errorf(format, args...)
}
