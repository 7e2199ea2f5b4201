package mailtest

import (
	"context"
	"testing"
	"time"
)

// Long skips a test in short mode, which starts no server but slapd and answers in
// ten seconds. The helpers below call it for what they start; tests that start
// servers themselves, or take a second, do.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts more than slapd, or takes long; not in short mode")
	}
}

// needs skips a test in short mode which asks for more than slapd and Postern.
func (o Options) needs(t testing.TB) {
	t.Helper()
	if o.Dovecot != nil || o.Postfix != nil || o.Webmail != nil {
		Long(t)
	}
}

// NewSlapd is StartSlapd for a test, which it fails if slapd does not start.
func NewSlapd(t testing.TB, o SlapdOptions) *Slapd {
	t.Helper()
	s, err := StartSlapd(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// NewDovecot is StartDovecot for a test, which it fails if Dovecot does not
// start.
func NewDovecot(t testing.TB, o DovecotOptions) *Dovecot {
	t.Helper()
	Long(t)
	d, err := StartDovecot(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return d
}

// NewPostfix is StartPostfix for a test, which it fails if Postfix does not
// start.
func NewPostfix(t testing.TB, o PostfixOptions) *Postfix {
	t.Helper()
	Long(t)
	p, err := StartPostfix(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// New is Start for a test, which it fails if something does not start. The
// servers' logs are shown if the test fails.
func New(t testing.TB, o Options) *Site {
	t.Helper()
	o.needs(t)
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Logs())
		}
		s.Stop()
	})
	return s
}

// New389 is Start389 for a test, which it fails if the server does not start.
func New389(t testing.TB) *DS389 {
	t.Helper()
	Long(t)
	d, err := Start389(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return d
}

// NewRoundcube is StartRoundcube for a test, which it fails if Roundcube does not
// start.
func NewRoundcube(t testing.TB, o RoundcubeOptions) *Roundcube {
	t.Helper()
	Long(t)
	r, err := StartRoundcube(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// NewNginx is StartNginx for a test, which it fails if nginx does not start.
func NewNginx(t testing.TB, o NginxOptions) *Nginx {
	t.Helper()
	Long(t)
	n, err := StartNginx(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	return n
}

// patience is how long Eventually waits: much longer than anything takes, also on a
// machine that is busy with something else.
const patience = 60 * time.Second

// Eventually waits until something holds, such as that a server has written a line to
// its log, and fails the test if it never does.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
