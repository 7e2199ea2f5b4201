package e2e

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// live is a session that a mail program has open.
type live struct {
	w    *world
	name string // for messages
	conn *mailclient.Conn
}

// open logs in and stays; by IMAP it waits in IDLE (RFC 2177).
func (w *world) open(s mailclient.Service, user, password string) *live {
	w.t.Helper()
	l, r := w.knock(s, user, password)
	if l == nil {
		w.t.Fatalf("%s of %s: %s", s, user, r.Text)
	}
	return l
}

// knock is open for who may be refused: there is no session then.
func (w *world) knock(s mailclient.Service, user, password string) (*live, mailclient.Result) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := mailclient.Login(ctx, w.target(s), mailclient.MechPlain, user, password)
	must(w.t, err)
	w.t.Cleanup(func() { _ = r.Conn.Close() })
	if r.Outcome != mailclient.OK {
		return nil, r
	}
	if s == mailclient.IMAP {
		lines, err := r.Conn.Command(ctx, "IDLE")
		must(w.t, err)
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "+") {
			w.t.Fatalf("IDLE: %s", last)
		}
	}
	return &live{w: w, name: string(s) + " session of " + user, conn: r.Conn}, r
}

// ends waits until the server hangs up.
func (l *live) ends() {
	l.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, err := l.conn.ReadLine(ctx); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		l.w.t.Errorf("the %s goes on", l.name)
	}
}

// goesOn leaves IDLE, which the server must confirm.
func (l *live) goesOn() {
	l.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := l.conn.Write([]byte("DONE\r\n"))
	must(l.w.t, err)
	for {
		line, err := l.conn.ReadLine(ctx)
		if err != nil {
			l.w.t.Errorf("the %s has ended: %v", l.name, err)
			return
		}
		if strings.Contains(line, " OK ") && !strings.HasPrefix(line, "*") {
			return
		}
	}
}

// ctl runs posternctl and returns what it says to a person.
func (w *world) ctl(args ...string) string {
	w.t.Helper()
	binary, err := w.Binary(w.t.Context(), "posternctl")
	must(w.t, err)
	cmd := exec.CommandContext(w.t.Context(), binary, append([]string{"-config", w.Path}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("posternctl %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return said.String()
}

// ending is a site of this door that ends live sessions.
func ending(t *testing.T, d door) mailtest.Options {
	t.Helper()
	o := d.options(t)
	o.Postfix, o.Slapd, o.EndSessions = nil, mailtest.SlapdOptions{}, true
	return o
}

// eachEnding runs a test at a shared site of every door that ends live sessions.
func eachEnding(t *testing.T, f func(*testing.T, *world, door)) {
	t.Helper()
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f(t, inhabit(t, mailtest.Shared(t, d.name+" sessions", ending(t, d))), d)
		})
	}
}

// pages is a desk whose changes go to the spool and are left to the policyserver,
// as those of the hosted pages.
func (w *world) pages() *desk.Desk {
	w.t.Helper()
	spool, err := effect.OpenSpool(w.Dir + "/spool")
	must(w.t, err)
	d := *w.desk
	store := openStore(w.t, w.Site)
	d.Recorder = &effect.SpoolRecorder{Spool: spool, Names: store.Names, Failed: func(err error) { w.t.Error(err) }}
	return &d
}
