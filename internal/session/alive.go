package session

import (
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

// Alive reports whether a session goes on: not ended, not expired, not idle for too
// long, and begun since whatever voids sessions last. Whether a session that began
// without a second factor is enough is not its question.
func (s *Session) Alive(a *account.Account, r *account.Record, eff policy.Effective, now time.Time) bool {
	return r.Live(now) && now.Sub(r.Used.At) < eff.SessionIdle && now.Sub(r.Created) < eff.SessionLife && !a.Void(r, s.Epoch)
}

// Trusted reports whether a trusted device still is one: neither removed nor expired,
// nor older than policy allows by now, nor trusted before whatever voids that.
func (d *Device) Trusted(a *account.Account, r *account.Record, eff policy.Effective, now time.Time) bool {
	life := time.Duration(eff.TrustedDeviceDays) * 24 * time.Hour
	return r.Live(now) && now.Sub(r.Created) < life && !a.Void(r, d.Epoch)
}
