package doctor_test

import (
	"os"
	"strings"
	"testing"

	"postern/internal/doctor"
)

// TestGuide: docs/guides/doctor.md lists what can be found, and nothing else; every id
// is there once, with a remedy.
func TestGuide(t *testing.T) {
	b, err := os.ReadFile("../../docs/guides/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	seen := map[string]bool{}
	escape := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, e := range doctor.Catalogue() {
		if seen[e.ID] {
			t.Errorf("%s is there twice", e.ID)
		}
		seen[e.ID] = true
		if e.Remedy == "" || e.About == "" {
			t.Errorf("%s lacks a text", e.ID)
		}
		if row := "| `" + e.ID + "` | " + escape(e.About) + " | " + escape(e.Remedy) + " |\n"; !strings.Contains(text, row) {
			t.Errorf("docs/guides/doctor.md lacks %s", row)
		}
	}
	if rows := strings.Count(text, "\n| `"); rows != len(seen) {
		t.Errorf("%d rows for %d findings", rows, len(seen))
	}
}
