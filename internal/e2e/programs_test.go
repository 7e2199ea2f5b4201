package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"postern/internal/mailtest"
)

// programs is a directory with Postern's programs. checkpassword is built as the
// Makefile builds it, with its own entry point, because that is what is shipped.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs("../../build/test-e2e")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"policyserver", "posternctl"} {
		path, err := mailtest.Build(context.Background(), name)
		if err != nil {
			return "", err
		}
		link := filepath.Join(dir, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink(path, link); err != nil {
			return "", err
		}
	}
	return dir, buildCheckpassword(dir)
})

func buildCheckpassword(dir string) error {
	flags := ""
	if runtime.GOARCH == "amd64" {
		flags = "-E main.early"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", filepath.Join(dir, "checkpassword"), "postern/checkpassword")
	// The temporary directory on the same file system: a running program is then
	// replaced by renaming.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("checkpassword: %w: %s", err, out)
	}
	return nil
}
