package mailtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Redis is a running Redis server without persistence.
type Redis struct {
	// Dir holds its files, Port is its loopback port, Password its password.
	Dir      string
	Port     int
	Password string

	ports ports
	proc  *process
}

// StartRedis starts Debian's redis-server.
func StartRedis(ctx context.Context) (*Redis, error) {
	dir, err := makeDir("/tmp")
	if err != nil {
		return nil, err
	}
	r := &Redis{Dir: dir, Password: Password}
	if err = r.ports.takeAll(&r.Port); err == nil {
		err = r.Start(ctx)
	}
	if err != nil {
		r.Stop()
		return nil, fmt.Errorf("redis: %w", err)
	}
	return r, nil
}

// NewRedis is StartRedis for a test, which it fails if Redis does not start.
func NewRedis(t testing.TB) *Redis {
	t.Helper()
	Long(t)
	r, err := StartRedis(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// URL is how clients name it, without the password.
func (r *Redis) URL() string { return "redis://" + loopback(r.Port) + "/0" }

// Start starts it again after Kill, empty, on the same port.
func (r *Redis) Start(ctx context.Context) (err error) {
	cmd := exec.Command("/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(r.Port),
		"--dir", r.Dir, "--save", "", "--appendonly", "no", "--daemonize", "no", "--requirepass", r.Password)
	if r.proc, err = startProcess("redis", cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return r.proc.await(ctx, r.ready)
}

// ready asks for a PONG: the port is open before the server answers.
func (r *Redis) ready() error {
	c, err := net.DialTimeout("tcp", loopback(r.Port), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintf(c, "AUTH %s\r\nPING\r\n", r.Password); err != nil {
		return err
	}
	b := make([]byte, 12)
	n, err := c.Read(b)
	if err == nil && string(b[:min(n, 3)]) != "+OK" {
		err = errors.New(string(b[:n]))
	}
	return err
}

// Kill ends it at once, as a crash does. Start starts it again.
func (r *Redis) Kill() { r.proc.kill() }

// Pause makes it hang until Resume: connections stay open, nothing is answered.
func (r *Redis) Pause() error { return r.proc.pause() }

// Resume ends Pause.
func (r *Redis) Resume() error { return r.proc.signal(syscall.SIGCONT) }

// Stop ends it and removes its files.
func (r *Redis) Stop() {
	r.proc.stop()
	r.ports.release()
	_ = os.RemoveAll(r.Dir)
}
