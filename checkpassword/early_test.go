package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// limited runs a child within a limit of its address space, as Dovecot does by
// default_vsz_limit.
func limited(t *testing.T, megabytes int, args ...string) *exec.Cmd {
	t.Helper()
	script := fmt.Sprintf(`ulimit -v %d; exec "$@"`, megabytes*1024)
	return exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
}

// TestEarlyStart: the built program starts without the runtime, which could not
// live in Dovecot's 256 MB; nor in the 16 MB given here.
func TestEarlyStart(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("only amd64 has an early start")
	}
	for range 100 {
		cmd := limited(t, 16, earlyBinary, "-socket", t.TempDir()+"/s")
		in, w := pipe(t)
		_, _ = w.WriteString(login)
		cmd.ExtraFiles = []*os.File{in}
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 111 || !strings.Contains(string(out), "is policyserver running") {
			t.Fatalf("exit %d: %s", cmd.ProcessState.ExitCode(), out)
		}
	}
}

func TestVersionAndUsage(t *testing.T) {
	for _, binary := range []string{earlyBinary, ordinaryBinary} {
		if r := child(t, binary, strings.NewReader(login), nil, "-nonsense"); r.code != 111 || !strings.HasPrefix(r.said, "usage:") {
			t.Errorf("%+v", r)
		}
		out, err := exec.Command(binary, "-version").Output()
		if err != nil || !strings.HasPrefix(string(out), "checkpassword ") {
			t.Errorf("%s, %v", out, err)
		}
	}
}

func TestArguments(t *testing.T) {
	long := "/" + strings.Repeat("x", 107)
	for _, c := range []struct {
		args   string
		mode   mode
		socket string
	}{
		{"", modeDoor, defaultSocket},
		{"/usr/lib/dovecot/checkpassword-reply", modeDoor, defaultSocket},
		{"-socket /s  /reply", modeDoor, "/s"},
		{"-socket  /s /reply", modeDoor, "/s"},
		{"-socket /s -check", modeCheck, "/s"},
		{"-socket", modeUsage, ""},
		{"-socket s", modeUsage, "s"},
		{"-socket " + long, modeUsage, long},
		{"-socket " + long[:107], modeDoor, long[:107]},
		{"-x", modeUsage, defaultSocket},
		{"a b", modeUsage, defaultSocket},
	} {
		var got command
		for _, a := range strings.Split(c.args, " ") {
			got.arg(a)
		}
		if m := got.finish(); m != c.mode || got.socket != c.socket {
			t.Errorf("%q: mode %d, socket %q", c.args, m, got.socket)
		}
	}
}

// livez answers /livez with 200 and everything else with status.
func livez(status string) func(*http.Request, net.Conn) {
	return func(r *http.Request, c net.Conn) {
		if r.Method == http.MethodGet && r.URL.Path == "/livez" {
			says("200 OK", "ok\n")(c)
			return
		}
		says(status, "whatever\n")(c)
	}
}

func TestCheck(t *testing.T) {
	for status, want := range map[string]string{
		"400 Bad Request": "answers", "401 Unauthorized": "socket_users", "200 OK": "empty question with status 200",
	} {
		d := newServer(t, livez(status))
		out, err := exec.Command(earlyBinary, "-socket", d.socket, "-check").CombinedOutput()
		if (err == nil) != (want == "answers") || !strings.Contains(string(out), want) {
			t.Errorf("%s: %s, %v", status, out, err)
		}
	}
	out, err := exec.Command(earlyBinary, "-socket", t.TempDir()+"/s", "-check").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "does not exist") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestCheckNamesThePermission(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil || os.Getuid() != 0 {
		t.Fatal("needs root and a user nobody: ", err)
	}
	d := newDaemon(t, says("200 OK", "ok\n"))
	dir := filepath.Dir(d.socket)
	for _, p := range []string{filepath.Dir(dir), filepath.Dir(earlyBinary), dir} {
		if err := os.Chmod(p, 0o755); err != nil { // #nosec G302 -- for nobody
			t.Fatal(err)
		}
	}
	if err := os.Chmod(d.socket, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := as(nobody, earlyBinary, "-socket", d.socket, "-check").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permission denied for uid "+nobody.Uid) ||
		!strings.Contains(string(out), d.socket+" (") {
		t.Errorf("socket: %s, %v", out, err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // #nosec G302 -- as before
		t.Fatal(err)
	}
	out, err = as(nobody, earlyBinary, "-socket", d.socket, "-check").CombinedOutput()
	if err == nil || !strings.Contains(string(out), " at "+dir+" (") {
		t.Errorf("directory: %s, %v", out, err)
	}
}

func as(u *user.User, args ...string) *exec.Cmd {
	uid, _ := strconv.Atoi(u.Uid)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = credential(uid)
	return cmd
}
