package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/app"
)

const minimal = `
[directory]
bind_dn = "cn=postern,dc=example,dc=test"
bind_password_file = "/etc/postern/ldap.password"
base = "dc=example,dc=test"
postern_base = "ou=postern,dc=example,dc=test"
`

func TestMinimalConfigurationHasTheDefaults(t *testing.T) {
	cfg, err := app.Parse("f", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Policyserver.Socket != "/run/postern/verify.sock" || time.Duration(cfg.Login.Deadline) != 4*time.Second || cfg.Directory.Layout != "entry" {
		t.Errorf("%+v", cfg)
	}
}

// The reference is a valid configuration, and so it is with every line uncommented.
func TestReferenceIsValid(t *testing.T) {
	ref := string(app.Reference())
	if _, err := app.Parse("reference", []byte(ref)); err != nil {
		t.Errorf("as it is: %v", err)
	}
	var all strings.Builder
	for line := range strings.Lines(ref) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "#"), " = "); ok && strings.HasPrefix(line, "#") && !strings.Contains(name, " ") {
			line = line[1:]
		}
		line = strings.Replace(line, "#[", "[", 1)
		all.WriteString(line)
	}
	if _, err := app.Parse("reference", []byte(all.String())); err != nil {
		t.Errorf("all uncommented: %v\n%s", err, all.String())
	}
	for line := range strings.Lines(ref) {
		if strings.HasPrefix(line, "# \n") {
			t.Error("a setting without documentation")
		}
	}
}

func TestReferenceFileIsCurrent(t *testing.T) {
	file, err := os.ReadFile("../../contrib/postern.toml")
	if err != nil || string(file) != string(app.Reference()) {
		t.Errorf("contrib/postern.toml is stale; run: make generate (%v)", err)
	}
}

// ATTACKS 34: every problem is named, with file and key, and nothing starts.
func TestAttack34_EveryProblemAtOnce(t *testing.T) {
	_, err := app.Parse("/etc/postern/postern.toml", []byte(minimal+`
Timeout = "3s"
colour = "red"
user_filter = "(mail=x)"
layout = "tree"
[login]
main_password = "maybe"
deadline = "1h"
max_binds = 0
fields = { user = "uid", userdb_home = "" }
[policyserver]
listen = "nowhere"
socket = "relative"
[policy]
twofactor = "sometimes"
[privacy]
address = "some"
[nonsense]
x = 1
`))
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{
		"directory.Timeout: write it directory.timeout", "directory.colour", "directory.user_filter", "directory.layout",
		"login.main_password", "login.deadline", "login.max_binds", "login.fields.user", "login.fields.userdb_home",
		"policyserver.listen", "policyserver.socket", "policyserver.api_key_file", "twofactor", "privacy.address", "nonsense",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in:\n%v", want, err)
		}
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, "/etc/postern/postern.toml: ") {
			t.Errorf("without the file's name: %s", line)
		}
	}
}

func TestAttack34_TypesAndSyntax(t *testing.T) {
	for name, text := range map[string]string{
		"number as duration": "[directory]\ntimeout = 5\n",
		"number of seconds":  "[throttle]\nredis_deadline = 5000000\n",
		"duration, no unit":  "[directory]\ntimeout = \"5\"\n",
		"half a line":        "[directory]\ntimeout = \"5",
		"twice":              "[directory]\nbase = \"a\"\nbase = \"b\"\n",
		"string for list":    "[directory]\nread_uris = \"ldap://x\"\n",
		"bool as string":     "[directory]\nstarttls = \"yes\"\n",
	} {
		if _, err := app.Parse("f", []byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// ATTACKS 34: a secret file that others can read stops the start.
func TestAttack34_SecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := strings.Repeat("k", 32)
	for name, c := range map[string]struct {
		path string
		want string // part of the message; "" is fine
	}{
		"private":         {write("a", key+"\n", 0o600), ""},
		"readable by all": {write("b", key, 0o644), "chmod"},
		"group may write": {write("c", key, 0o660), "chmod"},
		"empty":           {write("d", "\n", 0o600), "empty"},
		"short":           {write("e", "short", 0o600), "16 characters"},
		"two lines":       {write("f", key+"\n"+key+"\n", 0o600), "one line"},
		"missing":         {filepath.Join(dir, "none"), "no such file"},
		"directory":       {dir, "regular"},
		"no credentials":  {"credential:x", "CREDENTIALS_DIRECTORY"},
	} {
		cfg := app.Default()
		cfg.Policyserver.APIKeyFile = c.path
		got, err := cfg.APIKey()
		switch {
		case c.want == "" && (err != nil || string(got.Reveal()) != key):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		case err != nil && strings.Contains(err.Error(), key):
			t.Errorf("%s: the message shows the secret", name)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	cfg := app.Default()
	cfg.Policyserver.APIKeyFile = "credential:b" // systemd's own modes are right
	if _, err := cfg.APIKey(); err != nil {
		t.Error(err)
	}
	cfg.Policyserver.APIKeyFile = "credential:../a"
	if _, err := cfg.APIKey(); err == nil {
		t.Error("a credential's name led out of the directory")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(minimal)
	f.Add(string(app.Reference()))
	f.Fuzz(func(_ *testing.T, s string) { _, _ = app.Parse("f", []byte(s)) })
}
