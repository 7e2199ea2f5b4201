package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReference: what docs/reference/ says about configuration, audit log and metrics is
// what the source says.
func TestReference(t *testing.T) {
	docs, err := documents("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range docs {
		stored, err := os.ReadFile(filepath.Join("../../docs/reference", name))
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(stored, text) {
			t.Errorf("docs/reference/%s is stale: make generate", name)
		}
	}
	for name, wanted := range map[string][]string{
		"config.md":  {"## [webhook.clients.NAME]\n", "- `key_file`: File", "- `socket` = `\"/run/postern/verify.sock\"`: ", "- `bind_dn`: "},
		"audit.md":   {"- `app_password_required`: ", "- `two_factor_on`\n", "- `us`: duration in microseconds"},
		"reasons.md": {"## `app_password_required`\n", "- `prefix`: "},
		"metrics.md": {"| `postern_verify_seconds` | histogram | `verdict` |", "| `postern_events_total` | counter | `action` `outcome` `reason` `service` |"},
	} {
		for _, want := range wanted {
			if !strings.Contains(string(docs[name]), want) {
				t.Errorf("%s does not contain %q", name, want)
			}
		}
	}
}
