package main

import (
	"bufio"
	"io"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

const login = "alice@example.test\x00secret phrase\x00\x00"

var loginEnv = []string{
	"PROTO=TCP", "ORIG_UID=110", "SERVICE=imap", "TCPREMOTEIP=192.0.2.7", "TCPLOCALIP=192.0.2.1",
	"AUTH_REAL_RIP=198.51.100.9", "AUTH_MECH=PLAIN", "AUTH_SECURED=TLS", "AUTH_SESSION=s3ss10n",
	"AUTH_ORIG_USER=Alice@Example.test", "AUTH_CLIENT_ID=name=Phone", "NOVALUE",
}

// TestOutcomes is the one table of this door: what the daemon says, and what
// Dovecot is told, for logins and for lookups.
func TestOutcomes(t *testing.T) {
	const fields = "cred_id=app17.x\tuserdb_user_cred=app17"
	for _, c := range []struct {
		name, status, line string
		login, lookup      int
		fd4                string
	}{
		{"granted", "200 OK", "granted\t" + fields + "\n", exitGranted, exitLookupGranted, fields},
		{"granted without fields", "200 OK", "granted\n", exitGranted, exitLookupGranted, "\t"},
		{"granted with another status", "403 Forbidden", "granted\t" + fields + "\n", 111, 111, ""},
		{"granted with 201", "201 Created", "granted\t" + fields + "\n", 111, 111, ""},
		{"denied", "403 Forbidden", "denied\n", exitDenied, 111, ""},
		{"denied with 200", "200 OK", "denied\n", exitDenied, 111, ""},
		{"denied with 500", "500 Internal Server Error", "denied\n", 111, 111, ""},
		{"unknown", "403 Forbidden", "denied\tunknown\n", exitDenied, exitLookupUnknown, ""},
		{"next", "403 Forbidden", "next\n", 111, 111, ""},
		{"unavailable", "503 Service Unavailable", "unavailable\n", 111, 111, ""},
		{"not allowed to ask", "401 Unauthorized", "see socket_users\n", 111, 111, ""},
		{"not a word", "200 OK", "GRANTED\n", 111, 111, ""},
		{"nothing", "200 OK", "", 111, 111, ""},
		{"an error page", "403 Forbidden", "Forbidden\n", 111, 111, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDaemon(t, says(c.status, c.line))
			everyStart(t, d.socket, login, loginEnv, expect(c.login, c.fd4))
			lookup := append([]string{"AUTHORIZED=1"}, loginEnv...)
			everyStart(t, d.socket, "alice@example.test\x00\x00\x00", lookup, expect(c.lookup, c.fd4))
		})
	}
}

func expect(code int, fd4 string) func(*testing.T, result) {
	return func(t *testing.T, r result) {
		t.Helper()
		if r.code != code || r.fd4 != fd4 {
			t.Errorf("got exit %d, descriptor 4 %q, want %d, %q (it said %q)", r.code, r.fd4, code, fd4, r.said)
		}
		if (code == exitUnavailable) != (strings.Count(r.said, "\n") == 1) {
			t.Errorf("exit %d with the log lines %q", code, r.said)
		}
		if strings.Contains(r.said, "secret") || strings.Contains(r.said, "alice") {
			t.Errorf("the log holds what the client sent: %q", r.said)
		}
	}
}

func TestNextNamesTheSetting(t *testing.T) {
	d := newDaemon(t, says("403 Forbidden", "next\n"))
	everyStart(t, d.socket, login, loginEnv, func(t *testing.T, r result) {
		if !strings.Contains(r.said, `login.main_password = "next" needs the Lua door`) {
			t.Errorf("said %q", r.said)
		}
	})
}

func TestQuestion(t *testing.T) {
	want := url.Values{
		"user": {"alice@example.test"}, "password": {"secret phrase"}, "service": {"imap"}, "mech": {"PLAIN"},
		"remote_ip": {"192.0.2.7"}, "real_ip": {"198.51.100.9"}, "local_ip": {"192.0.2.1"},
		"session": {"s3ss10n"}, "agent": {"name=Phone"}, "orig_user": {"Alice@Example.test"},
		"secured": {"TLS"}, "door": {"checkpassword"},
	}
	for name, binary := range map[string]string{"early": earlyBinary, "ordinary": ordinaryBinary} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t, says("200 OK", "granted\n"))
			child(t, binary, strings.NewReader(login), loginEnv, "-socket", d.socket)
			if got := d.form(t); !reflect.DeepEqual(got, want) {
				t.Errorf("asked\n%v, want\n%v", got, want)
			}
		})
	}
}

// TestAttack13_LookupSendsNoPassword: a lookup must not become a way to test
// one, and a master login is named to the daemon, which refuses it.
func TestAttack13_LookupSendsNoPassword(t *testing.T) {
	d := newDaemon(t, says("403 Forbidden", "denied\n"))
	inside(t, d.socket, strings.NewReader(login), []string{"AUTHORIZED=1", "MASTER_USER=admin"})
	form := d.form(t)
	if form.Has("password") || form.Get("lookup") != "1" || form.Get("master") != "admin" {
		t.Errorf("asked %v", form)
	}
}

