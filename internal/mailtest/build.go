package mailtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Build makes one of Postern's programs from the source and returns its path,
// below build/ of the clone. Within a process it does so once.
//
// The daemons have the race detector when the test has. checkpassword never: a
// race build reserves more address space than Dovecot allows its children.
func Build(ctx context.Context, name string) (string, error) {
	shared.builds.Lock()
	defer shared.builds.Unlock()
	if path, ok := shared.built[name]; ok {
		return path, nil
	}
	path, err := build(ctx, name)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	if shared.built == nil {
		shared.built = map[string]string{}
	}
	shared.built[name] = path
	return path, nil
}

// build runs the go command, which does nothing when the program is up to date.
func build(ctx context.Context, name string) (string, error) {
	src, err := sourceRoot()
	if err != nil {
		return "", err
	}
	dir, race := filepath.Join(src, "build", "test"), raceEnabled && name != "checkpassword"
	if race {
		dir += "-race"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, name)
	// The Makefile knows how each program is linked; a race build is for tests only.
	args, cgo := []string{"make", "-s", "BIN=" + dir, path}, "CGO_ENABLED=0"
	if race {
		args, cgo = []string{"go", "build", "-race", "-o", path, "./" + name}, "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) // #nosec G204
	cmd.Dir = src
	// The go command's directory on the same file system: it then replaces a program
	// which is running by renaming, where copying over it would fail.
	cmd.Env = append(os.Environ(), cgo, "GOTMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return path, nil
}

// lock holds a file lock, against other test binaries that run at the same time,
// until the function that it returns is called.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
