package mailtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a server may take to end after SIGTERM before it is
// killed.
const stopTimeout = 5 * time.Second

// errEnded is the exit of a server which said it was a success.
var errEnded = errors.New("exit status 0")

// process is a server which runs in the foreground as our child, in a process
// group of its own.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    *logBuffer
	pipe   *os.File      // the log pipe's writing end, closed once the child has it
	done   chan struct{} // closed when the child has been waited for
	logged chan struct{} // closed when nobody writes to the log any more
	err    error         // its exit, valid after done

	release func() // tells the guard that the group is gone
}

// startProcess starts cmd.
func startProcess(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: &logBuffer{}, done: make(chan struct{}), logged: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := p.pipeLog(); err != nil {
		return nil, err
	}
	err := cmd.Start()
	_ = p.pipe.Close() // the child has its own
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	if p.release, err = guard(p.pid()); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// guard starts a shell which kills a process group should we die without having
// called the function that guard returns: it waits for the end of a pipe whose
// other end we hold. The kernel's own means, the parent death signal, is lost
// when a server changes its user, as Postfix and 389-ds do, and does not reach
// the server's children.
func guard(group int) (func(), error) {
	cmd := exec.Command("/bin/sh", "-c", `read -r line || kill -s KILL -- "-$1"`, "guard", strconv.Itoa(group))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // apart from our terminal's Ctrl-C
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return sync.OnceFunc(func() {
		_, _ = in.Write([]byte("\n"))
		_ = cmd.Wait()
	}), nil
}

// pipeLog copies what the child writes to the log. The pipe is not left to
// os/exec, whose Wait would then wait for the child's children too.
func (p *process) pipeLog() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p.pipe, p.cmd.Stdout, p.cmd.Stderr = w, w, w
	go func() {
		defer close(p.logged)
		_, _ = io.Copy(p.log, r)
		_ = r.Close()
	}()
	return nil
}

// pid is the child's process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// signal sends sig to the child alone.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return syscall.Kill(p.pid(), sig)
	}
}

// pause stops the child by SIGSTOP and waits until every thread of it has seen
// that: the signal alone returns while some may still answer.
func (p *process) pause() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return p.await(ctx, p.paused)
}

// paused reports as an error that a thread still runs, see proc(5).
func (p *process) paused() error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid()))
	if err != nil {
		return err
	}
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err == nil && !bytes.Contains(b, []byte(") T ")) {
			return errors.New("a thread still runs")
		}
	}
	return nil
}

// stop ends the child by SIGTERM, and what is left of its group by SIGKILL.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.signal(syscall.SIGCONT) // a paused process does not see SIGTERM
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
	}
	p.kill()
}

// kill ends the child and its group by SIGKILL.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.done
	if p.release != nil {
		p.release()
	}
	select {
	case <-p.logged:
	case <-time.After(time.Second): // somebody left the group and holds the pipe
	}
}

// await polls ready until it answers nil, the child ends, or ctx does.
func (p *process) await(ctx context.Context, ready func() error) error {
	var last error
	for {
		if last = ready(); last == nil {
			return nil
		}
		select {
		case <-p.done:
			p.kill()
			return fmt.Errorf("%s ended before it was ready: %w: %s", p.name, cmp.Or(p.err, errEnded), p.log.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w): %w: %s", p.name, ctx.Err(), last, p.log.tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// logBuffer keeps what a server writes, for reading while it goes on writing.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is all that was written so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// tail is the end of it, for error messages.
func (b *logBuffer) tail() string {
	const most = 2000
	s := strings.TrimSpace(b.String())
	return s[max(0, len(s)-most):]
}

// run executes a command to its end and returns what it wrote; a failure says
// what the command complained about.
func run(ctx context.Context, name string, args ...string) (string, error) {
	return runWith(ctx, "", name, args...)
}

// runWith is run with a text on standard input.
func runWith(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	// Without Stdout as a pipe of ours, a daemonised grandchild cannot hold us up.
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// cpu is the processor time, user and system, that the server has used so far, in ticks
// of 10 ms (proc(5), /proc/pid/stat).
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may have blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: /proc tells %q", p.name, b)
	}
	user, err := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err, err2)
}