func TestRawBytesArrive(t *testing.T) {
	secret := "\x80\xff%+& =\x7f\u00e9"
	d := newDaemon(t, says("200 OK", "granted\n"))
	inside(t, d.socket, strings.NewReader("b\x00"+secret+"\x00\x00"), nil)
	if got := d.form(t).Get("password"); got != secret {
		t.Errorf("got %q, want %q", got, secret)
	}
}

// TestLongest: 512 bytes that are all escaped, with a full environment.
func TestLongest(t *testing.T) {
	secret := strings.Repeat("\xff", 512-3-5)
	env := append([]string{"AUTH_CLIENT_ID=" + strings.Repeat("\"", 1500)}, loginEnv[:5]...)
	d := newDaemon(t, says("200 OK", "granted\n"))
	everyStart(t, d.socket, "alice\x00"+secret+"\x00\x00", env, expect(exitGranted, "\t"))
	env = []string{"AUTH_CLIENT_ID=" + strings.Repeat("\"", 9000)}
	everyStart(t, d.socket, "alice\x00"+secret+"\x00\x00", env, expect(exitUnavailable, ""))
}

func TestDoorAllocatesNothing(t *testing.T) {
	daemon := newDaemon(t, says("200 OK", "granted\tcred_id=x\n"))
	in, feed := pipe(t)
	_, out := pipe(t)
	d := newDoor(int(in.Fd()), int(out.Fd()), 2)
	for _, e := range loginEnv {
		d.env(e)
	}
	for _, input := range []string{login, "a\x00b\x00", "a\x00b\x00c\x00"} {
		_, _ = io.WriteString(feed, input)
		d.readMillis = 1
		if n := testing.AllocsPerRun(1, func() { d.readAll() }); n != 0 {
			t.Errorf("reading %q allocates %v times", input, n)
		}
	}
	// What remains of run, without the daemon's own allocations.
	d.question.User = "alice@example.test"
	nobody := daemon.socket + "x"
	response := []byte(httpResponse("200 OK", "granted\tcred_id=x\n"))
	if n := testing.AllocsPerRun(10, func() {
		if len(d.buildRequest()) == 0 {
			t.Error("no request")
		}
		a, _ := accept(parseResponse(response))
		d.reply(a)
		d.kernel.dial(nobody, 1)
	}); n != 0 {
		t.Errorf("a login allocates %v times", n)
	}
}

func TestDaemonFaults(t *testing.T) {
	whole := httpResponse("200 OK", "granted\tcred_id=x\n")
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	say := func(s string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, s) } }
	for name, talk := range map[string]func(net.Conn){
		"closes at once":          say(""),
		"cut off in the head":     say(whole[:20]),
		"cut off in the body":     say(whole[:len(whole)-1]),
		"never answers":           func(net.Conn) { <-hang },
		"stops in the middle":     func(c net.Conn) { say(whole[:len(whole)-3])(c); <-hang },
		"no length":               say("HTTP/1.0 200 OK\r\n\r\ngranted\n"),
		"two lengths":             say("HTTP/1.0 200 OK\r\nContent-Length: 8\r\nContent-Length: 8\r\n\r\ngranted\n"),
		"chunked":                 say("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 8\r\n\r\ngranted\n"),
		"more than its length":    say("HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\ngranted\nx"),
		"negative length":         say("HTTP/1.0 200 OK\r\nContent-Length: -8\r\n\r\ngranted\n"),
		"no HTTP":                 say("granted\r\n\r\n"),
		"HTTP/0.9":                say("granted\n"),
		"endless head":            say(strings.Repeat("X: y\r\n", 5000)),
		"huge body":               say(httpResponse("200 OK", "granted\tx="+strings.Repeat("y", 20000)+"\n")),
		"a NUL in a field":        say(httpResponse("200 OK", "granted\tx=\x00\n")),
		"a line feed in a field":  say(httpResponse("200 OK", "granted\tx=a\nuser=b\n")),
		"an escape in a field":    say(httpResponse("200 OK", "granted\tx=\x01t\n")),
		"no key":                  say(httpResponse("200 OK", "granted\t=x\n")),
		"no equals sign":          say(httpResponse("200 OK", "granted\tnologin\n")),
		"a blank in a key":        say(httpResponse("200 OK", "granted\tuser x=y\n")),
		"an upper-case key":       say(httpResponse("200 OK", "granted\tUSER=y\n")),
		"two tabs":                say(httpResponse("200 OK", "granted\t\tx=y\n")),
		"fields with a denial":    say(httpResponse("200 OK", "denied\tuser=b\n")),
		"granted without its end": say(httpResponse("200 OK", "granted")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, talk)
			expect(exitUnavailable, "")(t, inside(t, d.socket, strings.NewReader(login), loginEnv))
		})
	}
}

func TestNoDaemon(t *testing.T) {
	everyStart(t, t.TempDir()+"/s", login, loginEnv, func(t *testing.T, r result) {
		expect(exitUnavailable, "")(t, r)
		if !strings.Contains(r.said, "is policyserver running") {
			t.Errorf("said %q", r.said)
		}
	})
}
