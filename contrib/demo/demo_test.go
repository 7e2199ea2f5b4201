package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/internal/browsertest"
	"postern/internal/mailtest"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// patience is for a machine that is busy; nothing here is slow.
const patience = 3 * time.Minute

// checkout is a directory in which make demo could have been called: Postern's
// programs in bin/, the demo's own in build/demo.
type checkout struct {
	t   *testing.T
	dir string
}

func newCheckout(t *testing.T) *checkout {
	t.Helper()
	mailtest.Long(t)
	if os.Geteuid() != 0 {
		t.Fatal("the servers must be started as root")
	}
	src, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// Inside the clone, where the files below contrib/ are found.
	dir, err := os.MkdirTemp(filepath.Join(src, "build"), "demo-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &checkout{t, dir}
	for _, name := range []string{"checkpassword", "policyserver", "webhook", "posternctl"} {
		path, err := mailtest.Build(t.Context(), name)
		c.must(err)
		c.must(os.MkdirAll(filepath.Join(dir, binDir), 0o755))
		c.must(os.Symlink(path, filepath.Join(dir, binDir, name)))
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, stateDir, "demo"), ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return c
}

func (c *checkout) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *checkout) demo(ctx context.Context, arg string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.dir, stateDir, "demo"), arg)
	cmd.Dir = c.dir
	return cmd
}

// run runs a command of the demo to its end.
func (c *checkout) run(arg string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := c.demo(ctx, arg).CombinedOutput()
	return string(out), err
}

// env is what a shell makes of build/demo/env.
func (c *checkout) env() map[string]string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "sh", "-c", "set -a; . build/demo/env; env")
	cmd.Dir, cmd.Env = c.dir, []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	c.must(err)
	env := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), "="); strings.HasPrefix(name, "DEMO_") {
			env[name] = value
		}
	}
	return env
}

// contract are the variables that others may rely on.
var contract = strings.Fields(`DEMO_IMAP DEMO_POP3 DEMO_SIEVE DEMO_SUBMISSION DEMO_SMTP DEMO_LDAP DEMO_LDAP_BASE DEMO_POLICY
	DEMO_POLICY_KEY DEMO_VERIFY DEMO_WEBHOOK DEMO_WEBHOOK_KEY DEMO_WEBMAIL DEMO_CONFIG DEMO_BIN DEMO_DOVECOT_CONF DEMO_PASSWORD`)

// TestUpAndDown: the demo starts once, says where everything is, does in a browser
// what it tells people to try, and is gone without a trace when it is stopped.
func TestUpAndDown(t *testing.T) {
	c := newCheckout(t)
	began := time.Now()
	said, err := c.run("up")
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	t.Cleanup(func() { _, _ = c.run("down") })
	t.Logf("up after %v", time.Since(began))
	env := c.env()
	for _, name := range contract {
		if env[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	if !strings.Contains(said, env["DEMO_WEBMAIL"]+"/") {
		t.Errorf("it does not say where webmail is:\n%s", said)
	}
	if again, err := c.run("up"); err == nil || !strings.Contains(again, "runs already") || !strings.Contains(again, "make demo-down") {
		t.Errorf("a second one: %v: %s", err, again)
	}
	c.tryWebmail(env)
	c.tryAdmin(env)
	left := c.family()
	if out, err := c.run("down"); err != nil || !strings.Contains(out, "stopped") {
		t.Errorf("down: %v: %s", err, out)
	}
	left.ended(t)
	c.must(os.WriteFile(filepath.Join(c.dir, envFile()), []byte("DEMO_IMAP=of one that was killed\n"), 0o644))
	if out, err := c.run("down"); err != nil || !strings.Contains(out, "No demo is running") {
		t.Errorf("down again: %v: %s", err, out)
	}
	if files := c.files(); files != "demo log" {
		t.Errorf("left in %s: %s", stateDir, files)
	}
}

// tryWebmail does what the demo tells people to try: bob sets up two-factor login
// by the pages alone, carol gets her codes from posternctl.
func (c *checkout) tryWebmail(env map[string]string) {
	c.t.Helper()
	w := browsertest.New(c.t).Webmail(env["DEMO_WEBMAIL"] + "/")
	w.SignIn("bob@example.test", env["DEMO_PASSWORD"])
	w.WaitInbox()
	w.Task("_task=settings")
	w.Follow("#settings-menu li.postern a")
	w.Follow("section.state a.primary")
	w.Fill("#password", env["DEMO_PASSWORD"])
	w.Follow("form .button.primary")
	w.Follow("button.choice[value=totp]")
	w.Click("summary")
	code, err := totp.GenerateCode(strings.ReplaceAll(w.Text("#key"), " ", ""), time.Now())
	c.must(err)
	w.Fill("#code", code)
	w.Fill("#name", "phone")
	w.Follow("form .button.primary")
	w.Click("#saved")
	w.Follow("form .button.primary")
	w.WaitText("h2", "Two-step login is on")

	w.Logout()
	c.posternctl(env, "totp", "add", "carol@example.test")
	w.SignIn("carol@example.test", env["DEMO_PASSWORD"])
	w.Fill("#code", strings.TrimSpace(c.posternctl(env, "totp", "code", "carol@example.test")))
	w.Follow("form .button.primary")
	w.WaitInbox()
	w.NoProblems()
}

// tryAdmin does what the demo tells administrators to try: sign in, and find carol.
func (c *checkout) tryAdmin(env map[string]string) {
	c.t.Helper()
	c.posternctl(env, "totp", "add", siteAdmin)
	tab := browsertest.New(c.t)
	tab.Go(env["DEMO_WEBMAIL"] + "/2fa/admin/")
	tab.Fill("#username", siteAdmin)
	tab.Fill("#password", env["DEMO_PASSWORD"])
	tab.Follow("form .button.primary")
	tab.Fill("#code", strings.TrimSpace(c.posternctl(env, "totp", "code", siteAdmin)))
	tab.Follow("form .button.primary")
	tab.WaitText("main", "carol@example.test")
}

// posternctl is the command that the demo tells people to define.
func (c *checkout) posternctl(env map[string]string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(env["DEMO_BIN"], "posternctl"), append([]string{"-config", env["DEMO_CONFIG"]}, args...)...)
	out, err := cmd.Output()
	c.must(err)
	return string(out)
}

// files are those in the state directory.
func (c *checkout) files() string {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.dir, stateDir))
	c.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestWalkAndInterrupt: the story is told to its end, and Ctrl-C leaves nothing.
