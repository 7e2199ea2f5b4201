package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/mailtest"
)

// TestSystemd: the daemon takes the sockets that systemd passes in
// (sd_listen_fds(3)) and says when it is ready (sd_notify(3)). The sockets outlive
// it, so a login that comes during a restart waits and is answered. It says that it
// lives as long as it is watched.
func TestSystemd(t *testing.T) {
	mailtest.Long(t)
	s := mailtest.New(t, mailtest.Options{})
	s.Policyserver.Stop()
	passed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	file, err := passed.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	notify := filepath.Join(s.Dir, "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	binary, err := s.Binary(t.Context(), "policyserver")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		// sh, because LISTEN_PID must be the daemon's own.
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" -config "$1"`, binary, s.Path)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=100000")
		cmd.ExtraFiles = []*os.File{file}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		expect(t, told, "READY=1")
		expect(t, told, "WATCHDOG=1")
		expect(t, told, "WATCHDOG=1")
		eventually(t, func() bool {
			res, err := http.Get("http://" + passed.Addr().String() + "/readyz")
			if err != nil {
				return false
			}
			defer res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("stopped with %v", err)
		}
		buf := make([]byte, 256)
		for { // what is left of the watchdog's
			if n, err := told.Read(buf); err != nil || strings.Contains(string(buf[:n]), "STOPPING=1") {
				break
			}
		}
	}
}

// expect reads the next message to systemd.
func expect(t *testing.T, told *net.UnixConn, want string) {
	t.Helper()
	buf := make([]byte, 256)
	if err := told.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := told.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("told %q, %v, not %s", buf[:n], err, want)
	}
}
