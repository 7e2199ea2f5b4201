package throttle

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Settings is the section [throttle] of the configuration. Scores count wrong
// tries, each secret once.
type Settings struct {
	PrefixFree     int           `toml:"prefix_free" doc:"Wrong tries from one address (IPv4 /32, IPv6 /64) before it has to wait: 1 s, then twice as long each time."`
	PrefixRefuse   int           `toml:"prefix_refuse" doc:"From this score on, tries from the address are refused unchecked."`
	PrefixHalfLife time.Duration `toml:"prefix_half_life" doc:"An address's score halves in this time. An address at its limit gets 0.7 × prefix_refuse guesses in it, again and again."`
	PrefixMaxWait  time.Duration `toml:"prefix_max_wait" doc:"The longest wait of an address."`

	NetworkFree   int `toml:"network_free" doc:"As prefix_free, for the IPv6 /48 around an address."`
	NetworkRefuse int `toml:"network_refuse" doc:"As prefix_refuse, for the IPv6 /48."`

	AccountFree     int           `toml:"account_free" doc:"Wrong main passwords and factors for one account before strangers have to wait. App passwords do not count: they are too long to guess."`
	AccountRefuse   int           `toml:"account_refuse" doc:"From this score on, strangers' main passwords and factors are refused; from half as much again also from addresses that never tried this account. Known-good addresses, app passwords and tickets go on."`
	AccountHalfLife time.Duration `toml:"account_half_life" doc:"An account's score halves in this time. Guesses a day from any number of addresses: about 25 × account_refuse / hours of half-life."`
	AccountMaxWait  time.Duration `toml:"account_max_wait" doc:"The longest wait of an account. Shorter than login.deadline."`

	KnownGoodFor   time.Duration `toml:"known_good_for" doc:"For so long after a login, an address passes all limits for that account."`
	KnownGoodTries int           `toml:"known_good_tries" doc:"Wrong tries after which it is treated like a stranger's address again: somebody else may be behind it."`
	PairHalfLife   time.Duration `toml:"pair_half_life" doc:"The wrong tries of one address for one account are half forgotten in this time."`

	SiteFree     int           `toml:"site_free" doc:"Wrong main passwords and factors of the whole site before strangers have to wait: 100 ms, twice as long for each quarter more. Never a refusal."`
	SiteHalfLife time.Duration `toml:"site_half_life" doc:"The site's score halves in this time."`
	SiteMaxWait  time.Duration `toml:"site_max_wait" doc:"The longest wait because of the site: at most 1.5 s."`

	BindCap    int           `toml:"bind_cap" doc:"Wrong main passwords that reach the directory for one account, the last of them from known-good addresses only. Less than the directory's own lock-out (pwdMaxFailure), which strangers could otherwise cause."`
	BindWindow time.Duration `toml:"bind_window" doc:"Time without wrong binds after which counting starts again. Not less than the directory's (pwdFailureCountInterval)."`

	AllowNetworks []netip.Prefix `toml:"allow_networks" doc:"Never refused or slowed as addresses: webmail hosts that do not forward the client's address, the site's own NAT. Accounts keep their limits."`
	DenyNetworks  []netip.Prefix `toml:"deny_networks" doc:"Always refused."`

	MaxKeys  int    `toml:"max_keys" doc:"Addresses, accounts and pairs remembered at most; a million take about 50 MB. The least suspicious are forgotten first."`
	Snapshot string `toml:"snapshot" doc:"File that keeps the counters over a restart. Empty: none."`

	RedisURL          string        `toml:"redis_url" doc:"Redis or Valkey shared by several nodes: redis://host:6379/0, rediss:// with TLS, unix:///path. Empty: each node counts alone."`
	RedisPasswordFile string        `toml:"redis_password_file" doc:"File with its password, or credential:NAME."`
	RedisDeadline     time.Duration `toml:"redis_deadline" doc:"After this long without an answer, the node's own memory decides."`
}

