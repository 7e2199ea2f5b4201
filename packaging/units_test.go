// Package packaging holds the tests of what packages install.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// TestUnits: systemd itself finds nothing wrong with the units, understands every
// line, and thinks well of what the daemons may not do.
func TestUnits(t *testing.T) {
	mailtest.Long(t)
	root := t.TempDir()
	services := install(t, root)
	for _, name := range services {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--root="+root, "--man=no", "--recursive-errors=no", name).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		// In tenths of a point of exposure; 100 is a service that may do anything.
		out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager", "--root="+root, name).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	if len(services) < 2 {
		t.Errorf("units: %v", services)
	}
}

var program = regexp.MustCompile(`(?m)^Exec\w+=(\S+)`)

// install copies the units into a root directory, with empty programs for what they
// start, and returns the names of the services.
func install(t *testing.T, root string) []string {
	t.Helper()
	units, err := filepath.Glob("systemd/*")
	if err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "etc/systemd/system", filepath.Base(unit)), string(text), 0o644)
		for _, m := range program.FindAllStringSubmatch(string(text), -1) {
			write(t, filepath.Join(root, m[1]), "#!/bin/sh\n", 0o755)
		}
		if strings.HasSuffix(unit, ".service") {
			services = append(services, filepath.Base(unit))
		}
	}
	return services
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
