package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// misuse are inputs that Dovecot never sends.
var misuse = map[string]string{
	"nothing":                 "",
	"no NUL":                  "alice",
	"one NUL":                 "alice\x00",
	"short":                   "alice\x00secret\x00",
	"no user":                 "\x00secret\x00\x00",
	"a timestamp":             "alice\x00secret\x00now\x00",
	"NUL inside the password": "alice\x00sec\x00ret\x00\x00",
	"two requests":            login + login,
	"more after the request":  login + "\n",
	"513 bytes":               "alice\x00" + strings.Repeat("x", 513-8) + "\x00\x00",
	"oversize":                "alice\x00" + strings.Repeat("x", 5000) + "\x00\x00",
	"oversize, no NUL":        strings.Repeat("x", 100_000),
}

func TestAttack14_Misuse(t *testing.T) {
	d := newDaemon(t, says("200 OK", "granted\n"))
	for name, input := range misuse {
		t.Run(name, func(t *testing.T) {
			everyStart(t, d.socket, input, loginEnv, expect(exitUnavailable, ""))
			lookup := append([]string{"AUTHORIZED=1"}, loginEnv...)
			everyStart(t, d.socket, input, lookup, expect(exitUnavailable, ""))
		})
	}
	if len(d.forms) != 0 {
		t.Errorf("the daemon was asked %v", d.forms)
	}
}

// TestAttack14_SlowWriter: one byte at a time is accepted, and the third NUL ends
// the request although the pipe stays open, as siblings keep it open in Dovecot.
func TestAttack14_SlowWriter(t *testing.T) {
	d := newDaemon(t, says("200 OK", "granted\n"))
	open := make(chan struct{})
	t.Cleanup(func() { close(open) })
	start := time.Now()
	expect(exitGranted, "\t")(t, child(t, earlyBinary, &slowly{login, time.Millisecond, open}, loginEnv, "-socket", d.socket))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestAttack14_StalledWriter: one deadline bounds a writer that stops.
func TestAttack14_StalledWriter(t *testing.T) {
	d := newDaemon(t, says("200 OK", "granted\n"))
	open := make(chan struct{})
	t.Cleanup(func() { close(open) })
	expect(exitUnavailable, "")(t, inside(t, d.socket, &slowly{"alice\x00secret", 0, open}, loginEnv))
}

// TestAttack14_AlwaysDrained: whatever is wrong, the writer never sees EPIPE,
// which Dovecot would report instead of the exit code.
func TestAttack14_AlwaysDrained(t *testing.T) {
	daemon := newDaemon(t, says("403 Forbidden", "denied\n"))
	cases := [][]string{
		{"-socket", daemon.socket}, {"-socket", daemon.socket + "x"}, {"-nonsense"}, {"a", "b"},
	}
	var wg sync.WaitGroup
	for i := range 64 * 4 {
		wg.Go(func() {
			if err := feed(earlyBinary, cases[i%len(cases)]); err != nil {
				t.Errorf("%v: %v", cases[i%len(cases)], err)
			}
		})
	}
	wg.Wait()
}

// feed starts a child and writes its request as late as Dovecot may.
func feed(binary string, args []string) error {
	in, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	cmd := exec.Command(binary, args...)
	cmd.ExtraFiles = []*os.File{in}
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		return err
	}
	time.Sleep(5 * time.Millisecond)
	_, err = io.WriteString(w, login)
	_ = cmd.Wait()
	return err
}

func FuzzFD3(f *testing.F) {
	for _, s := range misuse {
		f.Add([]byte(s))
	}
	f.Add([]byte(login))
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 60_000 {
			return // more than a pipe holds: the writer would wait for a reader
		}
		in, w := pipe(t)
		_, _ = w.Write(input)
		_ = w.Close()
		d := newDoor(int(in.Fd()), -1, -1)
		user, password, problem := d.readAll()
		if problem == "" {
			again := append([]byte(user), 0)
			again = append(again, password...)
			again = append(again, 0, 0)
			if !bytes.Equal(again, input) || user == "" || len(input) > 512 {
				t.Errorf("%q was read as %q, %q", input, user, password)
			}
		}
		if rest, _ := io.ReadAll(in); len(rest) != 0 {
			t.Errorf("%d bytes are left", len(rest))
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte(httpResponse("200 OK", "granted\tx=y\n")))
	f.Add([]byte(httpResponse("403 Forbidden", "denied\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := parseResponse(b)
		if r.state == complete {
			if _, problem := accept(r); problem == "" && r.status != 200 && bytes.Contains(b, []byte("\r\n\r\ngranted")) {
				t.Errorf("%q grants with status %d", b, r.status)
			}
		}
	})
}
