package plugin

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/factor"
)

func (h *host) pid() int {
	h.t.Helper()
	p := h.current()
	if p == nil {
		return 0
	}
	n, err := strconv.Atoi(p.runner.ID())
	must(h.t, err)
	return n
}

// restarted waits for another process than the one of that pid.
func (h *host) restarted(pid int) {
	h.t.Helper()
	eventually(h.t, func() bool { now := h.pid(); return now != 0 && now != pid })
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		h.t.Errorf("the old process is still there: %v", err)
	}
	must(h.t, h.login("after@example.test", "123456"))
}

// ATTACKS 33: a plug-in that crashes in the middle of a question could not check, and is
// started again.
func TestAttack33_PluginCrashes(t *testing.T) {
	h := start(t)
	pid := h.pid()
	if err := h.login("alice@example.test", "000003"); !errors.Is(err, factor.ErrUnavailable) || errors.Is(err, factor.ErrWrong) {
		t.Errorf("%v", err)
	}
	h.restarted(pid)
	pid = h.pid()
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	h.restarted(pid)
	if !strings.Contains(h.log.String(), "its process has ended") {
		t.Errorf("the log does not say it: %s", h.log)
	}
}

// ATTACKS 33: one that hangs is ended: soon if nobody is there at all, after some calls
// if only its answers do not come.
func TestAttack33_PluginHangs(t *testing.T) {
	c := config(t, program)
	c.Timeout = 300 * time.Millisecond
	h := prepare(t, c).run().up()
	pid := h.pid()
	r, _ := h.begin(asks(owner(t, "alice@example.test", "one"), factor.Login))
	eventually(t, func() bool {
		if _, err := h.answer(r, "000004"); !errors.Is(err, factor.ErrUnavailable) || errors.Is(err, factor.ErrWrong) {
			t.Fatalf("%v", err)
		}
		return h.pid() != pid
	})
	h.restarted(pid)
	pid = h.pid()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	if _, err := h.answer(r, "123456"); !errors.Is(err, factor.ErrUnavailable) {
		t.Errorf("stopped: %v", err)
	}
	h.restarted(pid)
	if !strings.Contains(h.log.String(), "it hangs") {
		t.Errorf("the log does not say it: %s", h.log)
	}
}

// ATTACKS 33: a file that was swapped on disk is not started, neither at first nor after
// a crash; the right one is.
func TestAttack33_PluginSwappedOnDisk(t *testing.T) {
	path := copyProgram(t)
	c := config(t, path)
	right, err := os.ReadFile(path)
	must(t, err)
	h := prepare(t, c).run().up()
	put := func(data []byte) {
		t.Helper()
		must(t, os.Remove(path))
		must(t, os.WriteFile(path, data, 0o700))
	}
	put(append(right[:len(right):len(right)], "one byte more"...))
	must(t, syscall.Kill(h.pid(), syscall.SIGKILL))
	eventually(t, func() bool { return strings.Count(h.log.String(), "is not the file whose sha256") >= 3 })
	if _, err := h.Begin(t.Context(), asks(owner(t, "alice@example.test", "one"), factor.Login)); !errors.Is(err, factor.ErrUnavailable) || h.Up() {
		t.Errorf("%v", err)
	}
	put(right)
	h.up()
	must(t, h.login("alice@example.test", "123456"))
}

// ATTACKS 33: what does not become a plug-in is reported, in time.
func TestAttack33_PluginThatDoesNotStart(t *testing.T) {
	for behave, want := range map[string]string{"garbage": "", "silent": "timeout", "dies": "; it says: server.toml:3: unknown key ?[2J"} {
		c := config(t, program, behave)
		c.StartTimeout = 5 * time.Second
		h := prepare(t, c)
		if _, err := h.Try(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", behave, err)
		}
	}
	info, err := prepare(t, config(t, program)).Try(t.Context())
	if err != nil || info.Name != "test?[31m" || info.Version != "1" {
		t.Errorf("%+v, %v", info, err)
	}
	for name, change := range map[string]func(*Config){
		"no checksum":       func(c *Config) { c.SHA256 = "" },
		"a relative path":   func(c *Config) { c.Path = "plugin" },
		"an unknown user":   func(c *Config) { c.User = "nobody-of-that-name" },
		"root":              func(c *Config) { c.User = "root" },
		"half of a chksum ": func(c *Config) { c.SHA256 = c.SHA256[:32] },
	} {
		c := config(t, program)
		change(&c)
		if _, err := New(c, Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// ATTACKS 33: a program that others could swap between the look at it and its start is
// refused.
func TestAttack33_PluginThatOthersCanWrite(t *testing.T) {
	path := copyProgram(t)
	h := prepare(t, config(t, path))
	must(t, os.Chmod(path, 0o722))
	if _, err := h.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Errorf("the file: %v", err)
	}
	must(t, os.Chmod(path, 0o700))
	dir := path[:strings.LastIndex(path, "/")]
	must(t, os.Chmod(dir, 0o777))
	if _, err := h.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "anybody can put another file") {
		t.Errorf("its directory: %v", err)
	}
	must(t, os.Chmod(dir, 0o755))
	if os.Geteuid() == 0 {
		must(t, os.Chown(path, 65534, 65534))
		if _, err := h.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "must belong to root") {
			t.Errorf("of another owner: %v", err)
		}
	}
}

// A plug-in sees nothing of the webhook: not its environment, its user, its groups or
// its capabilities.
func TestA15_PluginSeesNothingOfItsHost(t *testing.T) {
	t.Setenv("POSTERN_SECRET", "hunter2")
	c := config(t, program, "argument")
	c.ConfigFile = "/etc/its-own.toml"
	root := os.Geteuid() == 0
	if root {
		c.User = "nobody"
	}
	h := prepare(t, c).run().up()
	_, p := h.begin(asks(owner(t, "facts@example.test", "one"), factor.Login))
	for _, want := range []string{"groups:[]", "CapEff:0000000000000000", "NoNewPrivs:1", "args:[argument /etc/its-own.toml]"} {
		if root && !strings.Contains(p.Text, want) {
			t.Errorf("no %s in %s", want, p.Text)
		}
	}
	if root && !strings.Contains(p.Text, "uid:65534") {
		t.Errorf("it runs as somebody else: %s", p.Text)
	}
	_, env, _ := strings.Cut(p.Text, "env:")
	for _, name := range strings.Split(strings.Fields(env)[0], ",") {
		if name != "PATH" && name != "LANG" && name != "POSTERN_FACTOR" && !strings.HasPrefix(name, "PLUGIN_") {
			t.Errorf("it has %s in its environment", name)
		}
	}
}

// What a plug-in writes to standard error is in the log, cleaned and not without end.
func TestA15_StandardErrorOfAPlugin(t *testing.T) {
	h := start(t, "noisy")
	eventually(t, func() bool { return strings.Contains(h.log.String(), "line 59 ") })
	must(t, h.login("alice@example.test", "123456"))
	if log := h.log.String(); strings.Contains(log, "\x1b") || strings.Contains(log, "line 60 ") || len(log) > 40_000 {
		t.Errorf("%d bytes", len(log))
	}
}
