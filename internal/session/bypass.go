package session

import (
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

// ViaBypass is Session.Via of a session that an administrator's bypass let in without a
// second factor.
const ViaBypass = "bypass"

// Enough reports whether a session is enough for what the account needs by now: begun
// with a second factor where one is needed, or under the bypass that is still open.
func (s *Session) Enough(a *account.Account, r *account.Record, eff policy.Effective, now time.Time) bool {
	if s.Via == ViaBypass {
		return s.Bypassed(a, r, now) || !a.NeedsFactor(eff, now)
	}
	return s.Strong || !a.NeedsFactor(eff, now)
}

// Bypassed reports whether the session goes on by the bypass that is open: the one that
// it began under, not a later one.
func (s *Session) Bypassed(a *account.Account, r *account.Record, now time.Time) bool {
	const webmail account.Service = "webmail"
	return s.Via == ViaBypass && a.Bypassed(webmail, now) && !r.Created.Before(a.State.Bypass.From)
}
