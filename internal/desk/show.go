package desk

import (
	"context"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

// Summary is what a list of accounts shows about one.
type Summary struct {
	ID     account.ID
	DN     string
	Name   string
	Domain string
	Class  string
	// Status is active, bind_locked or disabled; Cause says why.
	Status, Cause string
	TwoFactor     string // see the constants
	// Damage is why the records cannot be believed; nil if they match.
	Damage error
	// Count of records; of app passwords, devices and sessions only those that work.
	Authenticators, Passkeys, PluginFactors, AppPasswords, Devices, Sessions int
	// BackupCodes says that there are some, used or not; how many, Overview.
	BackupCodes bool
	LastUse     account.Use // of any app password
	// MainUses are tries with the main password where it is not enough, the latest last.
	MainUses []account.MainUse
	// Known says from where the main password is still enough; nil: nowhere. What holds
	// for a whole site or domain, or for an hour, is not in it.
	Known     *Known
	Policy    policy.Effective
	PolicyErr error
}

// The words for an account's second factor.
const (
	TwoFactorOff        = "off"
	TwoFactorOn         = "on"
	TwoFactorMustEnrol  = "must_enrol" // after a reset
	TwoFactorRequired   = "required"   // by policy, and there is none yet
	TwoFactorGrace      = "grace"      // of a Query: TwoFactorRequired, and not needed yet
	TwoFactorUnreadable = "unreadable" // damaged: treated as on
)

// TwoFactorWords are those of a Query.
func TwoFactorWords() []string {
	return []string{TwoFactorOff, TwoFactorOn, TwoFactorMustEnrol, TwoFactorRequired, TwoFactorGrace, TwoFactorUnreadable}
}

// Show reads one account from the write server.
func (d *Desk) Show(ctx context.Context, user string) (Summary, error) {
	a, err := d.read(ctx, user)
	if err != nil {
		return Summary{}, err
	}
	return Summarize(a, d.Now()), nil
}

// Summarize sums an account up.
func Summarize(a *account.Account, now time.Time) Summary {
	count := func(k account.Kind) int { return len(a.Values(k)) }
	s := Summary{ID: a.ID, DN: a.DN, Name: a.Name, Domain: a.Domain, Class: a.Class, Status: status(a.Status), Cause: a.Cause,
		Damage: a.Damage(), Authenticators: count(account.KindTOTP), Passkeys: count(account.KindPasskey),
		PluginFactors: count(account.KindPlugin), BackupCodes: count(account.KindBackup) > 0, AppPasswords: liveApps(a, now)}
	s.Policy, s.PolicyErr = a.Policy.Resolve()
	devices, _ := devicesOf(a, s.Policy, now) // Damage or a later list reports unreadable ones
	sessions, _ := sessionsOf(a, s.Policy, now)
	s.Devices, s.Sessions = len(devices), len(sessions)
	s.TwoFactor = twoFactor(a, &s)
	if s.TwoFactor != TwoFactorOff || s.Policy.ServiceAccount {
		s.MainUses = a.State.MainUses
	}
	s.Known = knownOf(a, &s, now)
	apps, _ := a.Records(account.KindApp)
	for _, r := range apps {
		if r.Used.At.After(s.LastUse.At) {
			s.LastUse = r.Used
		}
	}
	return s
}

func status(s account.Status) string {
	switch s {
	case account.Active:
		return "active"
	case account.BindLocked:
		return "bind_locked"
	default:
		return "disabled"
	}
}

func twoFactor(a *account.Account, s *Summary) string {
	switch {
	case s.Damage != nil:
		return TwoFactorUnreadable
	case a.State.Enrolled:
		return TwoFactorOn
	case a.State.MustEnrol:
		return TwoFactorMustEnrol
	case s.PolicyErr == nil && s.Policy.TwoFactor == policy.Mandatory && !s.Policy.ServiceAccount:
		return TwoFactorRequired
	default:
		return TwoFactorOff
	}
}
