package packaging

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a Debian system of its own: a root directory laid over a cached one, and
// namespaces in which it has its own processes, network and mounts. What is started in
// it ends with it.
type machine struct {
	t    *testing.T
	dir  string // the root directory, as we see it
	init string // process id of its first process, as we see it
	release
}

// release is what differs between the Debian releases that scripts/debian-root knows.
type release struct {
	dovecot, door string // version, and the door of the guide's test
	userdb        string // mailboxes for everybody
}

var releases = map[string]release{
	"bookworm": {"2.3", "2.3-checkpassword.conf", "userdb {\n  driver = static\n  args = uid=vmail gid=vmail home=/var/vmail/%u\n}\n"},
	"trixie":   {"2.4", "2.4-lua.conf", "userdb static {\n  fields {\n    uid = vmail\n    gid = vmail\n    home = /var/vmail/%{user}\n  }\n}\n"},
}

// begin is run in new namespaces: it lays a scratch directory over the cached root and
// becomes the first process, which has nothing to do but to reap.
const begin = `
set -eu
base=$1 over=$2
mount -t tmpfs -o mode=755 tmpfs "$over"
mkdir "$over/upper" "$over/work" "$over/root"
root=$over/root
mount -t overlay -o "lowerdir=$base,upperdir=$over/upper,workdir=$over/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
ip link set lo up
hostname mail.example.test
echo '127.0.0.1 localhost mail.example.test' >"$root/etc/hosts"
echo ready
exec chroot "$root" /bin/sh -c 'while :; do sleep 3600 & wait $!; done'
`

// newMachine starts one of the Debian releases.
func newMachine(t *testing.T, suite string) *machine {
	t.Helper()
	base, err := exec.CommandContext(t.Context(), "../scripts/debian-root", suite).Output()
	if err != nil {
		t.Fatalf("debian-root %s: %v", suite, err)
	}
	over, err := os.MkdirTemp("", "pt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(over) })
	cmd := exec.Command("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", //nolint:gosec // our own arguments
		"sh", "-c", begin, "begin", strings.TrimSpace(string(base)), over)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ready := make([]byte, 16)
	if n, _ := out.Read(ready); string(ready[:n]) != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("%s does not start: %s", suite, &complaints)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	init := strings.TrimSpace(string(children))
	return &machine{t: t, init: init, dir: filepath.Join("/proc", init, "root"), release: releases[suite]}
}

// try runs a script in the machine and returns what it says.
func (m *machine) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "--target", m.init, "--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd", //nolint:gosec // our own scripts
		"/bin/bash", "-euo", "pipefail", "-c", script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	// Daemons that it starts keep our pipe open; the script's own end is what counts.
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run is try for a script that must succeed.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, err := m.try(script)
	if err != nil && !strings.Contains(err.Error(), "WaitDelay") {
		m.t.Fatalf("%s\n%v: %s", script, err, out)
	}
	return out
}

// until runs a script until it succeeds.
func (m *machine) until(script string) string {
	m.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := m.try(script)
		if err == nil {
			return out
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s\n%v: %s", script, err, out)
		}
	}
}

// give copies a file into the machine's /root.
func (m *machine) give(path string) string {
	m.t.Helper()
	b, err := os.ReadFile(path) //nolint:gosec // the test's own
	if err != nil {
		m.t.Fatal(err)
	}
	inside := filepath.Join("/root", filepath.Base(path))
	if err := os.WriteFile(filepath.Join(m.dir, inside), b, 0o600); err != nil {
		m.t.Fatal(err)
	}
	return inside
}
