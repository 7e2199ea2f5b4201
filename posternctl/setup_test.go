package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// posternctl runs the command in this process and returns what it printed.
func posternctl(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, complaints bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &out, &complaints); code != want {
		t.Fatalf("posternctl %s: exit code %d, want %d: %s%s", strings.Join(args, " "), code, want, out.String(), complaints.String())
	}
	return out.String() + complaints.String()
}

// TestSetup: what setup prints and writes makes a directory that has never heard of
// Postern one that Postern's own check is content with.
func TestSetup(t *testing.T) {
	s := mailtest.NewSlapd(t, mailtest.SlapdOptions{WithoutSchema: true})
	dir := t.TempDir()
	config := filepath.Join(dir, "postern.toml")
	dovecot := t.TempDir()
	args := []string{"--config", config, "setup", "--no-input", "--directory-uri", s.URI(), "--bind-dn", "cn=setup," + mailtest.Base,
		"--postern-base", "ou=setup," + mailtest.Base, "--public-url", "https://mail.example.test/2fa/", "--dovecot", "2.4", "--write-dovecot", dovecot}
	said := posternctl(t, exitDone, args...)
	if !strings.Contains(said, "posternctl --config "+config+" doctor") || !strings.Contains(said, "OpenLDAP") {
		t.Errorf("it does not end with doctor: %s", said)
	}
	load(t, s, dir)
	posternctl(t, exitDone, "--config", config, "keys", "register")
	posternctl(t, exitDone, "--config", config, "-check")
	wantMode(t, filepath.Join(dovecot, "99-postern.conf"), 0o600)
	wantMode(t, filepath.Join(dir, "ldap.password"), 0o640)

	// Again: nothing changes, neither a key nor a secret.
	before := contents(t, dir)
	posternctl(t, exitDone, args...)
	if after := contents(t, dir); after != before {
		t.Errorf("the second run changed something:\n%s\n%s", before, after)
	}
	// A configuration that was changed is left alone.
	own := []byte("[directory]\nbase = \"dc=own\"\n")
	if err := os.WriteFile(config, own, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := posternctl(t, exitDone, args...); !strings.Contains(said, "postern.toml.new") {
		t.Errorf("%s", said)
	}
	if now, err := os.ReadFile(config); err != nil || !bytes.Equal(now, own) {
		t.Errorf("the administrator's file was overwritten: %s, %v", now, err)
	}
}

// load does what setup's first step says.
func load(t *testing.T, s *mailtest.Slapd, dir string) {
	t.Helper()
	for _, name := range []string{fileSchema, fileBase, fileACL, fileIndex} {
		text, err := os.ReadFile(filepath.Join(dir, "setup", name))
		if err != nil {
			t.Fatal(err)
		}
		who := mailtest.ConfigDN
		if name == fileBase {
			who = mailtest.RootDN
		}
		if err := s.Load(context.Background(), who, string(text)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func wantMode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
		t.Errorf("%s: %v, %v", path, info, err)
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range []string{"*", "keys/*", "setup/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil {
				b.WriteString(f + "\n" + string(text))
			}
		}
	}
	return b.String()
}

// TestSetupMistakes: what is missing or impossible is named.
func TestSetupMistakes(t *testing.T) {
	config := filepath.Join(t.TempDir(), "postern.toml")
	for want, args := range map[string][]string{
		"--base is needed":   {"--directory-uri", "ldap://127.0.0.1:1"},
		"no checkpassword":   {"--directory-uri", "ldap://127.0.0.1:1", "--base", "dc=x", "--dovecot", "2.4", "--door", "checkpassword"},
		"--dovecot: 2.3":     {"--directory-uri", "ldap://127.0.0.1:1", "--base", "dc=x", "--dovecot", "2.2"},
		"there is no answer": {"--answers", answersFile(t, "bogus = 1\n")},
	} {
		var out, complaints bytes.Buffer
		code := run(t.Context(), append([]string{"--config", config, "setup", "--no-input"}, args...), strings.NewReader(""), &out, &complaints)
		if code == exitDone || !strings.Contains(complaints.String(), want) {
			t.Errorf("%v: %d, %s", args, code, complaints.String())
		}
	}
	if exists(config) {
		t.Error("something was written")
	}
}

func answersFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "answers.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
