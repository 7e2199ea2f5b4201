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

	"postern/internal/mailtest"
)

// TestSystemd: the daemon takes the sockets that systemd passes in
// (sd_listen_fds(3)) and says when it is ready (sd_notify(3)). The sockets outlive
// it, so a login that comes during a restart waits and is answered.
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
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify)
		cmd.ExtraFiles = []*os.File{file}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 256)
		n, err := told.Read(buf)
		if err != nil || !strings.Contains(string(buf[:n]), "READY=1") {
			t.Errorf("told %q, %v", buf[:n], err)
		}
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
		_, _ = told.Read(buf) // STOPPING=1
	}
}
