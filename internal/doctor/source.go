package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	commandTime = 20 * time.Second
	maxOutput   = 4 << 20 // bytes of a file instead of a command
)

// output is what a command prints, or a file that holds what it printed. A command may
// have words of its own, as in "chroot /srv/mail doveconf".
func output(ctx context.Context, source string, args ...string) (string, error) {
	words := strings.Fields(source)
	if len(words) == 0 {
		return "", fmt.Errorf("no command is named")
	}
	if info, err := os.Stat(source); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 == 0 {
		return readFile(source)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], args...)...)
	cmd.Dir = "/" // a chroot has no other
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(complaints.String()), "\n")
		return "", fmt.Errorf("%s: %w %s", source, err, said)
	}
	return out.String(), nil
}

func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > maxOutput {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxOutput)
	}
	b, err := os.ReadFile(path)
	return string(b), err
}

// inRoot is a path that Dovecot names, as we see it.
func (e *examination) inRoot(path string) string {
	if e.Root == "" {
		return path
	}
	return filepath.Join(e.Root, path)
}
