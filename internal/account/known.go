package account

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"postern/internal/policy"
)

// Known is where an account's main password alone was right before it had two-factor
// login. Policy (known_device_days) may let mail programs go on from there for some days
// after it is switched on, so that nobody is locked out at that moment (FEATURES E13).
//
// What is known of a program is its service and its network, no more: mail programs say
// nothing of themselves that others could not say, too. It is part of State, so nobody
// who cannot seal records can add to it.
type Known struct {
	// Epoch is Account.Epoch when the password was right, and from Since on the one that
	// two-factor login began: in every other one, as after a reset or a change of the main
	// password, nothing is known any more.
	Epoch int64 `cbor:"1,keyasint"`
	// Since is when two-factor login was switched on; zero: it was not yet.
	Since   time.Time     `cbor:"2,keyasint,omitzero"`
	Devices []KnownDevice `cbor:"3,keyasint,omitempty"` // the latest last
}

// KnownDevice is one service with one network of clients.
type KnownDevice struct {
	Service Service      `cbor:"1,keyasint"`
	Network netip.Prefix `cbor:"2,keyasint"`
	Unix    int64        `cbor:"3,keyasint"` // seconds; when it was last written down
}

// At is when the device was last written down: at most a day before its last use.
func (k *KnownDevice) At() time.Time { return time.Unix(k.Unix, 0) }

const (
	// maxKnown bounds what somebody who knows the password can make an account remember.
	maxKnown = 16
	// knownEvery is how often the use of one device is written down at most.
	knownEvery = 24 * time.Hour
	// knownBits are the lengths of networks: what a provider gives one customer, about.
	knownBits4, knownBits6 = 24, 48
)

// NewKnownDevice is the device that uses a service from an address; false where none can
// be known: only mail services have programs that know a password by heart, and an
// address of this host, of its link, or of nobody, tells nobody apart.
func NewKnownDevice(s Service, from netip.Addr, at time.Time) (KnownDevice, bool) {
	from = from.Unmap().WithZone("")
	if !slices.Contains(MailServices, s) || !from.IsGlobalUnicast() {
		return KnownDevice{}, false
	}
	bits := knownBits6
	if from.Is4() {
		bits = knownBits4
	}
	network, err := from.Prefix(bits)
	return KnownDevice{Service: s, Network: network, Unix: at.Unix()}, err == nil
}

func (k *KnownDevice) same(o KnownDevice) bool {
	return k.Service == o.Service && k.Network == o.Network
}

// MayKnow reports whether a right main password is to be written down now: not once
// there is two-factor login, or else whoever knows the password would become known.
// Nor before the second after the password's last change: that could not count.
func (a *Account) MayKnow(d KnownDevice) bool {
	return !a.TwoFactor() && d.At().After(a.PasswordChanged) && !a.knewLately(d)
}

// knewLately reports whether the device was written down within a day.
func (a *Account) knewLately(d KnownDevice) bool {
	k := a.State.Known
	return k != nil && k.Epoch == a.Epoch() && slices.ContainsFunc(k.Devices, func(o KnownDevice) bool {
		age := d.At().Sub(o.At())
		return o.same(d) && age > -knownEvery && age < knownEvery
	})
}

// Knowing is State with the device among those that are known; of too many, the one
// longest unused goes. What is known from before a reset or a change of the main password
// goes, too.
func (a *Account) Knowing(d KnownDevice) State {
	k := Known{Epoch: a.Epoch()}
	if was := a.State.Known; was != nil && was.Epoch == k.Epoch {
		k.Devices = slices.DeleteFunc(slices.Clone(was.Devices), d.same)
	}
	k.Devices = append(k.Devices, d)
	slices.SortStableFunc(k.Devices, func(x, y KnownDevice) int { return cmp.Compare(x.Unix, y.Unix) })
	k.Devices = k.Devices[max(0, len(k.Devices)-maxKnown):]
	s := a.State.Clone()
	s.Known = &k
	return s
}

// KnownFrom is what is known when two-factor login is switched on, which begins the
// epoch of next; nil: nothing.
func (a *Account) KnownFrom(next State, now time.Time) *Known {
	was := a.State.Known
	if was == nil || a.TwoFactor() || was.Epoch != a.Epoch() || len(was.Devices) == 0 {
		return nil
	}
	b := *a
	b.State = next
	return &Known{Epoch: b.Epoch(), Since: now, Devices: slices.Clone(was.Devices)}
}

// KnownDevices are those from which the main password alone is enough, and until when;
// none, and the zero time, where it is nowhere.
func (a *Account) KnownDevices(eff policy.Effective, now time.Time) ([]KnownDevice, time.Time) {
	k, life := a.State.Known, time.Duration(eff.KnownDeviceDays)*24*time.Hour
	switch {
	case k == nil || eff.ServiceAccount,
		a.Damage() != nil || a.Status == Disabled || !a.State.Enrolled || a.State.MustEnrol,
		k.Epoch != a.Epoch(),
		now.Before(k.Since) || !now.Before(k.Since.Add(life)): // also with no life at all, or none begun
		return nil, time.Time{}
	}
	list := slices.DeleteFunc(slices.Clone(k.Devices), func(d KnownDevice) bool {
		return !d.At().After(a.PasswordChanged)
	})
	if len(list) == 0 {
		return nil, time.Time{}
	}
	return list, k.Since.Add(life)
}

// Knows reports whether the main password alone is enough for a service from an address.
func (a *Account) Knows(s Service, from netip.Addr, eff policy.Effective, now time.Time) bool {
	d, ok := NewKnownDevice(s, from, now)
	if !ok {
		return false
	}
	list, _ := a.KnownDevices(eff, now)
	return slices.ContainsFunc(list, d.same)
}

// Stale reports whether nothing can become of it any more, whatever policy will say.
func (k *Known) Stale(now time.Time) bool {
	return k != nil && !k.Since.IsZero() && now.Sub(k.Since) > policy.MaxKnownDays*24*time.Hour
}
