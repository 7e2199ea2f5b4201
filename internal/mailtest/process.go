package mailtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a server may take to end after SIGTERM before it is
// killed.
const stopTimeout = 5 * time.Second

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
}

// startProcess starts cmd. death is the signal which the kernel sends it when
// our process dies: SIGTERM for servers that have children of their own to end.
func startProcess(name string, cmd *exec.Cmd, death syscall.Signal) (*process, error) {
	p := &process{name: name, cmd: cmd, log: &logBuffer{}, done: make(chan struct{}), logged: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = death
	started := make(chan error, 1)
	if err := p.pipeLog(); err != nil {
		return nil, err
	}
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
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

// run starts the child and waits for it on one operating system thread, because
// Linux sends the death signal when the thread ends that made the child.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	_ = p.pipe.Close() // the child has its own
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
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
			return fmt.Errorf("%s ended before it was ready (%v): %s", p.name, p.err, p.log.tail())
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
