package desk

import (
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
)

// Known says from where the main password of an account with two-factor login is still
// enough, and until when.
type Known struct {
	Until   time.Time
	Devices []account.KnownDevice
}

// knownOf is nil where the main password alone is enough nowhere.
func knownOf(a *account.Account, s *Summary, now time.Time) *Known {
	if s.PolicyErr != nil {
		return nil
	}
	list, until := a.KnownDevices(s.Policy, now)
	if len(list) == 0 {
		return nil
	}
	return &Known{until, list}
}

// Places is a line for people: "imap from 192.0.2.0/24, smtp from 192.0.2.0/24".
func (k *Known) Places() string {
	texts := make([]string, len(k.Devices))
	for i, d := range k.Devices {
		texts[i] = string(d.Service) + " from " + d.Network.String()
	}
	return strings.Join(texts, ", ")
}

// withoutNetworks is for administrators who may not see addresses.
func (k *Known) withoutNetworks() *Known {
	list := make([]account.KnownDevice, len(k.Devices))
	for i, d := range k.Devices {
		list[i] = account.KnownDevice{Service: d.Service, Unix: d.Unix}
	}
	return &Known{k.Until, list}
}

// KeepsKnown is until when known devices go on, or would if two-factor login were switched
// on now; zero: there are none.
func KeepsKnown(a *account.Account, eff policy.Effective, now time.Time) time.Time {
	next := *a
	if !a.State.Enrolled {
		next.State = a.State.Clone()
		next.State.Enrolled, next.State.Known = true, a.KnownFrom(next.State, now)
	}
	_, until := next.KnownDevices(eff, now)
	return until
}

// keepKnown lets known devices go on into the epoch that two-factor login begins, and
// says so where policy lets them: what they have open then ends with their time.
func (d *draft) keepKnown() {
	known := d.account.KnownFrom(d.state, d.now)
	if known == nil {
		return
	}
	d.setState(func(s *account.State) { s.Known = known })
	next := *d.account
	next.State = d.state
	eff, err := next.Policy.Resolve()
	if err != nil {
		return
	}
	if list, until := next.KnownDevices(eff, d.now); len(list) > 0 {
		kept := Known{until, list}
		d.event(effect.KnownDevicesKept, "", "until "+until.UTC().Format(time.RFC3339)+", "+kept.Places())
		d.events[len(d.events)-1].Until = until
	}
}

// forgetKnown makes the main password enough nowhere: what used it before may have been
// an intruder's.
func (d *draft) forgetKnown() {
	was := d.account.State.Known
	if was == nil {
		return
	}
	d.setState(func(s *account.State) { s.Known = nil })
	ended := Known{Devices: was.Devices}
	d.event(effect.KnownDevicesEnded, "", ended.Places())
}
