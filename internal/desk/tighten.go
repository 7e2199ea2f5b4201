package desk

import (
	"strings"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
)

// tighten compares what policy and directory refuse now with what the last sweep saw, and
// ends live sessions if it is more: nobody else notices that a grace or an observation is
// over, that a policy was changed, or that an account was disabled in the directory. What
// is seen is kept in State, so each tightening ends them once, whoever sweeps.
//
// While Postern is switched off or a bypass is open nothing is compared: a bypass ends
// what it let in by itself.
func (w *sweeping) tighten(d *draft, eff policy.Effective, one *Swept) {
	a := d.account
	if w.Observed == nil || a.SwitchedOff || a.State.Bypass.Open(d.now) {
		return
	}
	was, now := a.State.Access, a.AccessOf(eff, d.now, w.Observed(a.Domain, d.now))
	tightened := was.Tightened(now, a.NeedsFactor(eff, d.now))
	switch {
	case was == now, now == account.AllRefused && !a.HasHolder: // nothing is kept about it, nor shall be
		return
	case tightened && w.done.Endings >= w.MostEndings:
		one.Deferred++
		return
	case tightened:
		one.Endings++
		d.event(effect.AccessTightened, "", accessText(now))
	}
	d.setState(func(s *account.State) { s.Access = now })
}

// accessText says why live sessions end.
func accessText(now account.Access) string {
	var parts []string
	for _, p := range []struct {
		bit  account.Access
		text string
	}{
		{account.AllRefused, "disabled in the directory"}, {account.MainRefused, "the main password alone is not enough any more"},
		{account.AppsRefused, "app passwords are not allowed any more"},
	} {
		if now&p.bit != 0 {
			parts = append(parts, p.text)
		}
	}
	if len(parts) == 0 {
		return "the domain is not observed any more"
	}
	return strings.Join(parts, ", ")
}