func TestWalkAndInterrupt(t *testing.T) {
	c := newCheckout(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := c.demo(ctx, "walk")
	out, err := os.Create(filepath.Join(c.dir, "out"))
	c.must(err)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	c.must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	said := ""
	for !strings.Contains(said, "until you press Ctrl-C") {
		b, err := os.ReadFile(out.Name())
		c.must(err)
		said = string(b)
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	told := regexp.MustCompile(`(?m)^── \d+\. `).FindAllString(said, -1)
	if len(told) != 15 || !strings.Contains(said, `"result":"second_factor"`) || strings.Count(said, "app password at http://localhost:") != 10 {
		t.Errorf("%d steps:\n%s", len(told), said)
	}
	left := c.family()
	c.must(cmd.Process.Signal(os.Interrupt))
	if err := <-ended; err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	left.ended(t)
	if files := c.files(); files != "demo" {
		t.Errorf("left in %s: %s", stateDir, files)
	}
}

// family are the processes of a demo, by pid, with their command lines, and its
// directories, by path.
type family struct {
	processes map[int]string
	dirs      []string
}

// family finds the running demo's process and all below it.
func (c *checkout) family() family {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, pidFile()))
	c.must(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	c.must(err)
	f := family{processes: map[int]string{pid: commandLine(pid)}}
	parents := parents(c.t)
	for grown := true; grown; {
		grown = false
		for child, parent := range parents {
			if _, known := f.processes[child]; !known && f.processes[parent] != "" {
				f.processes[child] = commandLine(child)
				grown = true
			}
		}
	}
	for _, name := range []string{"postern", "dovecot"} {
		dir, err := os.Readlink(filepath.Join(c.dir, stateDir, name))
		c.must(err)
		f.dirs = append(f.dirs, dir)
	}
	if len(f.processes) < 10 {
		c.t.Errorf("a demo of %d processes: %v", len(f.processes), f.processes)
	}
	return f
}

// parents maps each process to its parent (proc(5)).
func parents(t *testing.T) map[int]int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	all := map[int]int{}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		var state string
		var parent int
		if _, err := fmt.Sscan(string(b[bytes.LastIndexByte(b, ')')+1:]), &state, &parent); err == nil {
			all[pid] = parent
		}
	}
	return all
}

// commandLine is that of a process; of one that has ended, empty.
func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.ReplaceAll(string(b), "\x00", " ")
}

// ended fails the test if anything is left. A process of another program has only
// got the number of one.
func (f family) ended(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience / 10)
	for pid, was := range f.processes {
		for was != "" && commandLine(pid) == was {
			if time.Now().After(deadline) {
				t.Errorf("process %d still runs: %s", pid, was)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, dir := range f.dirs {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", dir, err)
		}
	}
}
