package mailtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// backend answers every request with its name and what it got: the path as it was
// sent, the host, the scheme and the addresses. It returns where it listens.
func backend(t *testing.T, name, socket string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if name == "webhook" { // longer than what nginx takes by itself
			http.SetCookie(w, &http.Cookie{Name: "long", Value: strings.Repeat("x", 3900)})
			w.Header().Set("Content-Security-Policy", strings.Repeat("x", 3900))
		}
		_, _ = fmt.Fprintf(w, "%s %s %s %s %q %d", name, r.RequestURI, r.Host, r.Header.Get("X-Forwarded-Proto"), r.Header["X-Forwarded-For"], n)
	}))
	if socket != "" {
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Listener.Close()
		s.Listener = l
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestNginxSnippet shows what contrib's configuration passes on to the webhook and
// what not: the hook API stays out of reach, however its path is written, and
// nobody says where he comes from.
func TestNginxSnippet(t *testing.T) {
	Long(t)
	webhook := backend(t, "webhook", filepath.Join(t.TempDir(), "s"))
	webmail, err := net.ResolveTCPAddr("tcp", backend(t, "webmail", ""))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n := NewNginx(t, NginxOptions{Webhooks: []string{webhook}, Webmail: webmail.Port})
	t.Logf("ready after %v", time.Since(began))
	host := "localhost:" + strconv.Itoa(n.Port)
	seen := " " + host + ` http ["127.0.0.1"] 0`
	for path, want := range map[string]string{
		"/2fa/":                        "webhook /2fa/" + seen,
		"/2fa/code?t=a%2Fb&u=%20":      "webhook /2fa/code?t=a%2Fb&u=%20" + seen,
		"/oidc/token":                  "webhook /oidc/token" + seen,
		"/.well-known/webauthn":        "webhook /.well-known/webauthn" + seen,
		"/.well-known/acme-challenge/": "webmail /.well-known/acme-challenge/" + seen,
		"/?_task=login":                "webmail /?_task=login" + seen,
		"/v1/login":                    "webmail ",
		"//v1/login":                   "webmail ",
		"/metrics":                     "webmail ",
		"/2fa/../v1/login":             "webmail ",
		"/2fa/%2e%2e/v1/login":         "webmail ",
		"/2fa%2f..%2fv1%2flogin":       "webmail ",
		"/2fa/..%2fv1/login":           "webmail ",
		"/v1/login/../../2fa/":         "webhook /2fa/ ",
		"/v1%2flogin%2f..%2f..%2f2fa/": "webhook /2fa/ ",
		"/2fa/..;/v1/login":            "webhook /2fa/..;/v1/login ",
	} {
		if got := getRaw(t, n.Port, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\r\n"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	post := "POST /2fa/ HTTP/1.1\r\nHost: " + host + "\r\nX-Test-Address: 2001:db8::7\r\nContent-Length: %d\r\n\r\n%[1]*[2]d"
	if got, want := getRaw(t, n.Port, fmt.Sprintf(post, 60000, 0)), "webhook /2fa/ "+host+` http ["2001:db8::7"] 60000`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := getRaw(t, n.Port, fmt.Sprintf(post, 70000, 0)); !strings.Contains(got, "413") {
		t.Errorf("a body of 70 kB: %q", got)
	}
	if t.Failed() {
		t.Log(n.Log())
	}
}

// getRaw sends a request as it is, and returns the answer's body.
func getRaw(t *testing.T, port int, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// TestNginxTakesTurns asks two webhooks, and goes on with the other when one is
// down.
func TestNginxTakesTurns(t *testing.T) {
	Long(t)
	one := backend(t, "one", "")
	two := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "two") }))
	n := NewNginx(t, NginxOptions{Webhooks: []string{one, two.Listener.Addr().String()}})
	seen := map[string]bool{}
	get := func() {
		body := getRaw(t, n.Port, "GET /2fa/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
		seen[strings.Fields(body)[0]] = true
	}
	for range 4 {
		get()
	}
	if !seen["one"] || !seen["two"] {
		t.Errorf("asked: %v", seen)
	}
	two.Close()
	clear(seen)
	for range 4 {
		get()
	}
	if len(seen) != 1 || !seen["one"] {
		t.Errorf("asked: %v", seen)
	}
	getRaw(t, n.Port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	Eventually(t, "without a webmail, 404", func() bool { return strings.Contains(n.Log(), `"GET / HTTP/1.1" 404`) })
}
