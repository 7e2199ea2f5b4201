package app

import (
	"slices"
	"strings"
	"testing"
)

const certificate = "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5"

// An app's origin is its certificate's fingerprint, so it is accepted wherever the app
// is configured, once.
func TestW5_OriginsOfApps(t *testing.T) {
	c := Default()
	c.Webhook.PublicURL = "https://mail.example.test/2fa/"
	c.Passkeys.Android = []string{"org.example.mail " + certificate, "org.example.calendar " + strings.ToLower(certificate)}
	c.Passkeys.Domains = map[string]RPDomain{"Other.test": {RPID: "other.test", Related: []string{"https://mail.example.test"}}}
	own, domains := c.RelyingParties()
	const origin = "android:apk-key-hash:FG3pg8VzBlDY7rmVLzT8ZBagg0LmHb6oigSWsj_PROU"
	if want := []string{"https://mail.example.test", origin}; !slices.Equal(own.Origins, want) {
		t.Errorf("origins %q, want %q", own.Origins, want)
	}
	if rp := domains["other.test"]; !slices.Equal(rp.Origins, []string{origin}) || !slices.Equal(rp.Related, []string{"https://mail.example.test"}) {
		t.Errorf("of a hosted domain: %+v", rp)
	}
	if apps := c.Passkeys.AndroidApps(); len(apps) != 2 || apps[1] != (AndroidApp{"org.example.calendar", certificate}) {
		t.Errorf("%+v", apps)
	}
}

func TestW5_AppsThatCannotBe(t *testing.T) {
	for _, text := range []string{"", "org.example.mail", certificate, "mail " + certificate, "org.example.mail " + certificate[3:],
		"org.example.mail " + certificate + ":00", "org.example.mail " + strings.ReplaceAll(certificate, ":", ""), `org.ex"ample.mail ` + certificate} {
		problemsOf(t, Passkeys{Android: []string{text}}, "passkeys.android_apps")
	}
	for _, text := range []string{"", "org.example.mail", "ABCDE12345", "abcde12345.org.example.mail", "ABCDE12345.org example"} {
		problemsOf(t, Passkeys{Apple: []string{text}}, "passkeys.apple_apps")
	}
	var ps problemList
	(&Passkeys{Android: []string{"org.example.mail " + certificate}, Apple: []string{"ABCDE12345.org.example.mail"}}).problems(&ps)
	if len(ps) != 0 {
		t.Errorf("right ones: %q", ps)
	}
}

func problemsOf(t *testing.T, p Passkeys, key string) {
	t.Helper()
	var ps problemList
	p.problems(&ps)
	if len(ps) != 1 || !strings.HasPrefix(ps[0].Error(), key) {
		t.Errorf("%+v: %q", p, ps)
	}
}
