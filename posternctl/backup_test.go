package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// dump is slapcat's of a running directory.
func dump(t *testing.T, s *mailtest.Site) string {
	t.Helper()
	out, err := exec.Command("slapcat", "-F", filepath.Join(s.Slapd.Dir, "conf"), "-b", mailtest.Base).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump.ldif")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBackupVerify: a dump and its keys open everything; one that somebody edited, or
// other keys, do not, and the accounts are named.
func TestBackupVerify(t *testing.T) {
	s, err := mailtest.Start(t.Context(), mailtest.Options{WithoutPolicyserver: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	ctl := func(want int, args ...string) string {
		t.Helper()
		return posternctl(t, want, append([]string{"--config", s.Path}, args...)...)
	}
	ctl(exitDone, "-q", "keys", "new")
	for _, user := range []string{"alice@example.test", "bob@example.test"} {
		ctl(exitDone, "totp", "add", user)
		ctl(exitDone, "app-password", "create", user, "--name", "phone")
	}
	text := dump(t, s)
	if said := ctl(exitDone, "backup", "verify", "--ldif", written(t, text)); !strings.Contains(said, "2 accounts with 6 records") {
		t.Errorf("%s", said)
	}
	ctl(exitDone, "backup", "verify")

	// Alice's app password is lost in the dump; a whole line and its folds.
	lost := withoutFirst(text, "uid=alice", "posternAppPassword::")
	said := ctl(exitFailed, "backup", "verify", "--ldif", written(t, lost))
	if !strings.Contains(said, "alice@example.test") || strings.Contains(said, "bob@example.test") {
		t.Errorf("not just alice is named: %s", said)
	}
	// Another factor key.
	if err := os.Remove(filepath.Join(s.Keys, "factor.key")); err != nil {
		t.Fatal(err)
	}
	ctl(exitDone, "-q", "keys", "new", "--offline", "--role", "factor")
	if said := ctl(exitFailed, "backup", "verify", "--ldif", written(t, text)); !strings.Contains(said, "bob@example.test") || !strings.Contains(said, "not the one") {
		t.Errorf("%s", said)
	}
	ctl(exitFailed, "backup", "verify", "--ldif", written(t, "this is no dump\n"))
}

// withoutFirst removes an attribute's first line, with its folds, from an entry.
func withoutFirst(ldif, entry, attribute string) string {
	at := strings.Index(ldif, "dn: "+entry)
	from := at + strings.Index(ldif[at:], attribute)
	end := from + strings.Index(ldif[from:], "\n") + 1
	for strings.HasPrefix(ldif[end:], " ") {
		end += strings.Index(ldif[end:], "\n") + 1
	}
	return ldif[:from] + ldif[end:]
}

// TestLeavers: records in the subtree whose account is gone are listed and removed,
// those of others are not.
func TestLeavers(t *testing.T) {
	s, err := mailtest.Start(t.Context(), mailtest.Options{WithoutPolicyserver: true, Settings: mailtest.Settings{"directory": {"layout": "subtree"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	ctl := func(want int, args ...string) string {
		t.Helper()
		return posternctl(t, want, append([]string{"--config", s.Path}, args...)...)
	}
	ctl(exitDone, "-q", "keys", "new")
	for _, user := range []string{"alice@example.test", "bob@example.test"} {
		ctl(exitDone, "app-password", "create", user, "--name", "phone")
	}
	if err := s.Slapd.Delete("bob@example.test"); err != nil {
		t.Fatal(err)
	}
	if said := ctl(exitDone, "leavers", "list"); !strings.Contains(said, "1 accounts are gone and have records, 1 are there") {
		t.Errorf("%s", said)
	}
	ctl(exitUsage, "leavers", "remove")
	ctl(exitDone, "leavers", "remove", "--all")
	if said := ctl(exitDone, "leavers", "list"); !strings.Contains(said, "0 accounts are gone and have records, 1 are there") {
		t.Errorf("%s", said)
	}
	// Everybody seems gone: nothing is removed without --force.
	if err := s.Slapd.Delete("alice@example.test"); err != nil {
		t.Fatal(err)
	}
	ctl(exitFailed, "leavers", "remove", "--all")
	ctl(exitDone, "leavers", "remove", "--all", "--force")
}
