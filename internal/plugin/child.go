package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is the process of a plug-in, as the library wants it (runner.Runner).
type child struct {
	cmd    *exec.Cmd
	stdout io.ReadCloser
	stderr *lastWords
	exited chan struct{}
	once   sync.Once
}

// child makes the command ready. The file is looked at immediately before it is started,
// every time.
func (f *Factor) child(cmd *exec.Cmd) (*child, error) {
	if err := f.verify(); err != nil {
		return nil, err
	}
	cmd.Path, cmd.Dir, cmd.Stdin = f.config.Path, "/", nil
	cmd.Args = append([]string{f.config.Path}, f.config.Args...)
	if f.config.ConfigFile != "" {
		cmd.Args = append(cmd.Args, f.config.ConfigFile)
	}
	cmd.Env = append(cmd.Env, "PATH=/usr/bin:/bin", "LANG=C.UTF-8")
	cmd.Err = nil // of the empty name that the library began with
	// A webhook that was killed cannot end it any more: the kernel does (PR_SET_PDEATHSIG).
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: f.who.credential()}
	c := &child{cmd: cmd, exited: make(chan struct{})}
	var err error
	if c.stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	c.stderr = newLastWords(stderr)
	return c, nil
}

// Start implements runner.Runner. The process must have none of the webhook's
// capabilities, and can never get any: a thread gives them up, starts it, and ends with
// it. It must not end before, as the kernel takes the end of that thread for its parent's.
func (c *child) Start(context.Context) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and stays locked: nothing else may run on this thread
		err := giveUp()
		if err == nil {
			err = c.cmd.Start()
		}
		done <- err
		if err == nil {
			<-c.exited
		}
	}()
	return <-done
}

// giveUp empties the ambient set, which would survive a change of user and exec
// (capabilities(7)), and forbids what setuid files give (prctl(2), PR_SET_NO_NEW_PRIVS).
func giveUp() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// Wait implements runner.Runner.
func (c *child) Wait(context.Context) error {
	defer c.once.Do(func() { close(c.exited) })
	return c.cmd.Wait()
}

// Kill implements runner.Runner: the process and what it started.
func (c *child) Kill(context.Context) error {
	if c.cmd.Process == nil {
		return nil
	}
	err := syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// Stdout implements runner.Runner.
func (c *child) Stdout() io.ReadCloser { return c.stdout }

// Stderr implements runner.Runner.
func (c *child) Stderr() io.ReadCloser { return c.stderr }

// Name implements runner.Runner.
func (c *child) Name() string { return c.cmd.Path }

// ID implements runner.Runner; empty before it was started.
func (c *child) ID() string {
	if c.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(c.cmd.Process.Pid)
}

// Diagnose implements runner.Runner.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner: both are on one host.
func (c *child) PluginToHost(network, addr string) (string, string, error) { return network, addr, nil }

// HostToPlugin implements runner.Runner.
func (c *child) HostToPlugin(network, addr string) (string, string, error) { return network, addr, nil }

// identity is whom a plug-in runs as; nil: as the webhook itself.
type identity struct{ uid, gid uint32 }

func identityOf(name string) (*identity, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // see above
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if uid == 0 {
		return nil, fmt.Errorf("user %q is root: a plug-in needs a user that may nothing", name)
	}
	return &identity{uint32(uid), uint32(gid)}, nil
}

func (i *identity) credential() *syscall.Credential {
	if i == nil || int(i.uid) == os.Geteuid() {
		return nil
	}
	return &syscall.Credential{Uid: i.uid, Gid: i.gid}
}

// group is the plug-in's own, by which both reach its socket; empty: the same user does.
func (i *identity) group() string {
	if i.credential() == nil {
		return ""
	}
	return strconv.Itoa(int(i.gid))
}

// ownedSafely refuses a program that others than its owner can write, or that stands
// where anybody can put another one: it could be swapped after it was looked at.
func ownedSafely(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("%s can be written by others than its owner", path)
	case !ok || !slices.Contains([]int{0, os.Geteuid()}, int(owner.Uid)):
		return fmt.Errorf("%s must belong to root", path)
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%s: anybody can put another file into %s", path, dir)
		}
		if dir == "/" {
			return nil
		}
	}
}
