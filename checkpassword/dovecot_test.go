package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/mailtest"
)

// byName answers what the name before the user's @ says.
func byName(r *http.Request, c net.Conn) {
	name, _, _ := strings.Cut(r.Form.Get("user"), "@")
	answers := map[string][2]string{
		"granted":     {"200 OK", "granted\tcred_id=app17.x\tuserdb_home=/tmp/elsewhere\n"},
		"plain":       {"200 OK", "granted\n"},
		"unknown":     {"403 Forbidden", "denied\tunknown\n"},
		"next":        {"403 Forbidden", "next\n"},
		"unavailable": {"503 Service Unavailable", "unavailable\n"},
	}
	if a, ok := answers[name]; ok {
		says(a[0], a[1])(c)
		return
	}
	says("403 Forbidden", "denied\n")(c)
}

// startDovecot starts a real one with Dovecot's own limit of address space, and a
// passdb after ours that would let everybody in with the password "own".
func startDovecot(t *testing.T) *mailtest.Dovecot {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Dovecot")
	}
	t.Parallel()
	d := newServer(t, byName)
	open(t, d.socket, 0o666)
	open(t, earlyBinary, 0o755)
	s := mailtest.NewDovecot(t, mailtest.DovecotOptions{
		Door: "2.3-checkpassword.conf", Verify: mailtest.Verify{Socket: d.socket, Checkpassword: earlyBinary},
		Passdb: "passdb {\n driver = static\n args = password=own\n}\n",
		Extra:  "service auth {\n vsz_limit = 256M\n}\nauth_debug = yes\n",
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	return s
}

// open lets Dovecot's user reach a file of ours below /tmp.
func open(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(path); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // #nosec G302 -- see above
			t.Fatal(err)
		}
	}
}

// imap tries a password and returns the tagged answer.
func imap(d *mailtest.Dovecot, user, password string) (string, error) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.IMAP))
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	_, _ = fmt.Fprintf(c, "a AUTHENTICATE PLAIN %s\r\n", plain)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if tagged, ok := strings.CutPrefix(line, "a "); ok {
			return strings.TrimSpace(tagged), nil
		}
	}
}

// TestDovecot: the exit codes mean what the table says, in Dovecot 2.3 itself.
func TestDovecot(t *testing.T) {
	d := startDovecot(t)
	for name, want := range map[string]string{
		"granted": "OK [", "plain": "OK [", "denied": "NO [AUTHENTICATIONFAILED]", "unknown": "NO [AUTHENTICATIONFAILED]",
		"next": "NO [UNAVAILABLE]", "unavailable": "NO [UNAVAILABLE]",
	} {
		if got, err := imap(d, name+"@example.test", "own"); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
	if strings.Contains(d.Log(), "EPIPE") || strings.Contains(d.Log(), "Broken pipe") {
		t.Error("descriptor 3 was not drained")
	}
}

func TestDovecotLookups(t *testing.T) {
	d := startDovecot(t)
	for name, want := range map[string]string{
		"granted": "cred_id", "plain": "user", "unknown": "doesn't exist", "denied": "lookup failed", "unavailable": "lookup failed",
	} {
		out, err := d.Doveadm(context.Background(), "auth", "lookup", name+"@example.test")
		if !strings.Contains(out, want) || (err == nil) != (name == "granted" || name == "plain") {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// TestAttack14_DovecotCrowd: many children at once, each of which inherits what
// belongs to the others.
func TestAttack14_DovecotCrowd(t *testing.T) {
	d := startDovecot(t)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			name, want := "plain", "OK ["
			if i%2 == 1 {
				name, want = "denied", "NO [AUTHENTICATIONFAILED]"
			}
			if got, err := imap(d, name+"@example.test", "own"); err != nil || !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, %v", name, got, err)
			}
		})
	}
	wg.Wait()
}
