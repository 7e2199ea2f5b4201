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

// Policyserver is a running policyserver.
type Policyserver struct {
	config *Config
	binary string
	proc   *process
	before string // what earlier processes wrote
}

// StartPolicyserver starts the program on a configuration and waits until
// /readyz says that logins can be answered.
func StartPolicyserver(ctx context.Context, binary string, c *Config) (*Policyserver, error) {
	p := &Policyserver{config: c, binary: binary}
	if err := p.start(ctx, "/readyz"); err != nil {
		return nil, err
	}
	return p, nil
}

// start runs the program until a path answers 200; on failure nothing runs.
func (p *Policyserver) start(ctx context.Context, path string) error {
	cmd := exec.Command(p.binary, "-config", p.config.Path)
	proc, err := startProcess("policyserver", cmd)
	if err != nil {
		return err
	}
	p.proc = proc
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := proc.await(ctx, func() error { return p.Get(ctx, path) }); err != nil {
		p.Kill()
		return err
	}
	return nil
}

// Get asks for a path like /readyz over the unix socket, or TCP where there is
// none, and returns an error unless it answers 200.
func (p *Policyserver) Get(ctx context.Context, path string) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://policyserver"+path, nil)
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

// dial connects to the server, wherever the request wants to go.
func (p *Policyserver) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	if p.config.Socket != "" {
		return d.DialContext(ctx, "unix", p.config.Socket)
	}
	return d.DialContext(ctx, "tcp", p.config.Listen)
}

// Log is what the server and those before it wrote to standard error.
func (p *Policyserver) Log() string { return p.before + p.proc.log.String() }

// Stop ends the server in order: logins that it has begun are answered.
func (p *Policyserver) Stop() { p.proc.stop() }

// Kill ends the server by SIGKILL.
func (p *Policyserver) Kill() { p.proc.kill() }

// Signal sends the server a signal.
func (p *Policyserver) Signal(sig syscall.Signal) error { return p.proc.signal(sig) }

// Pid is the server's process id.
func (p *Policyserver) Pid() int { return p.proc.pid() }

// Restart stops the server if it runs and starts it again, with the
// configuration as it is now.
func (p *Policyserver) Restart(ctx context.Context) error { return p.again(ctx, "/readyz") }

// RestartUnready is Restart which waits for no more than that the server lives:
// for tests in which the directory is down.
func (p *Policyserver) RestartUnready(ctx context.Context) error { return p.again(ctx, "/livez") }

// again is Restart up to where a path answers.
func (p *Policyserver) again(ctx context.Context, path string) error {
	p.Stop()
	p.before = p.Log()
	if err := p.start(ctx, path); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return nil
}
