package doctor_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/doctor"
	"postern/internal/mailtest"
)

// secondHost is another host of the site: the same directory and keys.
func secondHost(t *testing.T, first *mailtest.Site) *mailtest.Site {
	t.Helper()
	s, err := mailtest.Start(context.Background(), mailtest.Options{With: first})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// reported is a file with what doctor --json prints on a host.
func reported(t *testing.T, s *mailtest.Site) string {
	t.Helper()
	text, _ := s.Posternctl(context.Background(), "doctor", "--no-login", "--json", "--doveconf", printed(t, dovecotOf("2.3.19.1", s.Nonce)), "--postconf", "none")
	path := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func dovecotOf(version, nonce string) string {
	return "# " + version + " (9b53102964): /nonexistent/dovecot.conf\nauth_mechanisms = plain login\nauth_policy_hash_nonce = " + nonce + "\n"
}

// TestA13_OtherHosts: what must be the same on two hosts and is not is named, with nothing
// of what it is.
func TestA13_OtherHosts(t *testing.T) {
	first := quick(t, mailtest.SlapdOptions{})
	second := secondHost(t, first)
	for _, name := range []string{"hash.nonce", "doveadm.key"} { // as an administrator copies them
		same(t, first, second, name)
	}
	second.Nonce = first.Nonce
	for _, row := range []struct {
		name   string
		change func() error
		dov    string // what Dovecot says here
		id     string // none: everything is the same
		status doctor.Status
		words  []string
	}{
		{"the same", nil, dovecotOf("2.3.19.1", first.Nonce), "", "", nil},
		{"another limit", func() error { return second.Reconfigure(mailtest.Settings{"throttle": {"account_refuse": 50}}) },
			dovecotOf("2.3.19.1", first.Nonce), "hosts-settings", doctor.Wrong, []string{"differs: throttle.account_refuse"}},
		{"a policy that only one has", func() error { return second.Reconfigure(mailtest.Settings{"policy": {"twofactor": "mandatory"}}) },
			dovecotOf("2.3.19.1", first.Nonce), "hosts-settings", doctor.Wrong, []string{"differs: policy.twofactor"}},
		{"its own addresses and sizes", func() error {
			return second.Reconfigure(mailtest.Settings{"directory": {"timeout": "4s", "pool_size": 7}, "policyserver": {"max_connections": 7}})
		}, dovecotOf("2.3.19.1", first.Nonce), "", "", nil},
		{"another nonce", func() error {
			return os.WriteFile(filepath.Join(second.Dir, "hash.nonce"), []byte("another-nonce-of-this-host\n"), 0o600)
		}, dovecotOf("2.3.19.1", first.Nonce), "hosts-secrets", doctor.Wrong, []string{"differs: policyserver.hash_nonce_file"}},
		{"another nonce in Dovecot", nil, dovecotOf("2.3.19.1", "another-nonce-of-this-host"), "hosts-dovecot", doctor.Wrong, []string{"differs: auth_policy_hash_nonce"}},
		{"another mechanism", nil, dovecotOf("2.3.19.1", first.Nonce) + "auth_mechanisms = plain\n", "hosts-dovecot", doctor.Wrong, []string{"auth_mechanisms"}},
		{"another Dovecot", nil, dovecotOf("2.3.21", first.Nonce), "hosts-versions", doctor.Warning, []string{"Dovecot 2.3.21", "there"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Cleanup(func() {
				same(t, first, second, "hash.nonce")
				if err := second.Reconfigure(nil); err != nil {
					t.Error(err)
				}
			})
			if row.change != nil {
				if err := row.change(); err != nil {
					t.Fatal(err)
				}
			}
			r, complaints := compared(t, second, row.dov, reported(t, first))
			if row.id != "" && !finding(r, row.id, row.status, row.words...) {
				t.Errorf("no %s %s %q in:\n%s", row.status, row.id, row.words, complaints)
			}
			for _, id := range []string{"hosts-keys", "hosts-site", "hosts-secrets", "hosts-settings", "hosts-dovecot", "hosts-versions"} {
				if id != row.id && !has(r, id, doctor.OK) {
					t.Errorf("%s: %s", id, complaints)
				}
			}
		})
	}
}

// same copies a secret from one host to another.
func same(t *testing.T, from, to *mailtest.Site, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to.Dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// compared looks at a host beside what another one has reported.
func compared(t *testing.T, s *mailtest.Site, dovecot, report string) (doctor.Report, string) {
	t.Helper()
	text, _ := s.Posternctl(context.Background(), "doctor", "--no-login", "--json", "--doveconf", printed(t, dovecot), "--postconf", "none", "--compare", report)
	var said struct{ Findings doctor.Report }
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range said.Findings {
		if f.Status != doctor.OK {
			b.WriteString(string(f.Status) + " " + f.ID + " " + f.Subject + ": " + f.Text + "\n")
		}
	}
	return said.Findings, b.String()
}

// TestA13_OtherSite: hosts of two sites have nothing in common, which is said once, and
// the rest is not compared; a file that is no report is not taken for one.
func TestA13_OtherSite(t *testing.T) {
	s, other := quick(t, mailtest.SlapdOptions{}), quick(t, mailtest.SlapdOptions{})
	report := reported(t, other)
	r, complaints := compared(t, s, dovecotOf("2.3.19.1", s.Nonce), report)
	if !finding(r, "hosts-keys", doctor.Wrong, "door.key") {
		t.Errorf("keys: %s", complaints)
	}
	for _, id := range []string{"hosts-site", "hosts-secrets", "hosts-settings", "hosts-dovecot"} {
		if has(r, id, doctor.OK) || !has(r, id, doctor.Unchecked) {
			t.Errorf("%s: %s", id, complaints)
		}
	}
	for name, text := range map[string]string{"no JSON": "x", "another object": `{"status":"ok"}`, "an empty host": `{"host":{}}`} {
		if r, complaints := compared(t, s, dovecotOf("2.3.19.1", s.Nonce), printed(t, text)); !has(r, "hosts", doctor.Unchecked) {
			t.Errorf("%s: %s", name, complaints)
		}
	}
	if r, complaints := compared(t, s, dovecotOf("2.3.19.1", s.Nonce), "/nonexistent"); !has(r, "hosts", doctor.Unchecked) {
		t.Errorf("no file: %s", complaints)
	}
}

// TestAttack31_ReportHoldsNoSecret: neither secrets nor settings can be read out of a
// report, nor found in it by whoever guesses them without the door key.
func TestAttack31_ReportHoldsNoSecret(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	b, err := os.ReadFile(reported(t, s))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(s.Keys, "door.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{s.Key, s.Nonce, mailtest.Password, mailtest.DoveadmPassword}
	for _, line := range strings.Fields(string(key)) {
		if len(line) > 20 {
			secrets = append(secrets, line)
		}
	}
	if len(secrets) < 5 {
		t.Fatalf("the key file looks otherwise: %d words", len(secrets))
	}
	var said struct {
		Host map[string]json.RawMessage `json:"host"`
	}
	if err := json.Unmarshal(b, &said); err != nil || len(said.Host["facts"]) < 1000 {
		t.Fatalf("%v: %s", err, said.Host["facts"])
	}
	for _, secret := range secrets {
		if strings.Contains(string(b), secret) {
			t.Errorf("%q is in the report", secret)
		}
	}
	if strings.Contains(string(said.Host["facts"]), mailtest.Base) {
		t.Error("the facts show a setting")
	}
	other := quick(t, mailtest.SlapdOptions{})
	theirs, err := os.ReadFile(reported(t, other))
	if err != nil {
		t.Fatal(err)
	}
	// The same value under another key is another fact.
	var a, c struct {
		Host doctor.Host `json:"host"`
	}
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(theirs, &c); err != nil {
		t.Fatal(err)
	}
	for key, fact := range a.Host.Facts {
		if c.Host.Facts[key] == fact {
			t.Errorf("%s is the same at another site: it is not keyed", key)
		}
	}
}
