package account

import (
	"slices"
	"time"
)

// Bypass lets an account in by its main password although it has two-factor login: for
// an hour, because an administrator said so (FEATURES A17). It is part of State, so
// nobody who cannot seal records can make one.
type Bypass struct {
	From     time.Time `cbor:"1,keyasint"`
	Until    time.Time `cbor:"2,keyasint"`
	Services []Service `cbor:"3,keyasint,omitempty"` // empty: every one of them
	Reason   string    `cbor:"4,keyasint"`
	By       string    `cbor:"5,keyasint"` // who granted it
}

// MaxBypass is the longest that a bypass may last.
const MaxBypass = 24 * time.Hour

// Open reports whether the bypass holds at a time: also a clock that jumps, or a State
// from a backup, makes it last no longer than it was granted for.
func (b *Bypass) Open(now time.Time) bool {
	return b != nil && !now.Before(b.From) && now.Before(b.Until) && b.Until.Sub(b.From) <= MaxBypass
}

// For reports whether it is open for a service.
func (b *Bypass) For(s Service, now time.Time) bool {
	return b.Open(now) && (len(b.Services) == 0 || slices.Contains(b.Services, s))
}

// Bypassed reports whether the main password is enough for a service, by an
// administrator's word. Nothing is where the records do not match.
func (a *Account) Bypassed(s Service, now time.Time) bool {
	return a.Damage() == nil && a.Status != Disabled && a.State.Bypass.For(s, now)
}
