package mailtest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Version is one of Dovecot's that we support.
type Version string

// V23 is Debian 12's, run from the system. V24 is Debian 13's, run in a root
// directory of its own, which scripts/debian-root builds.
const (
	V23 Version = "2.3"
	V24 Version = "2.4"
)

// mailUID owns the mailboxes.
const mailUID = 5000

// DovecotOptions say how Dovecot checks passwords and what else it does.
type DovecotOptions struct {
	// Version is V23 by default.
	Version Version
	// Door is a file of contrib/dovecot like 2.3-lua.conf, loaded with its paths
	// replaced by those of Verify. Without one, Passdb must hold a passdb.
	Door   string
	Verify Verify
	// Policy switches the auth policy on, by contrib's snippet for the version.
	Policy bool
	// MainPassword lets Postern ask this Dovecot for main passwords, by contrib's
	// snippet for the version.
	MainPassword bool
	// Script replaces the door's Lua script, contrib/dovecot/postern.lua.
	Script string
	// Before is configuration text with passdbs which come before the door's.
	Before string
	// Passdb is configuration text with passdbs, which come after the door's.
	Passdb string
	// Files are texts beside the configuration, by name; @DIR@ stands for where.
	Files map[string]string
	// Userdb replaces the userdb, which gives every user who can log in a maildir.
	Userdb string
	// Extra is configuration text at the very end.
	Extra string
	// ShippedDelays keeps Dovecot's delay after a failure and, unless the door
	// switches it off, its penalty for an address.
	ShippedDelays bool
	// Debug makes Dovecot log how it authenticates, passwords excepted.
	Debug bool
	// SASLSocket is the path of a further unix socket for Postfix, outside of any
	// root directory. Dovecot.SASL is there in any case.
	SASLSocket string
	// Relay is the port of the SMTP server that submission passes mail on to. AUTH
	// works without one.
	Relay int
}

// Verify says where a door finds the policyserver. The paths are as Dovecot sees
// them: see (*Dovecot).Inside.
type Verify struct {
	// Socket is the path of the policyserver's unix socket.
	Socket string
	// URL and Key are its address over TCP, ending in /verify, and its API key;
	// Nonce is that of the auth policy.
	URL, Key, Nonce string
	// Checkpassword is the path of the checkpassword program.
	Checkpassword string
}

// DoveadmPassword lets into Dovecot's doveadm HTTP API, as password and API key.
const DoveadmPassword = "doveadm secret"

// Dovecot is a running Dovecot.
type Dovecot struct {
	// Dir holds its configuration, mail and log, as we see it.
	Dir string
	// Root is the root directory in which it runs, or empty.
	Root string
	// Ports of the services on 127.0.0.1. SASL is for Postfix, DoveadmHTTP the
	// administration API. IMAPS speaks TLS by CAFile's authority.
	IMAP, IMAPS, POP3, Sieve, Submission, LMTP, SASL, DoveadmHTTP int
	CAFile                                                        string

	options DovecotOptions
	certs   certificates
	ports   ports
	proc    *process
}

// PrepareDovecot makes a Dovecot's directory and chooses its ports, but starts
// nothing: so that other servers can be told of them first.
func PrepareDovecot(ctx context.Context, v Version) (*Dovecot, error) {
	d := &Dovecot{}
	parent := "/tmp"
	var err error
	if v == V24 {
		if d.Root, err = trixieRoot(ctx); err != nil {
			return nil, err
		}
		parent = filepath.Join(d.Root, "tmp")
	}
	if d.Dir, err = makeDir(parent); err != nil {
		return nil, err
	}
	err = d.ports.takeAll(&d.IMAP, &d.IMAPS, &d.POP3, &d.Sieve, &d.Submission, &d.LMTP, &d.SASL, &d.DoveadmHTTP)
	if err == nil {
		d.certs, err = makeCertificates(d.Dir)
		d.CAFile = d.certs.CA
	}
	if err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

// trixieRoot is the Debian 13 root directory; the first call on a machine builds
// it, which takes a minute.
func trixieRoot(ctx context.Context) (string, error) {
	src, err := sourceRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(src, "scripts", "debian-root"), "trixie")
	var complaints logBuffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("debian-root: %w: %s", err, complaints.tail())
	}
	return strings.TrimSpace(string(out)), nil
}

