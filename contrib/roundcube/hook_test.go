package roundcube

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/mailtest"
)

// answer is what testdata/call.php prints.
type answer struct {
	Result, User, Ticket, Cause string
	Seconds                     float64
}

// ask calls a webhook by the plug-in's own code.
func ask(t *testing.T, address, ca string) answer {
	t.Helper()
	in, err := json.Marshal(map[string]any{
		"url": address, "key": apiKey, "ca": ca, "path": "/v1/login", "language": "de_DE",
		"fields": map[string]string{"user": "jürgen@example.test", "password": "pä\"ss\u0000 /wörd"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	out := php(t, string(in), "-d", "display_errors=stderr", "testdata/call.php")
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return a
}

const grantedBody = `{"result":"granted","user":"jürgen@example.test","ticket":"pt1_x","grant":"g","expires":"2026-03-01T10:00:00Z"}`

// goodHook answers what a webhook would, if the request is right.
func goodHook(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var fields map[string]string
		if err == nil {
			err = json.Unmarshal(body, &fields)
		}
		h := r.Header
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/login" || h.Get("Authorization") != "Bearer "+apiKey ||
			h.Get("Content-Type") != "application/json" || h.Get("Accept-Language") != "de-DE" ||
			fields["user"] != "jürgen@example.test" || fields["password"] != "pä\"ss\u0000 /wörd" {
			t.Errorf("%v: %s %s %v %q", err, r.Method, r.URL, h, body)
		}
		_, _ = io.WriteString(w, grantedBody)
	}
}

// onSocket serves on a unix socket.
func onSocket(t *testing.T, h http.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return "unix://" + path
}

func TestTransports(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:9/") // is not for this
	tls := httptest.NewTLSServer(goodHook(t))
	t.Cleanup(tls.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"unix":  ask(t, onSocket(t, goodHook(t)), ""),
		"http":  ask(t, serve(t, goodHook(t)), ""),
		"https": ask(t, tls.URL, ca),
	} {
		if a.Result != "granted" || a.User != "jürgen@example.test" || a.Ticket != "pt1_x" || a.Cause != "" {
			t.Errorf("%s: %+v", name, a)
		}
	}

	// Certificates are checked: the authority, and the name.
	for name, a := range map[string]answer{
		"unknown authority": ask(t, tls.URL, ""),
		"other name":        ask(t, strings.Replace(tls.URL, "127.0.0.1", "localhost", 1), ca),
		"plain":             ask(t, strings.Replace(tls.URL, "https", "http", 1), ca),
		"nobody":            ask(t, "unix:///nowhere/hook.sock", ""),
	} {
		if a.Result != "unavailable" || a.Cause == "" || a.Ticket != "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// raw answers each connection with bytes, and then closes it or not.
func raw(t *testing.T, bytes string, closes bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			request := make([]byte, 4096)
			_, _ = c.Read(request)
			_, _ = io.WriteString(c, bytes)
			if closes {
				_ = c.Close()
			}
		}
	}()
	return "http://" + l.Addr().String()
}

// TestHostileAnswers: whatever comes, it is unavailable, and soon.
func TestHostileAnswers(t *testing.T) {
	head := "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct {
		bytes string
		cause string
	}{
		"empty":     {"", "not HTTP"},
		"no HTTP":   {"* OK IMAP\r\n\r\n" + grantedBody, "not HTTP"},
		"head only": {head, "not HTTP"},
		"cut":       {head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(grantedBody)+1) + grantedBody, "cut short"},
		"too much":  {head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(grantedBody)) + grantedBody + "x", "cut short"},
		"endless":   {head + "\r\n" + strings.Repeat(" ", 70000), "too long"},
		"redirect":  {"HTTP/1.0 302 Found\r\nLocation: /v1/login\r\n\r\n" + grantedBody, "status 302"},
		"denied":    {"HTTP/1.0 403 Forbidden\r\n\r\n{\"result\":\"denied\"}", "status 403"},
	} {
		a := ask(t, raw(t, c.bytes, true), "")
		if a.Result != "unavailable" || !strings.Contains(a.Cause, c.cause) || a.Ticket != "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := ask(t, raw(t, head+"\r\n"+grantedBody, true), ""); a.Result != "granted" {
		t.Errorf("the rest of the test does not hold: %+v", a)
	}
}

// TestTimeLimits: neither a server that says nothing, nor one that drips, holds a
// request up for longer than six seconds.
func TestTimeLimits(t *testing.T) {
	mailtest.Long(t)
	drip := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	for name, address := range map[string]string{"silent": raw(t, "", false), "dripping": drip} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := ask(t, address, "")
			if a.Result != "unavailable" || !strings.Contains(a.Cause, "no answer within 6 s") || a.Seconds < 5 || a.Seconds > 12 {
				t.Errorf("%+v", a)
			}
		})
	}
}
