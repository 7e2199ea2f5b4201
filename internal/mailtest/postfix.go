package mailtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// PostfixOptions say whom Postfix asks and where mail goes.
type PostfixOptions struct {
	// SASL is the inet port of Dovecot's authentication. Without it Postfix uses
	// the unix socket private/auth of its queue directory, which Dovecot opens if
	// its SASLSocket is (*Postfix).SASLSocket.
	SASL int
	// LMTP is the port for mail to example.test and other.test. Without it, mail is
	// thrown away, as all other mail always is.
	LMTP int
	// Extra is added to main.cf.
	Extra string
}

// Postfix is a running Postfix.
type Postfix struct {
	// Dir holds its configuration, queue and log.
	Dir string
	// Port asks for AUTH and offers STARTTLS by CAFile's authority, TLSPort speaks
	// TLS from the first byte. RelayPort takes mail from this machine without AUTH,
	// for Dovecot's submission.
	Port, TLSPort, RelayPort int
	CAFile                   string

	certs certificates
	ports ports
	proc  *process
}

// PreparePostfix makes Postfix's directories and chooses its ports, but starts
// nothing.
func PreparePostfix() (*Postfix, error) {
	dir, err := makeDir("/tmp")
	if err != nil {
		return nil, err
	}
	p := &Postfix{Dir: dir}
	err = errors.Join(p.ports.takeAll(&p.Port, &p.TLSPort, &p.RelayPort), makeQueue(dir))
	if err == nil {
		p.certs, err = makeCertificates(dir)
		p.CAFile = p.certs.CA
	}
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// StartPostfix starts a Postfix.
func StartPostfix(ctx context.Context, o PostfixOptions) (*Postfix, error) {
	p, err := PreparePostfix()
	if err != nil {
		return nil, err
	}
	if err := p.Start(ctx, o); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Start configures and starts a prepared Postfix.
func (p *Postfix) Start(ctx context.Context, o PostfixOptions) error {
	mainCF, err := p.mainCF(o)
	if err != nil {
		return err
	}
	masterCF, err := p.masterCF()
	if err != nil {
		return err
	}
	if err := p.writeConfig(mainCF, masterCF); err != nil {
		return err
	}
	// The master alone, in the foreground: the postfix command would daemonise it.
	cmd := exec.Command("/usr/lib/postfix/sbin/master", "-c", p.Dir, "-d")
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.Dir)
	if p.proc, err = startProcess("postfix", cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := p.proc.await(ctx, func() error { return greets(p.Port, "220 ") }); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Log())
	}
	return nil
}

// writeConfig writes both files, as if a minute ago: Postfix waits for two
// seconds over a main.cf that somebody may still be writing.
func (p *Postfix) writeConfig(mainCF, masterCF string) error {
	if err := writeFiles(p.Dir, map[string]string{"main.cf": mainCF, "master.cf": masterCF}); err != nil {
		return err
	}
	past := time.Now().Add(-time.Minute)
	return os.Chtimes(filepath.Join(p.Dir, "main.cf"), past, past)
}

// SASLSocket is where Postfix looks for Dovecot's authentication.
func (p *Postfix) SASLSocket() string { return filepath.Join(p.Dir, "q", "private", "auth") }

// Log is what Postfix has logged so far.
func (p *Postfix) Log() string {
	b, _ := os.ReadFile(filepath.Join(p.Dir, "maillog"))
	return string(b)
}

// Stop ends the server at once and removes its files.
func (p *Postfix) Stop() {
	p.proc.kill()
	p.ports.release()
	_ = os.RemoveAll(p.Dir)
}

// mainCF is contrib's part of main.cf between what a small site has and what a
// test needs to be different.
func (p *Postfix) mainCF(o PostfixOptions) (string, error) {
	snippet, err := contrib("postfix/main.cf.snippet")
	if err != nil {
		return "", err
	}
	text := strings.NewReplacer("@DIR@", p.Dir, "@CERT@", p.certs.Cert, "@KEY@", p.certs.Key).
		Replace(siteMainCF + snippet + testMainCF)
	if o.SASL != 0 {
		text += "smtpd_sasl_path = inet:" + loopback(o.SASL) + "\n"
	}
	if o.LMTP != 0 {
		text += "virtual_transport = lmtp:inet:" + loopback(o.LMTP) + "\n"
	}
	return lastOfEach(text + o.Extra + "\n"), nil
}

// lastOfEach keeps the last value of each parameter, as Postfix would. But Postfix
// warns of the others, postlogd too while it starts, and then waits for itself to
// read the warning if ten other processes were faster.
func lastOfEach(mainCF string) string {
	values := map[string]string{}
	var order []string
	for line := range strings.Lines(mainCF) {
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if _, again := values[key]; !again {
			order = append(order, key)
		}
		values[key] = value
	}
	var b strings.Builder
	for _, key := range order {
		b.WriteString(key + " =" + strings.TrimRight(values[key], "\n") + "\n")
	}
	return b.String()
}

// masterCF is contrib's part of master.cf on our ports, and what else Postfix
// needs to take and deliver mail. AUTH goes without TLS too, so that tests of
// every service can be written alike.
func (p *Postfix) masterCF() (string, error) {
	snippet, err := contrib("postfix/master.cf.snippet",
		"\nsubmission inet", "\n"+loopback(p.Port)+" inet",
		"\nsubmissions inet", "\n"+loopback(p.TLSPort)+" inet",
		"smtpd_tls_security_level=encrypt", "smtpd_tls_security_level=may")
	return loopback(p.RelayPort) + " inet n - n - - smtpd\n" + snippet + servicesMasterCF, err
}

const siteMainCF = `compatibility_level = 3.6
queue_directory = @DIR@/q
data_directory = @DIR@/data
myhostname = mail.example.test
mydestination =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = example.test, other.test
virtual_transport = discard:
smtpd_tls_cert_file = @CERT@
smtpd_tls_key_file = @KEY@
`

// testMainCF keeps everything on this machine and in this directory.
const testMainCF = `
maillog_file = @DIR@/maillog
maillog_file_prefixes = @DIR@
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = discard:
relay_transport = discard:
alias_maps =
alias_database =
smtpd_tls_auth_only = no
smtpd_client_connection_count_limit = 0
smtpd_delay_reject = yes
smtpd_error_sleep_time = 0
`

const servicesMasterCF = `cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
proxymap  unix - - n - - proxymap
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`

// makeQueue makes Postfix's queue and data directories with the owners and modes
// of its own "postfix check".
func makeQueue(dir string) error {
	postfix, err := user.Lookup("postfix")
	if err != nil {
		return fmt.Errorf("postfix is not installed: %w", err)
	}
	uid, err := strconv.Atoi(postfix.Uid)
	if err != nil {
		return err
	}
	for _, name := range strings.Fields("incoming active deferred bounce defer trace saved corrupt hold flush private public maildrop") {
		if err := makeOwned(filepath.Join(dir, "q", name), uid); err != nil {
			return err
		}
	}
	// Clients which are not Postfix reach public/ through its group only.
	if err := os.Chmod(filepath.Join(dir, "q", "public"), 0o710); err != nil {
		return err
	}
	return errors.Join(makeOwned(filepath.Join(dir, "q", "pid"), 0), makeOwned(filepath.Join(dir, "data"), uid))
}

// makeOwned makes a directory for one user only.
func makeOwned(path string, uid int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o700)
	if uid == 0 {
		mode = 0o755
	}
	return errors.Join(os.Mkdir(path, mode), os.Chown(path, uid, -1))
}
