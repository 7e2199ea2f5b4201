package app_test

import (
	"strings"
	"testing"

	"postern/internal/app"
)

// TestSettings: every key of the reference that has a value is told.
func TestSettings(t *testing.T) {
	cfg, err := app.Parse("postern.toml", []byte("[directory]\nbind_dn = \"cn=x\"\nbind_password_file = \"/x\"\nbase = \"dc=x\"\npostern_base = \"ou=p,dc=x\"\n"+
		"[sessions]\ndoveadm = [\"http://127.0.0.1:1/doveadm/v1\"]\n[sessions.doveadm_key_files]\n\"http://127.0.0.1:1/doveadm/v1\" = \"/k\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := cfg.Settings(func(key string, value any) { all[key] = value }); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"directory.base": "dc=x", "directory.timeout": "2s", "keys.directory": "/etc/postern/keys", "throttle.redis_url": "",
		"sessions.doveadm_key_files.http://127.0.0.1:1/doveadm/v1": "/k",
	} {
		if all[key] != want {
			t.Errorf("%s is %v, not %v", key, all[key], want)
		}
	}
	table, missing := "", 0
	for line := range strings.Lines(string(app.Reference())) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		name, value, ok := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, "["):
			table = strings.Trim(line, "[]")
		case ok && !strings.Contains(name, " ") && value != "{}" && value != "[]" && !strings.HasSuffix(table, "NAME") && table != "policy":
			if _, there := all[table+"."+name]; !there {
				missing++
				t.Errorf("%s.%s is not told", table, name)
			}
		}
	}
	if len(all) < 80 || missing > 0 {
		t.Errorf("%d settings", len(all))
	}
}
