package packaging

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"postern/internal/mailclient"
)

// doors are where mail programs log in: IMAP, and submission by Postfix, which asks
// Dovecot.
var doors = []mailclient.Target{
	{Service: mailclient.IMAP, Addr: "127.0.0.1:143"},
	{Service: mailclient.SMTP, Addr: "127.0.0.1:465", TLS: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // Debian's made-up certificate
}

// knock logs in at each door, and wants the same outcome.
func (m *machine) knock(t *testing.T, user, password string, want mailclient.Outcome) {
	t.Helper()
	for _, door := range doors {
		deadline := time.Now().Add(time.Minute)
		got, err := m.login(door, user, password)
		for err != nil && time.Now().Before(deadline) { // servers that are still starting
			got, err = m.login(door, user, password)
		}
		if err != nil || got.Outcome != want {
			log, _ := m.try("tail -n 5 /var/log/mail.log")
			t.Errorf("%s as %s: %s, not %s: %s, %v; %s", door.Service, user, got.Outcome, want, got.Text, err, log)
		}
	}
}

// login connects from inside the machine.
func (m *machine) login(door mailclient.Target, user, password string) (r mailclient.Result, err error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer cancel()
	err = m.inNetwork(func() error {
		r, err = mailclient.Login(ctx, door, mailclient.MechPlain, user, password)
		return err
	})
	if r.Conn != nil {
		_ = r.Conn.Close()
	}
	return r, err
}

// inNetwork calls f on a thread that has the machine's network (setns(2)), and gives the
// thread its own back: it must not end, for machines that it started would end with it.
func (m *machine) inNetwork(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ours, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer ours.Close()
	theirs, err := os.Open(filepath.Join("/proc", m.init, "ns/net"))
	if err != nil {
		return err
	}
	defer theirs.Close()
	if err := unix.Setns(int(theirs.Fd()), unix.CLONE_NEWNET); err != nil { //nolint:gosec // a descriptor is small
		return err
	}
	err = f()
	return errors.Join(err, unix.Setns(int(ours.Fd()), unix.CLONE_NEWNET)) //nolint:gosec // likewise
}
