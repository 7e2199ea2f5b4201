package packaging

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/mailtest"
)

// TestAppArmor: AppArmor understands the profiles (nothing is loaded into the kernel),
// and they keep what they are for.
func TestAppArmor(t *testing.T) {
	mailtest.Long(t)
	profiles, err := filepath.Glob("apparmor.d/*")
	if err != nil || len(profiles) != 3 {
		t.Fatalf("%v, %v", profiles, err)
	}
	for _, p := range profiles {
		out, err := exec.CommandContext(t.Context(), "apparmor_parser", "--skip-kernel-load", "--skip-cache", "--debug", p).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", p, err, out)
		}
		// What the parser understood: one door, no other network than unix sockets.
		if text := string(out); strings.HasSuffix(p, "checkpassword") && (strings.Contains(text, "inet") || !strings.Contains(text, "verify.sock")) {
			t.Errorf("%s: %s", p, text)
		}
	}
}