// StartDovecot starts a Dovecot.
func StartDovecot(ctx context.Context, o DovecotOptions) (*Dovecot, error) {
	d, err := PrepareDovecot(ctx, o.Version)
	if err != nil {
		return nil, err
	}
	if err := d.Start(ctx, o); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

// Start configures and starts a prepared Dovecot.
func (d *Dovecot) Start(ctx context.Context, o DovecotOptions) error {
	d.options = o
	if err := d.Reconfigure(o); err != nil {
		return err
	}
	mail := filepath.Join(d.Dir, "mail")
	if err := os.MkdirAll(mail, 0o700); err != nil {
		return err
	}
	if err := os.Chown(mail, mailUID, mailUID); err != nil {
		return err
	}
	return d.start(ctx)
}

// Reconfigure writes the configuration for other options; Restart or doveadm
// reload put it into effect.
func (d *Dovecot) Reconfigure(o DovecotOptions) error {
	door, err := d.doorFiles(o)
	if err != nil {
		return fmt.Errorf("dovecot: %w", err)
	}
	door["dovecot.conf"] = d.config(o)
	for name, text := range o.Files {
		door[name] = d.fill(text)
	}
	if err := writeFiles(d.Dir, door); err != nil {
		return err
	}
	for name := range door { // as contrib's files with secrets say
		if name == "policy.conf" || name == "doveadm.conf" || name == "dovecot.conf" {
			if err := os.Chmod(filepath.Join(d.Dir, name), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// start runs the master process and waits for the greeting of a login process,
// which comes when Dovecot's authentication server is there too.
func (d *Dovecot) start(ctx context.Context) error {
	cmd := exec.Command("/usr/sbin/dovecot", "-F", "-c", d.Inside("dovecot.conf"))
	cmd.Dir = "/"
	if d.Root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: d.Root}
	}
	p, err := startProcess("dovecot", cmd)
	if err != nil {
		return err
	}
	d.proc = p
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := p.await(ctx, func() error { return greets(d.IMAP, "* OK") }); err != nil {
		return fmt.Errorf("%w\n%s", err, d.Log())
	}
	return nil
}

// greets reports as an error when a server's first line does not begin so.
func greets(port int, want string) error {
	c, err := net.DialTimeout("tcp", loopback(port), time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, want) {
		err = fmt.Errorf("greeting %q", line)
	}
	return err
}

// Inside is the path, as Dovecot sees it, of a file in its directory.
func (d *Dovecot) Inside(name string) string {
	return filepath.Join(strings.TrimPrefix(d.Dir, d.Root), name)
}

// Log is what Dovecot has logged so far.
func (d *Dovecot) Log() string {
	b, _ := os.ReadFile(filepath.Join(d.Dir, "dovecot.log"))
	return string(b)
}

// Doveadm runs a doveadm command and returns what it printed.
func (d *Dovecot) Doveadm(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"-c", d.Inside("dovecot.conf")}, args...)
	cmd := exec.CommandContext(ctx, "/usr/bin/doveadm", args...)
	cmd.Dir = "/"
	if d.Root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: d.Root}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("doveadm: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}

// Shutdown stops the server in order, which takes a second, and keeps its files
// for Restart.
func (d *Dovecot) Shutdown() { d.proc.stop() }

// Restart stops the server if it runs, and starts it on the same ports.
func (d *Dovecot) Restart(ctx context.Context) error {
	d.Shutdown()
	return d.start(ctx)
}

// Stop ends the server at once and removes its files.
func (d *Dovecot) Stop() {
	d.proc.kill()
	d.ports.release()
	if d.Dir != "" {
		_ = os.RemoveAll(d.Dir)
	}
}

// uid is the number of a user where Dovecot runs in a root directory.
func (d *Dovecot) uid(name string) (int, error) {
	b, err := os.ReadFile(filepath.Join(d.Root, "etc", "passwd"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, ":"); f[0] == name && len(f) > 2 {
			return strconv.Atoi(f[2])
		}
	}
	return 0, fmt.Errorf("mailtest: no user %s in %s", name, d.Root)
}
