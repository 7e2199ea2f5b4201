package mailtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RoundcubeVersion is one of Roundcube's that the plug-in supports.
type RoundcubeVersion string

// RC165 is Debian 12's, run from the system. RC1618 is Debian 13's, run in the
// root directory that scripts/debian-root builds, whatever the site's Dovecot is.
const (
	RC165  RoundcubeVersion = "1.6.5"
	RC1618 RoundcubeVersion = "1.6.18"
)

// RoundcubeOptions say which servers a Roundcube is for and what it loads.
type RoundcubeOptions struct {
	// Version is RC165 by default.
	Version RoundcubeVersion
	// IMAP, SMTP and Sieve are loopback ports, all without TLS. SMTP takes the
	// user's own name and password; without Sieve there are no filters.
	IMAP, SMTP, Sieve int
	// Plugins are loaded in this order.
	Plugins []RoundcubePlugin
	// Config is PHP at the end of config.inc.php, such as $config['x'] = 'y';
	Config string
}

// RoundcubePlugin is a plug-in with its configuration.
type RoundcubePlugin struct {
	Name string
	// Dir holds its files, which are copied; a path that is not absolute begins at
	// the clone. Empty: one of Debian's, such as password.
	Dir string
	// Config is the text of its config.inc.php, from <?php on. Empty: its own, if any.
	Config string
}

// Roundcube is a running Roundcube, served by PHP itself. Nginx puts it where a
// browser finds it beside the hosted pages.
type Roundcube struct {
	// Dir holds its tree, as we see it. Root is the root directory in which it runs,
	// or empty.
	Dir, Root string
	// Port is that of PHP's web server.
	Port int

	options RoundcubeOptions
	desKey  string // encrypts the passwords that sessions hold; 24 characters
	ports   ports
	proc    *process
	before  string // what earlier processes wrote
}

// roundcubeWorkers are the requests that PHP answers at the same time: a page of
// Roundcube asks for several things at once.
const roundcubeWorkers = 4

// PrepareRoundcube makes a Roundcube's directory and chooses its port, but starts
// nothing: so that a plug-in can be told of other servers and they of it.
func PrepareRoundcube(ctx context.Context, v RoundcubeVersion) (*Roundcube, error) {
	r := &Roundcube{desKey: rand.Text()[:24]}
	parent := "/tmp"
	var err error
	if v == RC1618 {
		if r.Root, err = trixieRoot(ctx); err != nil {
			return nil, err
		}
		parent = filepath.Join(r.Root, "tmp")
	}
	if r.Dir, err = makeDir(parent); err != nil {
		return nil, err
	}
	if err = r.ports.takeAll(&r.Port); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// StartRoundcube starts a Roundcube.
func StartRoundcube(ctx context.Context, o RoundcubeOptions) (*Roundcube, error) {
	r, err := PrepareRoundcube(ctx, o.Version)
	if err != nil {
		return nil, err
	}
	if err := r.Start(ctx, o); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// Start configures and starts a prepared Roundcube.
func (r *Roundcube) Start(ctx context.Context, o RoundcubeOptions) error {
	r.options = o
	if o.Sieve != 0 {
		r.options.Plugins = append(r.options.Plugins[:len(o.Plugins):len(o.Plugins)], r.managesieve())
	}
	if err := r.writeTree(); err != nil {
		return fmt.Errorf("roundcube: %w", err)
	}
	return r.start(ctx)
}

// start runs PHP's web server until the login page is there; the first request
// also makes the database.
func (r *Roundcube) start(ctx context.Context) (err error) {
	cmd := exec.Command("/usr/bin/php", "-q", "-S", loopback(r.Port), "-t", r.Inside("public"))
	cmd.Dir = "/"
	if r.Root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.Root}
	}
	cmd.Env = append(os.Environ(), "PHP_CLI_SERVER_WORKERS="+strconv.Itoa(roundcubeWorkers))
	if r.proc, err = startProcess("roundcube", cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = r.proc.await(ctx, func() error { return answers("tcp", loopback(r.Port)) })
	if err == nil {
		err = r.ready(ctx)
	}
	if err != nil {
		return fmt.Errorf("roundcube: %w\n%s", err, r.Log())
	}
	return nil
}

// ready reports as an error that there is no login page.
func (r *Roundcube) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback(r.Port)+"/", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// Inside is the path, as Roundcube sees it, of a file in its directory.
func (r *Roundcube) Inside(name string) string {
	return filepath.Join(strings.TrimPrefix(r.Dir, r.Root), name)
}

// Log is what Roundcube and PHP have logged so far, passwords excepted.
func (r *Roundcube) Log() string {
	var b strings.Builder
	b.WriteString(r.before)
	if r.proc != nil {
		b.WriteString(r.proc.log.String())
	}
	files, _ := filepath.Glob(filepath.Join(r.Dir, "logs", "*"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "%s:\n%s", filepath.Base(f), text)
	}
	return b.String()
}

// Restart starts PHP again, with the plug-ins and settings that the options have
// now. Sessions stay: they are in the database.
func (r *Roundcube) Restart(ctx context.Context, change func(*RoundcubeOptions)) error {
	r.proc.kill()
	r.before += r.proc.log.String()
	if change != nil {
		change(&r.options)
	}
	if err := r.writeTree(); err != nil {
		return fmt.Errorf("roundcube: %w", err)
	}
	return r.start(ctx)
}

// Stop ends it at once and removes its files.
func (r *Roundcube) Stop() {
	r.proc.kill()
	r.ports.release()
	if r.Dir != "" {
		_ = os.RemoveAll(r.Dir)
	}
}

// managesieve is the plug-in for filters.
func (r *Roundcube) managesieve() RoundcubePlugin {
	return RoundcubePlugin{Name: "managesieve", Config: fmt.Sprintf(
		"<?php\n$config['managesieve_host'] = '127.0.0.1:%d';\n", r.options.Sieve)}
}
