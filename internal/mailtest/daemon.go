package mailtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"time"
)

// daemon is one of Postern's daemons: both are configured, asked and stopped
// alike.
type daemon struct {
	name, binary string
	config       *Config
	dial         func(ctx context.Context) (net.Conn, error)

	proc   *process
	before string // what earlier processes wrote
}

// start runs the program until a path answers 200; on failure nothing runs.
func (d *daemon) start(ctx context.Context, path string) error {
	cmd := exec.Command(d.binary, "-config", d.config.Path)
	proc, err := startProcess(d.name, cmd)
	if err != nil {
		return err
	}
	d.proc = proc
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := proc.await(ctx, func() error { return d.Get(ctx, path) }); err != nil {
		d.Kill()
		return err
	}
	return nil
}

// Get asks for a path like /readyz over the unix socket, or TCP where there is
// none, and returns an error unless it answers 200.
func (d *daemon) Get(ctx context.Context, path string) error {
	client := d.Client()
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.name+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(path + ": " + res.Status)
	}
	return nil
}

// Client sends every request to this daemon, whatever host its URL names.
func (d *daemon) Client() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx) }
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial}}
}

// dialer connects to a unix socket, or without one to a TCP address.
func dialer(socket, listen string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		if socket != "" {
			return d.DialContext(ctx, "unix", socket)
		}
		return d.DialContext(ctx, "tcp", listen)
	}
}

// Log is what the server and those before it wrote to standard error.
func (d *daemon) Log() string { return d.before + d.proc.log.String() }

// Stop ends the server in order: what it has begun is answered.
func (d *daemon) Stop() { d.proc.stop() }

// Kill ends the server by SIGKILL.
func (d *daemon) Kill() { d.proc.kill() }

// Signal sends the server a signal.
func (d *daemon) Signal(sig syscall.Signal) error { return d.proc.signal(sig) }

// Pid is the server's process id.
func (d *daemon) Pid() int { return d.proc.pid() }

// Restart stops the server if it runs and starts it again, with the
// configuration as it is now.
func (d *daemon) Restart(ctx context.Context) error { return d.again(ctx, "/readyz") }

// RestartUnready is Restart which waits for no more than that the server lives:
// for tests in which the directory is down.
func (d *daemon) RestartUnready(ctx context.Context) error { return d.again(ctx, "/livez") }

// again is Restart up to where a path answers.
func (d *daemon) again(ctx context.Context, path string) error {
	d.Stop()
	d.before = d.Log()
	if err := d.start(ctx, path); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return nil
}