// Default returns the settings that hold where the configuration says nothing.
func Default() Settings {
	return Settings{
		PrefixFree: 10, PrefixRefuse: 30, PrefixHalfLife: 2 * time.Hour, PrefixMaxWait: 8 * time.Second,
		NetworkFree: 30, NetworkRefuse: 100,
		AccountFree: 5, AccountRefuse: 20, AccountHalfLife: 4 * time.Hour, AccountMaxWait: 2 * time.Second,
		KnownGoodFor: 30 * 24 * time.Hour, KnownGoodTries: 20, PairHalfLife: 24 * time.Hour,
		SiteFree: 500, SiteHalfLife: 10 * time.Minute, SiteMaxWait: 1500 * time.Millisecond,
		BindCap: 4, BindWindow: 10 * time.Minute,
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		MaxKeys:       1_000_000,
		RedisDeadline: 50 * time.Millisecond,
	}
}

// Validate reports every setting that is out of range, joined, each by its key in
// the configuration file.
func (s Settings) Validate() error {
	var p problems
	p.rising("prefix", s.PrefixFree, s.PrefixRefuse)
	p.rising("network", s.NetworkFree, s.NetworkRefuse)
	p.rising("account", s.AccountFree, s.AccountRefuse)
	p.count("known_good_tries", s.KnownGoodTries, 1, maxThreshold)
	p.count("site_free", s.SiteFree, 1, maxThreshold)
	p.count("bind_cap", s.BindCap, 2, 100)
	p.count("max_keys", s.MaxKeys, 1000, 1<<30)
	p.between("prefix_half_life", s.PrefixHalfLife, time.Minute, maxTime)
	p.between("account_half_life", s.AccountHalfLife, time.Minute, maxTime)
	p.between("pair_half_life", s.PairHalfLife, time.Minute, maxTime)
	p.between("site_half_life", s.SiteHalfLife, time.Second, maxTime)
	p.between("known_good_for", s.KnownGoodFor, time.Minute, maxTime)
	p.between("bind_window", s.BindWindow, time.Second, maxTime)
	p.between("prefix_max_wait", s.PrefixMaxWait, 0, 2*time.Minute)
	p.between("account_max_wait", s.AccountMaxWait, 0, 5*time.Second) // a reserved bind waits no longer: flightTime
	p.between("site_max_wait", s.SiteMaxWait, 0, 1500*time.Millisecond)
	p.between("redis_deadline", s.RedisDeadline, time.Millisecond, time.Second)
	p.networks("allow_networks", s.AllowNetworks)
	p.networks("deny_networks", s.DenyNetworks)
	if s.Snapshot != "" && !filepath.IsAbs(s.Snapshot) {
		p.add("snapshot", "%q is not an absolute path", s.Snapshot)
	}
	if s.RedisURL != "" {
		p.redis(s.RedisURL)
	}
	return errors.Join(p...)
}

const (
	maxThreshold = 100_000 // far below where a score stops counting
	maxTime      = 10 * 365 * 24 * time.Hour
)

// problems collects what Validate finds.
type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf("throttle.%s: "+format, append([]any{key}, args...)...))
}

func (p *problems) count(key string, n, low, high int) {
	if n < low || n > high {
		p.add(key, "must be from %d to %d, not %d", low, high, n)
	}
}

func (p *problems) between(key string, d, low, high time.Duration) {
	if d < low || d > high {
		p.add(key, "must be from %v to %v, not %v", low, high, d)
	}
}

// rising checks a limit's two thresholds.
func (p *problems) rising(name string, free, refuse int) {
	p.count(name+"_free", free, 1, maxThreshold)
	if refuse <= free || refuse > maxThreshold {
		p.add(name+"_refuse", "must be more than %s_free (%d) and at most %d, not %d", name, free, maxThreshold, refuse)
	}
}

func (p *problems) networks(key string, list []netip.Prefix) {
	for _, n := range list {
		if !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() {
			p.add(key, "%v is not a network like 192.0.2.0/24 or 2001:db8::/32", n)
		}
	}
}

// redis checks the address without showing it: somebody may have put a password in.
func (p *problems) redis(address string) {
	u, err := url.Parse(address)
	switch {
	case err != nil || !strings.Contains(" redis rediss unix ", " "+u.Scheme+" "):
		p.add("redis_url", "must be like redis://host:6379/0, rediss://host:6379/0 or unix:///path")
	case u.User != nil:
		if _, has := u.User.Password(); has {
			p.add("redis_url", "put the password into redis_password_file")
		}
	}
}
