package mailtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Radicale is a running server for calendars and address books, which believes what
// stands in X-Remote-User.
type Radicale struct {
	// Dir holds its configuration and collections, Port is its loopback port.
	Dir  string
	Port int

	ports ports
	proc  *process
}

// StartRadicale starts one.
func StartRadicale(ctx context.Context) (*Radicale, error) {
	dir, err := makeDir("/tmp")
	if err != nil {
		return nil, err
	}
	r := &Radicale{Dir: dir}
	if err := r.start(ctx); err != nil {
		r.Stop()
		return nil, fmt.Errorf("radicale: %w", err)
	}
	return r, nil
}

func (r *Radicale) start(ctx context.Context) (err error) {
	if r.Port, err = r.ports.take(); err != nil {
		return err
	}
	config := strings.NewReplacer("@PORT@", loopback(r.Port), "@DIR@", r.Dir).Replace(radicaleConfig)
	if err := writeFiles(r.Dir, map[string]string{"radicale.conf": config}); err != nil {
		return err
	}
	cmd := exec.Command("/usr/bin/radicale", "--config", filepath.Join(r.Dir, "radicale.conf"))
	cmd.Dir = r.Dir
	if r.proc, err = startProcess("radicale", cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := r.proc.await(ctx, func() error { return answers("tcp", loopback(r.Port)) }); err != nil {
		return fmt.Errorf("%w\n%s", err, r.Log())
	}
	return nil
}

// Address is where it listens.
func (r *Radicale) Address() string { return loopback(r.Port) }

// Log is what it has logged so far.
func (r *Radicale) Log() string { return r.proc.log.String() }

// Stop ends it at once and removes its files.
func (r *Radicale) Stop() {
	r.proc.kill()
	r.ports.release()
	_ = os.RemoveAll(r.Dir)
}

const radicaleConfig = `[server]
hosts = @PORT@
[auth]
type = http_x_remote_user
[rights]
type = owner_only
[storage]
filesystem_folder = @DIR@/collections
[web]
type = none
`
