package spool_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"postern/internal/spool"
)

// Only what was set aside long ago goes, never a duty.
func TestA20_Purge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lib", "spool")
	s, err := spool.Open(path, "mail.spool")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"old.json.bad": 31, "young.json.bad": 29, ".part-old": 31, ".part-young": 1, "old.json": 400, ".lock": 400,
	} {
		file := filepath.Join(path, name)
		at := now.Add(-age * 24 * time.Hour)
		if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Purge(now.Add(-30 * 24 * time.Hour)); n != 2 || err != nil {
		t.Errorf("%d files, %v", n, err)
	}
	files, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, f := range files {
		left = append(left, f.Name())
	}
	if want := []string{".lock", ".part-young", "old.json", "young.json.bad"}; !slices.Equal(left, want) {
		t.Errorf("left: %q", left)
	}
}
