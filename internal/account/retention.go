package account

import (
	"slices"
	"time"
)

// Forgotten counts what was deleted of an account because it was old.
type Forgotten struct {
	Happenings int // of the history
	MainUses   int // tries with the main password
	Browsers   int // hashes of known browsers
	Known      int // networks of known devices
	Bypasses   int // with their reasons
	Tokens     int // enrolment tokens that nobody used
	Uses       int // address and program of a last use
}

// Add counts more.
func (f *Forgotten) Add(more Forgotten) {
	f.Happenings += more.Happenings
	f.MainUses += more.MainUses
	f.Browsers += more.Browsers
	f.Known += more.Known
	f.Bypasses += more.Bypasses
	f.Tokens += more.Tokens
	f.Uses += more.Uses
}

// Forget deletes what State remembers of before a time, and nothing that a decision
// depends on, but for known devices that were not used since. Of browsers no time is known: they go when nothing else is remembered, for
// every sign-in stands in the history.
func (s *State) Forget(before time.Time) Forgotten {
	f := s.forgetHappenings(before)
	recent := slices.DeleteFunc(slices.Clone(s.MainUses), func(u MainUse) bool { return u.At.Before(before) })
	if f.MainUses = len(s.MainUses) - len(recent); f.MainUses > 0 {
		s.MainUses = slices.Clip(recent)
	}
	if len(s.MainUses) == 0 {
		s.MainUses = nil
	}
	if len(s.History) == 0 && len(s.Browsers) > 0 {
		f.Browsers = len(s.Browsers) / browserHash
		s.Browsers = nil
	}
	f.Known = s.forgetKnown(before)
	if s.Bypass != nil && s.Bypass.Until.Before(before) {
		f.Bypasses, s.Bypass = 1, nil
	}
	if len(s.EnrolHash) > 0 && s.EnrolUntil.Before(before) {
		f.Tokens, s.EnrolHash, s.EnrolUntil = 1, nil, time.Time{}
	}
	return f
}

func (s *State) forgetKnown(before time.Time) int {
	if s.Known == nil {
		return 0
	}
	k := *s.Known // State.Clone shares it
	k.Devices = slices.DeleteFunc(slices.Clone(k.Devices), func(d KnownDevice) bool { return d.At().Before(before) })
	gone := len(s.Known.Devices) - len(k.Devices)
	switch {
	case len(k.Devices) == 0:
		s.Known = nil
	case gone > 0:
		s.Known = &k
	}
	return gone
}

// forgetHappenings leaves a history alone that cannot be read: a newer Postern may have
// written it.
func (s *State) forgetHappenings(before time.Time) Forgotten {
	list := s.Happenings()
	recent := slices.DeleteFunc(slices.Clone(list), func(h Happening) bool { return h.At().Before(before) })
	gone := len(list) - len(recent)
	if gone == 0 {
		return Forgotten{}
	}
	s.History = nil
	if len(recent) > 0 {
		s.History = must(Encode(recent)) // plain fields always encode
	}
	return Forgotten{Happenings: gone}
}

// ForgetUse is the record without address and program of a last use before a time; false:
// there is nothing to forget. When it was and what for stays: unused app passwords expire
// by it.
func (r Record) ForgetUse(before time.Time) (Record, bool) {
	if !r.Used.At.Before(before) || !r.Used.From.IsValid() && r.Used.Agent == "" {
		return r, false
	}
	r.Used = Use{At: r.Used.At, Service: r.Used.Service}
	return r, true
}
