package policy_test

import (
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"postern/internal/policy"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]struct {
		d     time.Duration
		short string
	}{
		"14d": {14 * 24 * time.Hour, "14d"}, "12h": {12 * time.Hour, "12h"}, "90m": {90 * time.Minute, "1h30m"}, "1d12h": {36 * time.Hour, "1d12h"},
		"336h": {336 * time.Hour, "14d"}, "0": {0, "0"}, "0s": {0, "0"}, "0d": {0, "0"}, "1h0m5s": {time.Hour + 5*time.Second, "1h5s"},
	} {
		var d policy.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want.d || d.String() != want.short {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "14", "d", "-1d", "-1h", "+1h", "1d-1h", "1.5d", "1d1", "99999999d", "9999999h9999999h", "1ms", "1d 2h", "14D", "1d1d"} {
		var d policy.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, d)
		}
	}
}

func TestDate(t *testing.T) {
	for text, want := range map[string]string{
		"2027-01-31": "2027-01-31", "2027-01-31T00:00:00Z": "2027-01-31", "2027-01-31T12:00:00+02:00": "2027-01-31T10:00:00Z",
	} {
		var d policy.Date
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "2027-02-30", "31.1.2027", "2027-01-31T12:00:00"} {
		var d policy.Date
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, d)
		}
	}
}

// TOML has dates of its own. Without a zone they mean UTC, wherever the host is.
func TestTOML(t *testing.T) {
	here := time.Local
	defer func() { time.Local = here }()
	time.Local = time.FixedZone("elsewhere", 5*3600)
	for text, want := range map[string]string{
		`2027-01-31`: "2027-01-31", `2027-01-31T12:00:00`: "2027-01-31T12:00:00Z", `2027-01-31T12:00:00+02:00`: "2027-01-31T10:00:00Z", `"2027-01-31"`: "2027-01-31",
	} {
		var s policy.Settings
		if _, err := toml.Decode("grace_start = "+text+"\ngrace = \"14d\"\nmethods = []\napp_password_services = [\"imap\"]\ntotp_tolerance = 0", &s); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := policy.Text(s.Get("grace_start")); got != want {
			t.Errorf("%s: %s", text, got)
		}
		if policy.Text(s.Get("grace")) != "14d" || policy.Text(s.Get("methods")) != "none" || policy.Text(s.Get("totp_tolerance")) != "0" || s.Get("twofactor") != nil {
			t.Errorf("%s", s.JSON())
		}
	}
	for _, text := range []string{"grace = 14", "grace = 1.5", "grace_start = 5", "grace_start = true", "methods = \"totp\"", "backup_codes = \"yes\""} {
		var s policy.Settings
		if _, err := toml.Decode(text, &s); err == nil {
			t.Errorf("%q was read as %s", text, s.JSON())
		}
	}
}
