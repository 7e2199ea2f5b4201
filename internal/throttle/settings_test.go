package throttle_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"postern/internal/throttle"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := throttle.Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestSettingsAreReadFromTOML(t *testing.T) {
	s := throttle.Default()
	text := `
prefix_refuse = 50
prefix_half_life = "30m"
allow_networks = ["192.0.2.0/24", "2001:db8::/32"]
redis_url = "unix:///run/redis/redis.sock"
`
	if _, err := toml.Decode(text, &s); err != nil {
		t.Fatal(err)
	}
	if s.PrefixRefuse != 50 || s.PrefixHalfLife != 30*time.Minute || len(s.AllowNetworks) != 2 || s.BindCap != 4 {
		t.Errorf("%+v", s)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

// Every problem is named by its key, all at once, and no password is shown.
func TestValidateNamesEverything(t *testing.T) {
	bad := throttle.Settings{
		PrefixFree: 10, PrefixRefuse: 10, NetworkFree: 0, AccountRefuse: 1 << 30, AccountMaxWait: 10 * time.Second,
		SiteMaxWait: 2 * time.Second, BindCap: 1, Snapshot: "relative", RedisURL: "redis://:hunter2@host",
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
		DenyNetworks:  []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120"), {}},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("taken")
	}
	for _, key := range []string{
		"prefix_refuse", "prefix_half_life", "network_free", "network_refuse", "account_free", "account_refuse", "account_half_life",
		"account_max_wait", "known_good_for", "known_good_tries", "pair_half_life", "site_free", "site_half_life", "site_max_wait",
		"bind_cap", "bind_window", "allow_networks", "deny_networks", "max_keys", "snapshot", "redis_url", "redis_deadline",
	} {
		if !strings.Contains(err.Error(), "throttle."+key+": ") {
			t.Errorf("throttle.%s is not named in:\n%v", key, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the message shows the password")
	}
	for _, u := range []string{"http://host", "host:6379", "redis://%zz:hunter2@h"} {
		s := throttle.Default()
		s.RedisURL = u
		if err := s.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", u, err)
		}
	}
}
