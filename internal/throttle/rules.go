package throttle

import (
	"net/netip"
	"time"

	"postern/internal/login"
)

// rules are Settings in the form that records are judged by.
type rules struct {
	prefix, network, account, site limit

	pairHalf   float64 // seconds
	goodTries  float64
	goodFor    uint32 // seconds
	bindCap    int
	bindWindow int64 // seconds

	allow, deny []netip.Prefix
}

func newRules(s Settings) rules {
	prefix := limit{
		free: float64(s.PrefixFree), refuse: float64(s.PrefixRefuse), half: s.PrefixHalfLife.Seconds(),
		first: time.Second, most: s.PrefixMaxWait, step: 1,
	}
	network := prefix
	network.free, network.refuse = float64(s.NetworkFree), float64(s.NetworkRefuse)
	return rules{
		prefix: prefix, network: network,
		account: limit{
			free: float64(s.AccountFree), refuse: float64(s.AccountRefuse), half: s.AccountHalfLife.Seconds(),
			first: time.Second, most: s.AccountMaxWait, step: 1,
		},
		site: limit{
			free: float64(s.SiteFree), half: s.SiteHalfLife.Seconds(),
			first: 100 * time.Millisecond, most: s.SiteMaxWait, step: max(1, float64(s.SiteFree)/4),
		},
		pairHalf: s.PairHalfLife.Seconds(), goodTries: float64(s.KnownGoodTries),
		goodFor: uint32(s.KnownGoodFor.Seconds()),
		bindCap: s.BindCap, bindWindow: int64(s.BindWindow.Seconds()),
		allow: s.AllowNetworks, deny: s.DenyNetworks,
	}
}

// standing is how a client's address is treated.
type standing uint8

const (
	ordinary standing = iota
	exempt            // has no limits as an address: allow-listed, or not known
	banned
)

// stands looks an address up in the lists. The deny-list wins.
func (r *rules) stands(a netip.Addr) standing {
	a = a.Unmap().WithZone("") // networks contain neither ::ffff:192.0.2.1 nor fe80::1%eth0
	switch {
	case !a.IsValid():
		return exempt
	case contains(r.deny, a):
		return banned
	case contains(r.allow, a):
		return exempt
	}
	return ordinary
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// prefixAdvice judges an ordinary address by its scores; network is 0 for IPv4.
func (r *rules) prefixAdvice(prefix, network float64) login.Advice {
	if r.prefix.refuses(prefix) || r.network.refuses(network) {
		return login.Advice{Refuse: true, Limit: LimitPrefix}
	}
	return waiting(LimitPrefix, max(r.prefix.wait(prefix), r.network.wait(network)))
}

// accountRefuses judges an account by its score, for a pair that is not known-good.
// Attackers keep the score at the threshold; those who never tried the account are
// therefore refused later than they are.
func (r *rules) accountRefuses(score float64, clean bool) bool {
	if clean {
		score /= 1.5
	}
	return r.account.refuses(score)
}

// accountWaits is the wait of a try that is not refused.
func (r *rules) accountWaits(account, site float64) login.Advice {
	a, s := r.account.wait(account), r.site.wait(site)
	if s > a {
		return waiting(LimitSite, s)
	}
	return waiting(LimitAccount, a)
}

// allowed is how many binds may have failed before the next is refused.
func (r *rules) allowed(good bool) int {
	if good {
		return r.bindCap
	}
	return r.bindCap - 1
}

func waiting(limit string, d time.Duration) login.Advice {
	if d == 0 {
		return login.Advice{}
	}
	return login.Advice{Wait: d, Limit: limit}
}

// advice turns a verdict into a refusal; free leaves the wait.
func (v verdict) advice(wait login.Advice) login.Advice {
	switch v {
	case bindCapped:
		return login.Advice{Refuse: true, Limit: LimitBinds}
	case bindRepeat:
		return login.Advice{Refuse: true, Limit: LimitRepeat}
	default:
		return wait
	}
}
