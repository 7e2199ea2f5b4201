package login

import (
	"context"
	"net/netip"
	"slices"

	"postern/internal/account"
	"postern/internal/policy"
)

// place is where a login comes from, and to.
type place struct {
	service      account.Service
	client, peer netip.Addr
}

func (a *Attempt) place() place { return place{a.Service, a.Client, a.Peer} }

func (a *Ask) place() place { return place{a.Service, a.Client, a.Peer} }

// ofWebmail reports whether webmail logs in, for itself or for the browser that it
// names. Webmail asks for the second factor and has tickets: a main password from there
// is that of somebody who gets round both.
func (s *Settings) ofWebmail(p place) bool {
	return slices.ContainsFunc(s.WebmailNetworks, func(n netip.Prefix) bool {
		return n.Contains(p.client.Unmap()) || n.Contains(p.peer.Unmap())
	})
}

// noteDevice writes down where the main password of an account without two-factor login
// was right, if policy may let it go on from there once there is. Once a day for each
// place; otherwise such a login costs no look at the write server, and no write.
func (g *Gate) noteDevice(acct *account.Account, p place, eff policy.Effective) {
	d, ok := account.NewKnownDevice(p.service, p.client, g.now())
	if ok && eff.KnownDeviceDays > 0 && !eff.ServiceAccount && !g.settings.ofWebmail(p) && acct.MayKnow(d) {
		g.touches.device(acct, d)
	}
}

// device notes a known device. The password was right in the epoch of the account as it
// was read before: in another one, it may be wrong by now.
func (t *toucher) device(a *account.Account, d account.KnownDevice) {
	what, epoch := "known:"+string(d.Service)+d.Network.String(), a.Epoch()
	t.note(touch{account: a, what: what, at: d.At(), edits: func(fresh *account.Account) ([]account.Edit, error) {
		if fresh.Epoch() != epoch || !fresh.MayKnow(d) {
			return nil, nil
		}
		return fresh.StateEdit(fresh.Knowing(d), d.At())
	}})
}

// noteOwnPassdb is noteDevice of a login that the site's own passdb let in, by Dovecot's
// report. Only those are looked at that Postern has passed on under such a policy.
func (g *Gate) noteOwnPassdb(ctx context.Context, r *Report) {
	if r.Master != "" || !g.unproven.take(r.try(), g.now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, g.settings.Deadline)
	defer cancel()
	acct, err := g.find(ctx, r.Login)
	if err != nil {
		return // the next login brings another
	}
	if eff, err := acct.Policy.Resolve(); err == nil {
		g.noteDevice(acct, r.place(), eff)
	}
}
