package mailtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// TestSites starts a whole site with each door: the main password gets in until
// its owner has a second factor, then an app password does, also at Postfix.
func TestSites(t *testing.T) {
	for _, door := range []string{"2.3-checkpassword.conf", "2.3-lua.conf", "2.4-lua.conf"} {
		t.Run(door, func(t *testing.T) {
			began := time.Now()
			s := New(t, Options{
				Dovecot: &DovecotOptions{Version: Version(door[:3]), Door: door}, Postfix: &PostfixOptions{},
			})
			t.Logf("ready after %v", time.Since(began))
			const alice = "alice@example.test"
			if err := s.Slapd.SetAttr(alice, "userPassword", SSHA("main-password")); err != nil {
				t.Fatal(err)
			}
			checkLogin(t, s, "main-password", true)
			ctl(t, s, "totp", "add", alice)
			checkLogin(t, s, "main-password", false)
			var made struct{ ID, Password string }
			if err := json.Unmarshal([]byte(ctl(t, s, "app-password", "create", alice, "--name", "phone", "--json")), &made); err != nil {
				t.Fatal(err)
			}
			checkLogin(t, s, made.Password, true)
			if err := s.Policyserver.Restart(context.Background()); err != nil {
				t.Fatal(err)
			}
			ctl(t, s, "app-password", "revoke", alice, made.ID)
			checkLogin(t, s, made.Password, false)
			if audit, err := os.ReadFile(s.Audit); err != nil || !strings.Contains(string(audit), "alice") {
				t.Errorf("audit: %q, %v", audit, err)
			}
		})
	}
}

// ctl runs posternctl.
func ctl(t *testing.T, s *Site, args ...string) string {
	t.Helper()
	out, err := s.Posternctl(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkLogin tries alice's password at Dovecot and at Postfix.
func checkLogin(t *testing.T, s *Site, password string, want bool) {
	t.Helper()
	imap := ask(t, s.Dovecot.IMAP, "a LOGIN alice@example.test "+password, "a ")
	if strings.HasPrefix(imap, "a OK") != want {
		t.Errorf("IMAP with %q: %q, want %v", password, imap, want)
	}
	response := base64.StdEncoding.EncodeToString([]byte("\x00alice@example.test\x00" + password))
	smtp := ask(t, s.Postfix.Port, "EHLO x\r\nAUTH PLAIN "+response, "235", "4", "5")
	if strings.HasPrefix(smtp, "235") != want {
		t.Errorf("SMTP with %q: %q, want %v", password, smtp, want)
	}
}

// TestSharedDirectory lets a second mail server share a site's directory and
// keys.
func TestSharedDirectory(t *testing.T) {
	Long(t)
	first := Shared(t, "first", Options{})
	second := New(t, Options{With: first, Dovecot: &DovecotOptions{}, Settings: Settings{"login": {"denial_time": "10ms"}}})
	if Shared(t, "first", Options{}) != first {
		t.Error("a shared site was started twice")
	}
	if got := ask(t, second.Dovecot.IMAP, `a LOGIN bob@example.test "`+Password+`"`, "a "); !strings.HasPrefix(got, "a OK") {
		t.Error(got)
	}
}
