package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/mailtest"
	"postern/internal/verify"
)

func TestMain(m *testing.M) { mailtest.Main(m) }

func site(t *testing.T) *mailtest.Site { return mailtest.Shared(t, "site", mailtest.Options{}) }

// question is a login by plain@ with the right password, as a form.
func question(change ...string) string {
	v := url.Values{"user": {"plain@example.test"}, "password": {mailtest.Password}, "service": {"imap"}, "remote_ip": {"192.0.2.7"}}
	for i := 0; i+1 < len(change); i += 2 {
		v.Set(change[i], change[i+1])
	}
	return v.Encode()
}

// post sends a question over TCP and returns status and body.
func post(t *testing.T, s *mailtest.Site, key, form string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestVerifyMapsTheOutcomes(t *testing.T) {
	s := site(t)
	for name, c := range map[string]struct {
		form   string
		status int
		word   string
	}{
		"granted":        {question(), 200, "granted\tcred_id=main."},
		"wrong":          {question("password", "wrong"), 403, "denied\n"},
		"unknown":        {question("user", "nobody@example.test"), 403, "denied\n"},
		"empty password": {question("password", ""), 403, "denied\n"},
		"master user":    {question("master", "root"), 403, "denied\n"},
		"lookup":         {question("lookup", "1", "password", "wrong"), 200, "granted\n"},
		"lookup unknown": {question("lookup", "1", "user", "nobody@example.test"), 403, "denied\tunknown\n"},
	} {
		status, body := post(t, s, s.Key, c.form)
		if status != c.status || !strings.HasPrefix(body, c.word) {
			t.Errorf("%s: %d %q", name, status, body)
		}
		if v, _, err := verify.ParseAnswer([]byte(body)); err != nil || !strings.HasPrefix(c.word, v.String()) {
			t.Errorf("%s: the answer is not well-formed: %v", name, err)
		}
	}
}

// A question that two readers could read differently is no question.
func TestMalformedQuestions(t *testing.T) {
	s := site(t)
	for _, form := range []string{"", "password=x", "user=a&user=b", "user=a&passwort=b", "user=%zz", "user=%4", "user=a&lookup=yes", "{}"} {
		if status, body := post(t, s, s.Key, form); status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", form, status, body)
		}
	}
}

// ATTACKS 26 in small: who has no right to ask gets no answer.
func TestWhoMayAsk(t *testing.T) {
	s := site(t)
	for _, key := range []string{"", "wrong", s.Key + "x", s.Key[:len(s.Key)-1]} {
		if status, body := post(t, s, key, question()); status != http.StatusUnauthorized || strings.Contains(body, "granted") {
			t.Errorf("key %q: %d %s", key, status, body)
		}
	}
	// The socket is open to everybody; the kernel's word on the peer decides.
	for uid, want := range map[uint32]string{0: "200", 65534: "401"} {
		cmd := exec.CommandContext(t.Context(), "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
			"--unix-socket", s.Socket, "--data", question(), "http://x/verify")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if out, err := cmd.Output(); err != nil || string(out) != want {
			t.Errorf("uid %d: %s, want %s (%v)", uid, out, want, err)
		}
	}
	mailtest.Eventually(t, "the log tells the administrator about the refused process", func() bool {
		return strings.Contains(s.Policyserver.Log(), "socket_users")
	})
}

