package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2869"

	"postern/internal/mailtest"
	"postern/plugin"
)

const secret = "shared-secret-of-the-test"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freeRADIUS is Debian's server on loopback: started once, ended with the tests.
var freeRADIUS struct {
	once sync.Once
	addr string
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if freeRADIUS.stop != nil {
		freeRADIUS.stop()
	}
	os.Exit(code)
}

func server(t *testing.T) string {
	t.Helper()
	mailtest.Long(t)
	freeRADIUS.once.Do(func() { freeRADIUS.addr, freeRADIUS.stop, freeRADIUS.err = startServer() })
	must(t, freeRADIUS.err)
	return freeRADIUS.addr
}

// serverConfig has users with the code 123456; "challenge" is asked for one more code
// after "pin", "unsigned" gets replies without Message-Authenticator.
const serverConfig = `
prefix = /usr
libdir = /usr/lib/freeradius
logdir = %[1]s
run_dir = %[1]s
pidfile = %[1]s/pid
max_requests = 1024
security {
  max_attributes = 200
  status_server = no
  reject_delay = 0
}
client localhost {
  ipaddr = 127.0.0.1
  secret = %[3]s
  require_message_authenticator = yes
}
modules {
  pap {
  }
  always handled {
    rcode = handled
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = %[2]d
  }
  authorize {
    if (&User-Name != "unsigned@example.test") {
      update reply {
        &Message-Authenticator := 0x00
      }
    }
    if (&User-Name == "challenge@example.test" && !&State) {
      if (&User-Password == "pin") {
        update reply {
          &State := 0x7374617465
          &Reply-Message := "Now the code, please"
        }
        update control {
          &Response-Packet-Type := Access-Challenge
        }
        handled
      }
      update control {
        &Auth-Type := Reject
      }
    }
    elsif (&User-Name == "challenge@example.test" && &State != 0x7374617465) {
      update control {
        &Auth-Type := Reject
      }
    }
    else {
      update control {
        &Cleartext-Password := "123456"
      }
      pap
    }
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
  }
  post-auth {
    Post-Auth-Type REJECT {
      update reply {
        &Message-Authenticator := 0x00
      }
    }
  }
}
`

func startServer() (addr string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "pt-radius")
	if err != nil {
		return "", nil, err
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = free.LocalAddr().String()
	port := free.LocalAddr().(*net.UDPAddr).Port
	_ = free.Close()
	files := map[string]string{"radiusd.conf": fmt.Sprintf(serverConfig, dir, port, secret), "dictionary": "$INCLUDE /usr/share/freeradius/dictionary\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", nil, err
		}
	}
	var out strings.Builder
	cmd := exec.Command("freeradius", "-f", "-l", "stdout", "-d", dir, "-n", "radiusd")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stop = func() {
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
		//nolint:errcheck // how it ended does not matter
		<-done
		_ = os.RemoveAll(dir)
	}
	c := &client{servers: []string{addr}, secret: []byte(secret), timeout: 200 * time.Millisecond, name: "test"}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if _, err = c.ask(context.Background(), question{user: "ready", password: "x"}); err == nil {
			return addr, stop, nil
		}
		select {
		case err := <-done:
			_ = os.RemoveAll(dir)
			return "", nil, fmt.Errorf("freeradius ends: %w: %s", err, out.String())
		default:
		}
	}
	stop()
	return "", nil, fmt.Errorf("freeradius does not answer: %w: %s", err, out.String())
}

// configured is the plug-in with a configuration file.
func configured(t *testing.T, text string, servers ...string) *factor {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(secret+"\n"), 0o600))
	file := filepath.Join(dir, "radius.toml")
	text = fmt.Sprintf("servers = [\"%s\"]\nsecret_file = %q\n%s", strings.Join(servers, `", "`), filepath.Join(dir, "secret"), text)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	f, err := open(file)
	must(t, err)
	return f
}

// login answers the question of a login.
func login(t *testing.T, f *factor, user string, answers ...string) (*plugin.Verdict, error) {
	t.Helper()
	r := &plugin.Request{Purpose: plugin.Login, Account: plugin.Account{Name: user}, Records: []plugin.Record{{ID: "r", Body: []byte(user)}}, Language: "de", Now: time.Now()}
	q, err := f.Begin(t.Context(), r)
	must(t, err)
	var v *plugin.Verdict
	for _, answer := range answers {
		r.State, r.Answer = q.State, answer
		if v, err = f.Check(t.Context(), r); err != nil {
			return nil, err
		}
		q = v.Next
	}
	return v, nil
}

