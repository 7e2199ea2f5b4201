package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/mailtest"
	"postern/internal/seal"
)

// mistake is a configuration that is wrong in one way.
type mistake struct {
	slapd    mailtest.SlapdOptions
	settings mailtest.Settings
	spoil    func(w *world) // what else is wrong, nil for nothing
	starting bool           // found when the program starts, not by -check
	says     []string       // what the one line must tell, the remedy among it
}

var mistakes = map[string]mistake{
	"no key":           {spoil: func(w *world) { w.must(os.Remove(w.key())) }, says: []string{"door.key", "posternctl keys new"}},
	"key for everyone": {spoil: func(w *world) { w.must(os.Chmod(w.key(), 0o644)) }, says: []string{"door.key", "chmod 0640"}},
	"key is rubbish":   {spoil: func(w *world) { w.must(os.WriteFile(w.key(), []byte("rubbish\n"), 0o600)) }, says: []string{"key"}},
	"another's key":    {spoil: anotherKey, says: []string{"door key", "copy the right key file"}},
	"API key for everyone": {spoil: func(w *world) { w.must(os.Chmod(filepath.Join(w.Dir, "policyserver.key"), 0o644)) },
		says: []string{"policyserver.api_key_file", "chmod 0640"}},
	"short API key": {spoil: func(w *world) {
		w.must(os.WriteFile(filepath.Join(w.Dir, "policyserver.key"), []byte("short\n"), 0o600))
	},
		says: []string{"policyserver.api_key_file", "16 characters", "openssl rand"}},
	"wrong password": {spoil: func(w *world) { w.must(os.WriteFile(filepath.Join(w.Dir, "ldap.password"), []byte("wrong\n"), 0o600)) },
		says: []string{"directory.bind_dn", "password"}},
	"wrong base":      {settings: directory("base", "dc=nowhere,dc=test"), says: []string{"dc=nowhere,dc=test", "directory.base"}},
	"no subtree":      {settings: directory("postern_base", "ou=nowhere,"+mailtest.Base), says: []string{"ou=nowhere", "directory.postern_base"}},
	"nobody answers":  {settings: directory("read_uris", []string{"ldap://127.0.0.1:9"}, "write_uri", "ldap://127.0.0.1:9"), says: []string{"ldap://127.0.0.1:9"}},
	"mis-cased key":   {settings: directory("Base", "dc=example,dc=test"), says: []string{"directory.Base"}},
	"unknown key":     {settings: directory("bass", "x"), says: []string{"directory.bass"}},
	"number as time":  {settings: directory("timeout", 2), says: []string{"timeout", `"2s"`}},
	"no schema":       {slapd: mailtest.SlapdOptions{WithoutSchema: true}, says: []string{"schema", "contrib/slapd/postern"}},
	"no access rules": {slapd: mailtest.SlapdOptions{WithoutACL: true}, says: []string{"contrib/slapd/postern-acl.ldif"}},
	"no directory for the socket": {starting: true, settings: mailtest.Settings{"policyserver": {"socket": "/nonexistent/verify.sock"}},
		says: []string{"policyserver.socket", "/nonexistent/verify.sock"}},
	"nobody may ask": {settings: mailtest.Settings{"policyserver": {"socket_users": []string{"nobody-of-that-name"}}},
		says: []string{"policyserver.socket_users", "nobody-of-that-name"}},
}

// directory are settings of that table, in pairs.
func directory(pairs ...any) mailtest.Settings {
	keys := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		keys[pairs[i].(string)] = pairs[i+1] //nolint:forcetypeassert // written above
	}
	return mailtest.Settings{"directory": keys}
}

func anotherKey(w *world) {
	b, _, err := seal.NewFile(account.RoleDoor)
	w.must(err)
	w.must(os.WriteFile(w.key(), b, 0o600))
}

func (w *world) must(err error) { w.t.Helper(); must(w.t, err) }
func (w *world) key() string    { return filepath.Join(w.Keys, "door.key") }

// TestAttack34_Mistakes: each is told in one line that says what to do, and
// policyserver does not start as if nothing were wrong.
func TestAttack34_Mistakes(t *testing.T) {
	t.Parallel()
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-check"}
			if m.starting {
				args = nil
			}
			code, said := policyserver(t, m.site(t), args...)
			if code == 0 {
				t.Errorf("it was content: %s", said)
			}
			if strings.Count(said, "\n") != 1 {
				t.Errorf("not one line:\n%s", said)
			}
			for _, words := range m.says {
				if !strings.Contains(said, words) {
					t.Errorf("%q does not say %q", said, words)
				}
			}
		})
	}
}

// site is a site where the mistake was made.
func (m mistake) site(t *testing.T) *mailtest.Site {
	t.Helper()
	right := m.slapd == mailtest.SlapdOptions{}
	s := mailtest.New(t, mailtest.Options{Slapd: m.slapd, WithoutPolicyserver: true})
	w := &world{Site: s, t: t}
	if right {
		_, err := s.Posternctl(t.Context(), "keys", "new")
		must(t, err)
	} else {
		must(t, os.MkdirAll(s.Keys, 0o700))
		anotherKey(w)
	}
	if m.spoil != nil {
		m.spoil(w)
	}
	must(t, s.Write(s.Slapd, m.settings))
	return s
}

// policyserver runs the program, which must end by itself.
func policyserver(t *testing.T, s *mailtest.Site, args ...string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	program, err := mailtest.Build(ctx, "policyserver")
	must(t, err)
	cmd := exec.CommandContext(ctx, program, append([]string{"-config", s.Path}, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("it runs: %s", out)
	}
	if err == nil {
		return 0, string(out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestAttack34_AllAtOnce: two mistakes are told together.
func TestAttack34_AllAtOnce(t *testing.T) {
	t.Parallel()
	settings := directory("bass", "x", "timeout", "-1s")
	settings["login"] = map[string]any{"main_password": "perhaps"}
	_, said := policyserver(t, mistake{settings: settings}.site(t), "-check")
	for _, words := range []string{"directory.bass", "directory.timeout", "login.main_password"} {
		if !strings.Contains(said, words) {
			t.Errorf("%q does not say %q", said, words)
		}
	}
}

// TestAttack34_WrongKeyNeverServes: a policyserver whose key is not the one of the
// directory's records ends, instead of calling everybody damaged.
func TestAttack34_WrongKeyNeverServes(t *testing.T) {
	t.Parallel()
	code, said := policyserver(t, mistake{spoil: anotherKey}.site(t))
	if code == 0 || !strings.Contains(said, "copy the right key file") {
		t.Errorf("%d: %s", code, said)
	}
}
