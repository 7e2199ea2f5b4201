package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The program as the Makefile builds it, and with an ordinary start.
var earlyBinary, ordinaryBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pt-")
	if err != nil {
		panic(err)
	}
	earlyBinary = build(filepath.Join(dir, "early"), "-E main.early")
	ordinaryBinary = build(filepath.Join(dir, "ordinary"), "")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func build(path, ldflags string) string {
	out, err := exec.Command("go", "build", "-o", path, "-ldflags", ldflags, ".").CombinedOutput()
	if err != nil {
		panic(string(out))
	}
	return path
}

// daemon is a fake policyserver. It keeps the forms that it was sent.
type daemon struct {
	socket string
	mu     sync.Mutex
	forms  []url.Values
}

// newDaemon starts one that answers every question by talk.
func newDaemon(t testing.TB, talk func(net.Conn)) *daemon {
	t.Helper()
	return newServer(t, func(_ *http.Request, c net.Conn) { talk(c) })
}

// newServer starts one that looks at the request.
func newServer(t testing.TB, talk func(*http.Request, net.Conn)) *daemon {
	t.Helper()
	d := &daemon{socket: filepath.Join(t.TempDir(), "s")}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(c, talk)
		}
	}()
	return d
}

func (d *daemon) serve(c net.Conn, talk func(*http.Request, net.Conn)) {
	defer c.Close()
	r, err := http.ReadRequest(newReader(c))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	r.Form = form
	if err == nil && r.Method == http.MethodPost && r.URL.Path == "/verify" && r.ProtoMinor == 0 {
		d.mu.Lock()
		d.forms = append(d.forms, form)
		d.mu.Unlock()
	}
	talk(r, c)
}

// form is the only question that was asked.
func (d *daemon) form(t *testing.T) url.Values {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.forms) != 1 {
		t.Fatalf("%d questions, want 1", len(d.forms))
	}
	return d.forms[0]
}

// says makes a daemon's answer of a status and the line.
func says(status, line string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, httpResponse(status, line)) }
}

func httpResponse(status, line string) string {
	return "HTTP/1.0 " + status + "\r\nContent-Type: text/plain\r\nContent-Length: " +
		string(appendInt(nil, len(line))) + "\r\n\r\n" + line
}

// result is what Dovecot would see of a child.
type result struct {
	code      int
	fd4, said string
}

// child runs a built program as Dovecot does, with input on descriptor 3.
func child(t testing.TB, binary string, input io.Reader, env []string, args ...string) result {
	t.Helper()
	in, feed := pipe(t)
	reply, out := pipe(t)
	cmd := exec.Command(binary, args...)
	cmd.Env = env
	cmd.ExtraFiles = []*os.File{in, out}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	_ = out.Close()
	go func() {
		_, _ = io.Copy(feed, input)
		_ = feed.Close()
	}()
	fd4, _ := io.ReadAll(reply)
	_ = cmd.Wait()
	return result{cmd.ProcessState.ExitCode(), string(fd4), said.String()}
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r, w
}

// inside runs the door in this process, with shorter deadlines.
func inside(t testing.TB, socket string, input io.Reader, env []string) result {
	t.Helper()
	in, feed := pipe(t)
	reply, out := pipe(t)
	log, errs := pipe(t)
	d := newDoor(int(in.Fd()), int(out.Fd()), int(errs.Fd()))
	d.readMillis, d.askMillis = 300, 300
	for _, e := range env {
		d.env(e)
	}
	go func() {
		_, _ = io.Copy(feed, input)
		_ = feed.Close()
	}()
	code := d.run(socket)
	_ = out.Close()
	_ = errs.Close()
	fd4, _ := io.ReadAll(reply)
	said, _ := io.ReadAll(log)
	return result{code, string(fd4), string(said)}
}

// everyStart runs a login in this process and in both built programs.
func everyStart(t *testing.T, socket string, input string, env []string, check func(*testing.T, result)) {
	t.Helper()
	t.Run("inside", func(t *testing.T) { check(t, inside(t, socket, strings.NewReader(input), env)) })
	for name, binary := range map[string]string{"early": earlyBinary, "ordinary": ordinaryBinary} {
		t.Run(name, func(t *testing.T) {
			check(t, child(t, binary, strings.NewReader(input), env, "-socket", socket, "/usr/lib/dovecot/checkpassword-reply"))
		})
	}
}

// slowly gives its text byte by byte and then stays open.
type slowly struct {
	text  string
	pause time.Duration
	open  chan struct{}
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.text == "" {
		<-s.open
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	n := copy(p[:1], s.text)
	s.text = s.text[n:]
	return n, nil
}
