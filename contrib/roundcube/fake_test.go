package roundcube

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The accounts of the tests: plain@ has no second factor, alice@ has one. Both know
// the same password. Only tickets open mail, but weak@'s password does too.
const (
	plain    = "plain@example.test"
	alice    = "alice@example.test"
	weak     = "weak@example.test" // granted without a ticket, as while the directory's writer is down
	password = "correct horse"
	apiKey   = "k3y-of-the-tests-roundcube"
	goodCode = "code-of-the-page"
)

// call is one request to the hook API.
type call struct {
	path, key, language string
	fields              map[string]string
}

// fake is a webhook whose answers the test chooses.
type fake struct {
	t       testing.TB
	socket  string
	tickets string // file that Dovecot reads: user, blank, password

	mu           sync.Mutex
	server       *http.Server
	calls        []call
	transactions map[string]string // to user
	grants       map[string]string // to user
	life         time.Duration     // of tickets
	recommend    bool
	answer       map[string]func(http.ResponseWriter) // instead of the usual one, by path
}

func newFake(t testing.TB, socket, tickets string) *fake {
	f := &fake{
		t: t, socket: socket, tickets: tickets, life: 10 * time.Minute,
		transactions: map[string]string{}, grants: map[string]string{}, answer: map[string]func(http.ResponseWriter){},
	}
	f.open(weak, password)
	f.up()
	t.Cleanup(f.down)
	return f
}

// up begins to listen, down stops and drops connections.
func (f *fake) up() {
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Second}
	go func() { _ = f.server.Serve(l) }()
}

func (f *fake) down() { _ = f.server.Close() }

// ServeHTTP answers as openapi.yaml has it.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := call{path: r.URL.Path, key: r.Header.Get("Authorization"), language: r.Header.Get("Accept-Language")}
	if err := json.Unmarshal(body, &c.fields); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "not a call", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	if answer := f.answer[c.path]; answer != nil {
		answer(w)
		return
	}
	f.write(w, f.usual(c))
}

func (f *fake) write(w http.ResponseWriter, fields map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	if fields["result"] == "unavailable" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(fields)
}

func (f *fake) usual(c call) map[string]any {
	denied := map[string]any{"result": "denied"}
	switch c.path {
	case "/v1/login":
		return f.login(c)
	case "/v1/passkey":
		return f.begin(alice)
	case "/v1/exchange":
		user := f.transactions[c.fields["transaction"]]
		if user == "" || c.fields["code"] != goodCode {
			return denied
		}
		return f.granted(user, rand.Text())
	case "/v1/renew":
		if user := f.grants[c.fields["grant"]]; user != "" {
			return f.granted(user, c.fields["grant"])
		}
	case "/v1/logout":
		delete(f.grants, c.fields["grant"])
		return map[string]any{"result": "ended"}
	case "/v1/check":
		if f.grants[c.fields["grant"]] != "" && c.fields["password"] == password {
			return map[string]any{"result": "granted"}
		}
	case "/v1/settings":
		if f.grants[c.fields["grant"]] != "" {
			return map[string]any{"url": "http://pages.example.test/2fa/security?link=1"}
		}
	}
	return denied
}

func (f *fake) login(c call) map[string]any {
	switch {
	case c.fields["password"] != password:
		return map[string]any{"result": "denied", "message": "Wrong <name> or password."}
	case c.fields["user"] == alice:
		return f.begin(alice)
	case c.fields["user"] == weak:
		return map[string]any{"result": "granted", "user": weak}
	}
	return f.granted(c.fields["user"], rand.Text())
}

func (f *fake) begin(user string) map[string]any {
	id := rand.Text()
	f.transactions[id] = user
	return map[string]any{"result": "second_factor", "transaction": id, "url": "http://pages.example.test/2fa/begin"}
}

func (f *fake) granted(user, grant string) map[string]any {
	f.grants[grant] = user
	ticket := "pt1_" + rand.Text() + rand.Text()
	f.open(user, ticket)
	return map[string]any{
		"result": "granted", "user": user, "ticket": ticket, "grant": grant,
		"expires": time.Now().Add(f.life).UTC().Format(time.RFC3339), "recommend": f.recommend,
	}
}

// open lets a password into Dovecot.
func (f *fake) open(user, password string) {
	file, err := os.OpenFile(f.tickets, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer file.Close()
	_, _ = file.WriteString(user + " " + password + "\n")
}

// shut closes Dovecot to all tickets made so far.
func (f *fake) shut() {
	if err := os.WriteFile(f.tickets, []byte(weak+" "+password+"\n"), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// change alters the fake while nobody asks it.
func (f *fake) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// paths are those of all calls so far.
func (f *fake) paths() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, c := range f.calls {
		all = append(all, c.path)
	}
	return all
}

// last is the last call of a path.
func (f *fake) last(path string) call {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range slices.Backward(f.calls) {
		if c.path == path {
			return c
		}
	}
	f.t.Fatalf("nobody called %s: %v", path, f.calls)
	return call{}
}

// returns are the addresses that browsers were to come back to.
func (f *fake) returns() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, c := range f.calls {
		if to := c.fields["return_to"]; c.path == "/v1/login" && to != "" {
			all = append(all, to)
		}
	}
	return all
}

// live counts the grants that have not ended.
func (f *fake) live() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.grants)
}

// answers makes a path answer with a status and body from now on; no body: as usual.
func (f *fake) answers(path string, status int, body string) {
	f.change(func() {
		f.answer[path] = func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
		if body == "" {
			delete(f.answer, path)
		}
	})
}

// secrets are all that must not stand in a log: what the calls carried.
func (f *fake) secrets() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []string{password, apiKey, goodCode}
	for t := range f.transactions {
		all = append(all, t)
	}
	for g := range f.grants {
		all = append(all, g)
	}
	for _, c := range f.calls {
		all = append(all, c.fields["grant"])
	}
	text, _ := os.ReadFile(f.tickets)
	for _, line := range strings.Fields(string(text)) {
		if strings.HasPrefix(line, "pt1_") {
			all = append(all, line)
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
