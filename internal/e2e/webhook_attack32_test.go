package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/mailtest"
)

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// resident is the memory of a process in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	must(t, err)
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// ATTACKS 32: bodies of a gigabyte at API and pages are cut off, and memory stays flat.
func TestAttack32_LargeBodiesAtTheHook(t *testing.T) {
	mailtest.Long(t)
	h := hook(fresh(t, webhookOptions(1)))
	daemon := h.Webmail.Webhook()
	before := resident(t, daemon.Pid())
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, daemon.URL()+"v1/login", io.LimitReader(endless{}, 1<<30))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-API-Key", h.Webmail.HookKey)
			if i%2 == 1 { // a page's form
				req.URL.Path, req.Host = "/2fa/sign-in", strings.TrimSuffix(strings.TrimPrefix(h.Webmail.URL, "http://"), "/")
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if res, err := http.DefaultClient.Do(req); err == nil {
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("%s: status %d", req.URL.Path, res.StatusCode)
				}
				res.Body.Close()
			}
		})
	}
	wait.Wait()
	if grown := resident(t, daemon.Pid()) - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	h.call(0, "login", "granted", h.start(h.user(mailtest.Password)))
}

// ATTACKS 32: who never finishes a header or a body is thrown out, who only connects
// keeps nobody out of the unix socket.
func TestAttack32_SlowAndIdleAtTheHook(t *testing.T) {
	mailtest.Long(t)
	h := hook(fresh(t, webhookOptions(1)))
	listen := h.Webmail.Webhook().Listen
	for name, head := range map[string]string{
		"header": "POST /v1/login HTTP/1.1\r\nHost: x\r\n",
		"body": "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: " + h.Webmail.HookKey +
			"\r\nContent-Length: 1000\r\n\r\n{",
	} {
		c, err := net.Dial("tcp", listen)
		must(t, err)
		defer c.Close()
		_, err = io.WriteString(c, head)
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		if text, err := io.ReadAll(bufio.NewReader(c)); err != nil || strings.Contains(string(text), "granted") {
			t.Errorf("slow %s: %q, %v", name, text, err)
		}
	}
	before := resident(t, h.Webmail.Webhook().Pid())
	for range 2000 {
		c, err := net.Dial("tcp", listen)
		must(t, err)
		defer c.Close()
	}
	h.call(0, "login", "granted", h.start(h.user(mailtest.Password)))
	if grown := resident(t, h.Webmail.Webhook().Pid()) - before; grown > 256<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}
