package doctor_test

import (
	"os"
	"path/filepath"
	"testing"

	"postern/internal/doctor/doctortest"
	"postern/internal/mailtest"
)

// TestA13_SpoiltSite: each thing that is made wrong is named, by real doveconf and
// postconf, on a site of which nothing is said before.
func TestA13_SpoiltSite(t *testing.T) {
	mailtest.Long(t)
	for _, v := range []mailtest.Version{mailtest.V23, mailtest.V24} {
		s := mailtest.Shared(t, "green "+string(v), green(v))
		for _, row := range doctortest.OfDovecot(string(v)) {
			t.Run(string(v)+" "+row.Name, func(t *testing.T) { spoil(t, s, s.Dovecot.Dir, row) })
		}
	}
	s := mailtest.Shared(t, "green 2.3", green(mailtest.V23))
	for _, row := range doctortest.OfPostfix() {
		t.Run("Postfix "+row.Name, func(t *testing.T) { spoil(t, s, s.Postfix.Dir, row) })
	}
}

// spoil changes a file, looks, and puts it back. Dovecot and Postfix go on as they are.
func spoil(t *testing.T, s *mailtest.Site, dir string, row doctortest.Spoilt) {
	t.Helper()
	path := filepath.Join(dir, row.File)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(path, before, 0o644) })
	text := row.In(string(before))
	if text == string(before) {
		t.Fatalf("%s has no %q", row.File, row.Old)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	o := options(t, s)
	o.Skip = []string{"replica"}
	r, complaints := examine(t, o)
	if !has(r, row.ID, row.Status) {
		t.Errorf("no %s %s in:\n%s", row.Status, row.ID, complaints)
	}
}