// Against Debian's FreeRADIUS: a right code, a wrong one, and a challenge.
func TestA15_RADIUS(t *testing.T) {
	f := configured(t, "", server(t))
	v, err := login(t, f, "alice@example.test", "123456")
	if err != nil || v.Right == nil || v.Right.Record != "r" || len(v.Right.Mark) == 0 {
		t.Errorf("a right code: %+v, %v", v, err)
	}
	if _, err := login(t, f, "alice@example.test", "654321"); !errors.Is(err, plugin.ErrWrong) {
		t.Errorf("a wrong code: %v", err)
	}
	v, err = login(t, f, "challenge@example.test", "pin")
	if err != nil || v.Next == nil || v.Next.Text != "Now the code, please" || v.Next.Field == nil {
		t.Fatalf("a challenge: %+v, %v", v, err)
	}
	if v, err = login(t, f, "challenge@example.test", "pin", "123456"); err != nil || v.Right == nil {
		t.Errorf("its answer: %+v, %v", v, err)
	}
	if _, err = login(t, f, "challenge@example.test", "pin", "000000"); !errors.Is(err, plugin.ErrWrong) {
		t.Errorf("a wrong answer to it: %v", err)
	}
	if _, err = login(t, f, "challenge@example.test", "wrong pin"); !errors.Is(err, plugin.ErrWrong) {
		t.Errorf("a wrong PIN: %v", err)
	}
}

// Whose token it is, is proved when it is added.
func TestA15_RADIUSEnrolment(t *testing.T) {
	addr := server(t)
	for user, account := range map[string]string{"account": "alice@example.test", "local": "alice", "asked": "token7"} {
		f := configured(t, fmt.Sprintf("user = %q\ndigits = 6", user), addr)
		r := &plugin.Request{Purpose: plugin.Enrol, Account: plugin.Account{Name: "alice@example.test"}, Now: time.Now()}
		q, err := f.Begin(t.Context(), r)
		must(t, err)
		if user == "asked" {
			r.State, r.Answer = q.State, "token7"
			v, err := f.Check(t.Context(), r)
			must(t, err)
			q = v.Next
		}
		r.State, r.Answer = q.State, "000000"
		if _, err := f.Check(t.Context(), r); !errors.Is(err, plugin.ErrWrong) {
			t.Errorf("%s: a wrong code: %v", user, err)
		}
		r.Answer = "123456"
		if v, err := f.Check(t.Context(), r); err != nil || string(v.Enrolled) != account || q.Field.Digits != 6 {
			t.Errorf("%s: %+v, %v", user, v, err)
		}
	}
}

// silent is a server that never answers.
func silent(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}

// The next server answers for one that does not; if none does, nothing was wrong.
func TestA15_RADIUSFailover(t *testing.T) {
	addr := server(t)
	f := configured(t, `timeout = "100ms"`, silent(t), addr)
	if v, err := login(t, f, "alice@example.test", "123456"); err != nil || v.Right == nil {
		t.Errorf("%+v, %v", v, err)
	}
	for name, servers := range map[string][]string{"silent": {silent(t), silent(t)}, "nobody there": {"127.0.0.1:9"}} {
		f = configured(t, `timeout = "100ms"`, servers...)
		if _, err := login(t, f, "alice@example.test", "123456"); !errors.Is(err, plugin.ErrUnavailable) || errors.Is(err, plugin.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// CVE-2024-3596: a reply without a right Message-Authenticator is none, whether it
// accepts or rejects.
func TestA15_RADIUSRepliesAreAuthentic(t *testing.T) {
	f := configured(t, `timeout = "200ms"`, server(t))
	if _, err := login(t, f, "unsigned@example.test", "123456"); !errors.Is(err, plugin.ErrUnavailable) {
		t.Errorf("an acceptance without: %v", err)
	}
	for name, forge := range map[string]func(*radius.Packet){
		"without": func(*radius.Packet) {},
		"wrong":   func(p *radius.Packet) { _ = rfc2869.MessageAuthenticator_Set(p, make([]byte, 16)) },
	} {
		for _, code := range []radius.Code{radius.CodeAccessAccept, radius.CodeAccessReject} {
			f := configured(t, `timeout = "200ms"`, forger(t, code, forge))
			if v, err := login(t, f, "alice@example.test", "123456"); !errors.Is(err, plugin.ErrUnavailable) {
				t.Errorf("%s, %v: %+v, %v", name, code, v, err)
			}
		}
	}
}

// forger answers everything with a reply that has a right Response Authenticator, as who
// can make MD5 collide has (BlastRADIUS), and what the test puts into it.
func forger(t *testing.T, code radius.Code, forge func(*radius.Packet)) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		for buffer := make([]byte, 4096); ; {
			n, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			request, err := radius.Parse(buffer[:n], []byte(secret))
			if err != nil {
				return
			}
			reply := request.Response(code)
			forge(reply)
			if raw, err := reply.Encode(); err == nil {
				_, _ = c.WriteTo(raw, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

// Every problem of the file is told, and a secret that anybody can read is one.
func TestA15_RADIUSConfiguration(t *testing.T) {
	dir := t.TempDir()
	file, shared := filepath.Join(dir, "c"), filepath.Join(dir, "s")
	must(t, os.WriteFile(shared, []byte(secret), 0o644))
	must(t, os.WriteFile(file, []byte("servers = [\"x\"]\nsecret_file = \""+shared+"\"\ntimeout = \"1h\"\ndigits = 3\nuser = \"any\"\n"), 0o600))
	_, err := open(file)
	for _, want := range []string{"host:port", "can be read by anybody", "timeout", "digits", "user"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s: %v", want, err)
		}
	}
	must(t, os.WriteFile(file, []byte("colour = \"red\""), 0o600))
	if _, err := open(file); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("%v", err)
	}
}
