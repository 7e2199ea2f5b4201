package app_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/seal"
)

// keys is a directory with the key files of the roles.
func keys(t *testing.T, roles ...string) app.Config {
	t.Helper()
	cfg := app.Default()
	cfg.Keys.Directory = t.TempDir()
	for _, role := range roles {
		file, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		write(t, cfg.KeyPath(role), file, 0o600)
	}
	return cfg
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A mail host has the door key and the public half of the ticket key; without the
// latter it starts all the same, and with one that is not right it does not.
func TestAttack34_PublicFile(t *testing.T) {
	webhook := keys(t, account.RoleTicket)
	good, err := webhook.PublicFile()
	if err != nil {
		t.Fatal(err)
	}
	host := keys(t, account.RoleDoor)
	if _, err := host.PublicFile(); err == nil {
		t.Error("a mail host makes a public file")
	}
	ring, err := host.OpenRing(account.RoleDoor)
	if err != nil || ring.CanVerify() {
		t.Errorf("without: %v", err)
	}
	for name, c := range map[string]struct {
		data []byte
		mode os.FileMode
		want string // part of the message; "" is fine
	}{
		"right":                {good, 0o644, ""},
		"right, private":       {good, 0o600, ""},
		"others may change it": {good, 0o646, "chmod 0644"},
		"group may change it":  {good, 0o664, "chmod 0644"},
		"empty":                {nil, 0o644, "empty"},
		"cut off":              {good[:len(good)-10], 0o644, "line 2"},
		"too long":             {[]byte(strings.Repeat("# \n", 30_000)), 0o644, "larger"},
	} {
		write(t, host.PublicKeyPath(), c.data, c.mode)
		ring, err := host.OpenRing(account.RoleDoor)
		switch {
		case c.want == "" && (err != nil || !ring.CanVerify()):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ticket.pub")):
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(host.PublicKeyPath()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(host.PublicKeyPath()), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := host.OpenRing(account.RoleDoor); err == nil {
		t.Error("a directory is taken for the file")
	}
}

// Tickets come from this host unless webhook.networks says otherwise, and never from
// everywhere by a mistake in it.
func TestWebmailNetworks(t *testing.T) {
	cfg := app.Default()
	s, err := cfg.LoginSettings()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"127.0.0.1": true, "::1": true, "192.0.2.1": false, "::2": false} {
		in := false
		for _, p := range s.WebmailNetworks {
			in = in || p.Contains(netip.MustParseAddr(text))
		}
		if in != want {
			t.Errorf("%s: %v", text, in)
		}
	}
	cfg.Webhook.Networks = []string{"192.0.2.7"}
	if _, err := cfg.LoginSettings(); err == nil || !strings.Contains(err.Error(), "webhook.networks") {
		t.Errorf("an address without its length: %v", err)
	}
}