// ATTACKS 32: what is too large or too slow is cut off, and memory stays flat.
func TestAttack32_LargeBodies(t *testing.T) {
	mailtest.Long(t)
	s := site(t)
	before := rss(t, s.Policyserver.Pid())
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			body := io.LimitReader(zeros{}, 1<<30)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), body)
			req.Header.Set("X-API-Key", s.Key)
			if res, err := http.DefaultClient.Do(req); err == nil {
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("status %d", res.StatusCode)
				}
				res.Body.Close()
			}
		})
	}
	wait.Wait()
	if grown := rss(t, s.Policyserver.Pid()) - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	if status, _ := post(t, s, s.Key, question()); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func rss(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

// ATTACKS 32: a client that never finishes its header is thrown out.
func TestAttack32_SlowHeader(t *testing.T) {
	mailtest.Long(t)
	s := site(t)
	c, err := net.Dial("tcp", s.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /verify HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(c).ReadString(0); err != io.EOF {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestReadyAndMetrics(t *testing.T) {
	s := site(t)
	post(t, s, s.Key, question("user", "alice@example.test", "password", "wrong"))
	res, err := http.Get("http://" + s.Listen + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if !strings.Contains(string(b), `postern_events_total{action="login",outcome="denied",reason="wrong_password",service="imap"}`) {
		t.Errorf("the denial is not counted:\n%s", b)
	}
	for _, secret := range []string{"alice", "example.test", "192.0.2.7", mailtest.Password} {
		if strings.Contains(string(b), secret) {
			t.Errorf("metrics show %q", secret)
		}
	}
}

// ATTACKS 15: without its directory the daemon says "unavailable", says that it is
// not ready, and recovers by itself.
func TestAttack15_DirectoryDown(t *testing.T) {
	mailtest.Long(t)
	s := mailtest.New(t, mailtest.Options{})
	s.Slapd.Shutdown()
	if status, body := post(t, s, s.Key, question()); status != 503 || body != "unavailable\n" {
		t.Errorf("%d %q", status, body)
	}
	if err := s.Policyserver.Get(t.Context(), "/readyz"); err == nil {
		t.Error("says that it is ready")
	}
	if err := s.Policyserver.Get(t.Context(), "/livez"); err != nil {
		t.Error(err)
	}
	if err := s.Policyserver.RestartUnready(t.Context()); err != nil {
		t.Fatalf("it must start while the directory is down: %v", err)
	}
	if status, body := post(t, s, s.Key, question()); status != 503 {
		t.Errorf("after a restart: %d %q", status, body)
	}
	if err := s.Slapd.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		status, _ := post(t, s, s.Key, question())
		return status == 200
	})
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	mailtest.Eventually(t, "what is waited for here", done)
}

// A wrong key must be noticed at start, not by everybody's login.
func TestWrongKeyEndsTheDaemon(t *testing.T) {
	mailtest.Long(t)
	one := mailtest.New(t, mailtest.Options{})
	two := mailtest.New(t, mailtest.Options{})
	key, err := os.ReadFile(two.Keys + "/door.key")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(one.Keys+"/door.key", key, 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := one.Binary(t.Context(), "policyserver")
	if err != nil {
		t.Fatal(err)
	}
	one.Policyserver.Stop()
	for _, args := range [][]string{{"-config", one.Path}, {"-config", one.Path, "-check"}} {
		out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "copy the right key file") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// Logins under way are answered when the daemon is asked to stop.
func TestGracefulStop(t *testing.T) {
	mailtest.Long(t)
	s := mailtest.New(t, mailtest.Options{Settings: mailtest.Settings{"login": {"denial_time": "700ms"}}})
	answers := make(chan int, 10)
	for range cap(answers) {
		go func() {
			status, _ := post(t, s, s.Key, question("password", "wrong"))
			answers <- status
		}()
	}
	eventually(t, func() bool {
		b, _ := os.ReadFile(s.Audit)
		return strings.Count(string(b), `"outcome":"denied"`) == cap(answers)
	})
	s.Policyserver.Stop()
	for range cap(answers) {
		if status := <-answers; status != 403 {
			t.Errorf("status %d", status)
		}
	}
}

// ATTACKS 32: idle connections over TCP fill only their own listener, and only
// until the header's deadline; memory stays flat.
func TestAttack32_IdleConnections(t *testing.T) {
	mailtest.Long(t)
	s := site(t)
	before := rss(t, s.Policyserver.Pid())
	for range 3000 {
		c, err := net.Dial("tcp", s.Listen)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := s.Policyserver.Get(t.Context(), "/livez"); err != nil {
		t.Errorf("the unix socket: %v", err)
	}
	eventually(t, func() bool {
		status, _ := post(t, s, s.Key, question())
		return status == http.StatusOK
	})
	if grown := rss(t, s.Policyserver.Pid()) - before; grown > 256<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}
