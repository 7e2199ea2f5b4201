package main

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/app"
	"postern/internal/effect"
)

// Without audit.file the event must not end on a terminal where nobody keeps it.
func TestA12_AuditToTheSystemLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var complaints bytes.Buffer
	c := &ctl{err: &complaints}
	defer c.close()
	r, err := c.recorder(&app.Config{}, path)
	if err != nil {
		t.Fatal(err)
	}
	r.Record(effect.Event{Action: effect.Reset, Outcome: "done", User: "alice@example.test", Actor: "somebody"})
	if err := l.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := l.Read(b)
	if line := string(b[:n]); err != nil || !strings.Contains(line, `"action":"reset"`) || !strings.Contains(line, "posternctl[") {
		t.Errorf("%q, %v", line, err)
	}
	if complaints.Len() > 0 {
		t.Errorf("complaints: %s", &complaints)
	}
}

// Where there is no system log, standard error is better than nothing.
func TestAuditWithoutSystemLog(t *testing.T) {
	c := &ctl{}
	defer c.close()
	r, err := c.recorder(&app.Config{}, filepath.Join(t.TempDir(), "none"))
	if _, ok := r.(*effect.Audit); !ok || err != nil {
		t.Errorf("%T, %v", r, err)
	}
}
