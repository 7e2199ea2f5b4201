package mailtest

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// passwdFile is a passdb with one user, for tests of the servers themselves.
var passwdFile = map[Version]string{
	V23: "passdb {\n driver = passwd-file\n args = @DIR@/users\n}\n",
	V24: "passdb passwd-file {\n passwd_file_path = @DIR@/users\n}\n",
}

// startPlain starts a Dovecot whose only user is in a file.
func startPlain(t *testing.T, o DovecotOptions) *Dovecot {
	t.Helper()
	o.Passdb = passwdFile[o.Version]
	return startWithUsers(t, o, "eve@example.test:{PLAIN}secret\n")
}

// TestDovecotServices logs in over every service of both versions.
func TestDovecotServices(t *testing.T) {
	for _, v := range []Version{V23, V24} {
		t.Run(string(v), func(t *testing.T) {
			began := time.Now()
			d := startPlain(t, DovecotOptions{Version: v})
			t.Logf("ready after %v", time.Since(began))
			for password, want := range map[string]bool{"secret": true, "wrong": false} {
				for name, try := range byService {
					if got := try(t, d, password); got != want {
						t.Errorf("%s with %q: %v\n%s", name, password, got, d.Log())
					}
				}
			}
			if out, err := d.Doveadm(context.Background(), "auth", "lookup", "eve@example.test"); err != nil {
				t.Errorf("doveadm: %v %s", err, out)
			}
			if err := d.Restart(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// byService tries a password of eve@example.test over each service.
var byService = map[string]func(*testing.T, *Dovecot, string) bool{
	"imap": func(t *testing.T, d *Dovecot, pw string) bool {
		return strings.HasPrefix(ask(t, d.IMAP, "a login eve@example.test "+pw, "a "), "a OK")
	},
	"pop3": func(t *testing.T, d *Dovecot, pw string) bool {
		return strings.HasPrefix(ask(t, d.POP3, "AUTH PLAIN "+plain(pw), "+OK", "-ERR"), "+OK")
	},
	"sieve": func(t *testing.T, d *Dovecot, pw string) bool {
		return strings.HasPrefix(ask(t, d.Sieve, `AUTHENTICATE "PLAIN" "`+plain(pw)+`"`, "OK", "NO"), "OK")
	},
	"submission": func(t *testing.T, d *Dovecot, pw string) bool {
		// Dovecot asks the relay before it answers: unreachable is 4xx, wrong is 535.
		return !strings.HasPrefix(ask(t, d.Submission, "EHLO x\r\nAUTH PLAIN "+plain(pw), "235", "535", "4"), "535")
	},
}

// plain is the SASL PLAIN response of eve@example.test.
func plain(pw string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00eve@example.test\x00" + pw))
}

// ask sends a line after the server's greeting and returns the first answer that
// begins with one of the prefixes.
func ask(t *testing.T, port int, line string, prefixes ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	greeting := readUntil(t, r, "*", "+OK", "OK", "220")
	_, _ = fmt.Fprintf(c, "%s\r\n", line)
	return strings.TrimPrefix(readUntil(t, r, prefixes...), greeting)
}

// readUntil reads up to a line which begins with one of the prefixes.
func readUntil(t *testing.T, r *bufio.Reader, prefixes ...string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Errorf("waiting for %q: %v", prefixes, err)
			return ""
		}
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				return line
			}
		}
	}
}
