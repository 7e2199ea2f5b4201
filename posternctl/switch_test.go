package main

import (
	"io"
	"net/url"
	"os"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// verdict asks a running policyserver about a login.
func verdict(t *testing.T, s *mailtest.Site, user, password string) string {
	t.Helper()
	form := url.Values{"user": {user}, "password": {password}, "service": {"imap"}, "door": {"test"}, "remote_ip": {"192.0.2.7"}}
	res, err := s.Policyserver.Client().Post("http://policyserver/verify", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\t")
	return word
}

// becomes waits until a login is answered so.
func becomes(t *testing.T, s *mailtest.Site, user, password, want string) {
	t.Helper()
	mailtest.Eventually(t, "the login is "+want, func() bool { return verdict(t, s, user, password) == want })
}

// TestSwitch: off lets main passwords in within seconds, keeps app passwords, is
// audited and loud; on ends it, and a value that somebody puts back does nothing.
func TestSwitch(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{})
	const alice = "alice@example.test"
	ctl := func(want int, args ...string) string {
		t.Helper()
		return posternctl(t, want, append([]string{"--config", s.Path}, args...)...)
	}
	ctl(exitDone, "totp", "add", alice)
	app := strings.Fields(ctl(exitDone, "-q", "app-password", "create", alice, "--name", "phone"))[0]
	if got := verdict(t, s, alice, mailtest.Password); got != "denied" {
		t.Fatalf("before: %s", got)
	}
	ctl(exitFailed, "on")
	ctl(exitUsage, "off")
	ctl(exitUsage, "off", "--reason", "x", "--for", "200h")
	ctl(exitDone, "off", "--reason", "the test", "--for", "1h")
	becomes(t, s, alice, mailtest.Password, "granted")
	if got := verdict(t, s, alice, app); got != "granted" {
		t.Errorf("the app password is %s", got)
	}
	if got := verdict(t, s, alice, "wrong-password"); got != "denied" {
		t.Errorf("a wrong password is %s", got)
	}
	if said := ctl(exitDone, "status", alice); !strings.Contains(said, "POSTERN IS SWITCHED OFF") || !strings.Contains(said, "the test") {
		t.Errorf("status is not loud: %s", said)
	}
	site, err := s.Slapd.Dump("cn=site," + mailtest.PosternBase)
	if err != nil {
		t.Fatal(err)
	}
	old := switchValue(t, site["posternKeyCheck"])
	ctl(exitDone, "on")
	becomes(t, s, alice, mailtest.Password, "denied")

	// A directory editor puts the old value in place of the new one.
	site, err = s.Slapd.Dump("cn=site," + mailtest.PosternBase)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, v := range site["posternKeyCheck"] {
		if !strings.HasPrefix(string(v), "switch ") {
			values = append(values, string(v))
		}
	}
	if err := s.Slapd.SetAttr("cn=site,"+mailtest.PosternBase, "posternKeyCheck", append(values, old)...); err != nil {
		t.Fatal(err)
	}
	// What was read along with it holds by now.
	ctl(exitDone, "policy", "set", "domain", "example.test", "app_passwords=false")
	becomes(t, s, alice, app, "denied")
	if got := verdict(t, s, alice, mailtest.Password); got != "denied" {
		t.Fatalf("a value that was put back is believed: %s", got)
	}
	audited(t, s)
}

func switchValue(t *testing.T, values [][]byte) string {
	t.Helper()
	for _, v := range values {
		if strings.HasPrefix(string(v), "switch ") {
			return string(v)
		}
	}
	t.Fatal("there is no switch")
	return ""
}

func audited(t *testing.T, s *mailtest.Site) {
	t.Helper()
	b, err := os.ReadFile(s.Audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"action":"site_off"`, `"action":"site_on"`, `"reason":"switched_off"`, "the test, until"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the audit log has no %s", want)
		}
	}
}
