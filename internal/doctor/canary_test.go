package doctor_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/doctor"
	"postern/internal/mailtest"
	"postern/ldapstore"
)

// silentDoor is what doveconf would print for one IMAP server that says nothing, and who
// has connected to it.
func silentDoor(t *testing.T) (doveconf string, connected <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	came := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			came <- struct{}{}
		}
	}()
	path := filepath.Join(t.TempDir(), "doveconf.txt")
	text := fmt.Sprintf("# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\nprotocols = imap\nservice imap-login {\n  inet_listener imap {\n"+
		"    address = 127.0.0.1\n    port = %d\n  }\n  inet_listener imaps {\n    port = 0\n  }\n}\n", l.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, came
}

// begun starts the command, and returns when it stands before the silent door.
func begun(t *testing.T, s *mailtest.Site, said *bytes.Buffer) *exec.Cmd {
	t.Helper()
	doveconf, connected := silentDoor(t)
	password := filepath.Join(t.TempDir(), "admin.password")
	if err := os.WriteFile(password, []byte(mailtest.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := s.Binary(context.Background(), "posternctl")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-config", s.Path, "doctor", "--doveconf", doveconf, "--postconf", "none",
		"--canary-base", mailtest.People, "--admin-dn", mailtest.RootDN, "--admin-password-file", password)
	cmd.Stdout = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	select {
	case <-connected:
	case <-time.After(time.Minute):
		t.Fatal("it does not come to the door")
	}
	if len(canaries(t, s)) != 1 {
		t.Errorf("canaries while it runs: %q", canaries(t, s))
	}
	return cmd
}

func canaries(t *testing.T, s *mailtest.Site) []string {
	t.Helper()
	c, err := s.Slapd.Root()
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Search(searchAll("(uid=" + ldapstore.PersonPrefix + "*)"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range res.Entries {
		list = append(list, e.DN)
	}
	return list
}

// TestA13_Interrupted: the canary goes with whoever ends doctor, by Ctrl-C, kill, or a
// terminal that is closed.
func TestA13_Interrupted(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		var said bytes.Buffer
		cmd := begun(t, s, &said)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if left := canaries(t, s); len(left) > 0 {
			t.Errorf("after %v: %q is left", sig, left)
		}
		if !strings.Contains(said.String(), "[door]") || strings.Contains(said.String(), "[canary-left]") {
			t.Errorf("after %v it says:\n%s", sig, said.String())
		}
	}
}

// TestA13_Killed: what cannot be removed any more is announced at once, and removed by the
// first run that knows it is nobody's; others' accounts are left alone, whatever their name.
func TestA13_Killed(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	var said bytes.Buffer
	cmd := begun(t, s, &said)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	left := canaries(t, s)
	if len(left) != 1 {
		t.Fatalf("left: %q", left)
	}
	if err := s.Slapd.AddUser(ldapstore.PersonPrefix+"club@example.test", "secret", nil); err != nil {
		t.Fatal(err)
	}
	o := withCanary(t, quickOptions(t, s))
	r, complaints := examine(t, o)
	if !finding(r, "canary-left", doctor.Warning, left[0], "another run goes on, or was killed") || len(canaries(t, s)) != 2 {
		t.Errorf("at once: %s", complaints)
	}
	o.Now = func() time.Time { return time.Now().Add(10 * time.Minute) }
	r, complaints = examine(t, o)
	if !finding(r, "canary-left", doctor.Warning, left[0], "removed now") {
		t.Errorf("later: %s", complaints)
	}
	if now := canaries(t, s); len(now) != 1 || now[0] != mailtest.UserDN(ldapstore.PersonPrefix+"club@example.test") {
		t.Errorf("left: %q", now)
	}
}

// prepared is an account that a site has made for doctor.
func prepared(t *testing.T, s *mailtest.Site, o doctor.Options) doctor.Options {
	t.Helper()
	o = withCanary(t, o)
	o.Canary.User, o.Canary.Base, o.Canary.Admin = "canary@example.test", "", nil
	o.Canary.Password = account.SecretString("main password of the canary")
	if err := s.Slapd.AddUser(o.Canary.User, "main password of the canary", nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestA13_PreparedCanary: an account that a site has made is as before afterwards, and so
// it is when a run before was killed.
func TestA13_PreparedCanary(t *testing.T) {
	s := quick(t, mailtest.SlapdOptions{})
	o := prepared(t, s, quickOptions(t, s))
	d, _ := openDesk(t, s)
	r, complaints := examine(t, o)
	if !has(r, "canary", doctor.OK) || has(r, "canary-left", doctor.Warning) || !finding(r, "acl-owner", doctor.Unchecked, "no other account has records") {
		t.Errorf("first: %s", complaints)
	}
	asBefore(t, d, o.Canary.User)

	// Another account has records by now, which the canary's owner must not see.
	if _, err := d.CreateAppPassword(context.Background(), desk.Root("test"), "bob@example.test", desk.NewAppPassword{Name: "x"}); err != nil {
		t.Fatal(err)
	}
	killed(t, d, o.Canary.User)
	r, complaints = examine(t, o)
	if !finding(r, "canary", doctor.Unchecked, "another run of doctor uses it, or was killed") {
		t.Errorf("two at a time: %s", complaints)
	}
	o.Now = func() time.Time { return time.Now().Add(10 * time.Minute) }
	r, complaints = examine(t, o)
	if !has(r, "canary", doctor.OK) || !finding(r, "canary-left", doctor.Warning, "app password", "a factor", "removed now") || !has(r, "acl-owner", doctor.OK) ||
		has(r, "acl-owner", doctor.Unchecked) {
		t.Errorf("after a run that was killed: %s", complaints)
	}
	asBefore(t, d, o.Canary.User)

	o.Canary.Password = account.SecretString("another")
	if r, complaints = examine(t, o); !finding(r, "canary", doctor.Unchecked, "not the one that doctor was given") {
		t.Errorf("a wrong password: %s", complaints)
	}
	o.Canary.User = "nobody@example.test"
	if r, complaints = examine(t, o); !finding(r, "canary", doctor.Unchecked, "does not find") {
		t.Errorf("no account: %s", complaints)
	}
}

// killed leaves an account as doctor does that gets no chance to clean up.
func killed(t *testing.T, d *desk.Desk, user string) {
	t.Helper()
	ctx := context.Background()
	if _, err := d.CreateAppPassword(ctx, desk.Root("test"), user, desk.NewAppPassword{Name: "posternctl doctor"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddTOTP(ctx, desk.Root("test"), user, desk.NewTOTP{Name: "posternctl doctor"}); err != nil {
		t.Fatal(err)
	}
}

// asBefore: two-factor login is off, and no app password works.
func asBefore(t *testing.T, d *desk.Desk, user string) {
	t.Helper()
	o, err := d.Overview(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	if o.TwoFactor != "off" || len(o.Factors) > 0 {
		t.Errorf("two-factor login is on: %+v", o)
	}
	apps, err := d.ListAppPasswords(context.Background(), user)
	for i := range apps {
		if apps[i].Ended.IsZero() {
			t.Errorf("%+v, %v", apps[i], err)
		}
	}
	if err != nil || len(apps) == 0 {
		t.Errorf("%+v, %v", apps, err)
	}
}
