package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
)

var program string // the test plug-in, built once

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pt-plugin")
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // another user runs it
	}
	program = filepath.Join(dir, "testplugin")
	if err == nil {
		cmd := exec.Command("go", "build", "-o", program, "./testplugin")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// logged is a log that tests read.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// host is a plug-in under test.
type host struct {
	*Factor
	t   *testing.T
	log *logged
}

// config is that of the test plug-in.
func config(t *testing.T, path string, args ...string) Config {
	t.Helper()
	return Config{Name: "test", Path: path, SHA256: sumOf(t, path), Args: args, Timeout: 20 * time.Second, StartTimeout: 30 * time.Second}
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// make makes the factor without starting it.
func prepare(t *testing.T, c Config) *host {
	t.Helper()
	h := &host{t: t, log: &logged{}}
	var err error
	h.Factor, err = New(c, Options{Log: slog.New(slog.NewTextHandler(h.log, nil)), FirstBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond})
	must(t, err)
	return h
}

// run starts it, and ends it with the test.
func (h *host) run() *host {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	h.t.Cleanup(func() { cancel(); <-done })
	return h
}

func (h *host) up() *host {
	h.t.Helper()
	eventually(h.t, h.Up)
	return h
}

func start(t *testing.T, args ...string) *host {
	t.Helper()
	return prepare(t, config(t, program, args...)).run().up()
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
		pause(t.Context(), 5*time.Millisecond)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shelf opens "sealed" values that are the index of a record. What sealing holds is
// tested in package seal.
type shelf []account.Record

// Open implements account.Opener.
func (s shelf) Open(_ account.ID, _ account.Kind, stored []byte) (account.Record, error) {
	i, err := strconv.Atoi(string(stored))
	return s[i], err
}

// owner is an account with records of the test plug-in, and one of another.
func owner(t *testing.T, name string, bodies ...string) *account.Account {
	t.Helper()
	var records []account.Record
	state := account.State{Enrolled: true}
	values := make(map[account.Kind][]account.Value)
	add := func(id string, p factor.Plugin) {
		body, err := account.Encode(p)
		must(t, err)
		values[account.KindPlugin] = append(values[account.KindPlugin], account.Value{ID: id, Stored: []byte(strconv.Itoa(len(records)))})
		records = append(records, account.Record{Kind: account.KindPlugin, ID: id, Body: body})
		state.Members = append(state.Members, account.Member{Kind: account.KindPlugin, ID: id})
	}
	add("foreign", factor.Plugin{Name: "other", Body: []byte("theirs")})
	for i, b := range bodies {
		add(fmt.Sprintf("own%d", i), factor.Plugin{Name: "test", Body: []byte(b)})
	}
	body, err := account.Encode(state)
	must(t, err)
	values[account.KindState] = []account.Value{{ID: "state", Stored: []byte(strconv.Itoa(len(records)))}}
	a := &account.Account{ID: "k", Name: name, Domain: "example.test", HasHolder: true}
	a.Attach(values, append(shelf(records), account.Record{Kind: account.KindState, ID: "state", Body: body}))
	must(t, a.Damage())
	return a
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func asks(a *account.Account, p factor.Purpose) factor.Request {
	return factor.Request{Purpose: p, Account: a, Now: noon, Domain: a.Domain, Language: "de", Session: []byte("one")}
}

// begin asks, and returns the question that the answer is to.
func (h *host) begin(r factor.Request) (factor.Request, factor.PluginPrompt) {
	h.t.Helper()
	response, err := h.Begin(h.t.Context(), r)
	must(h.t, err)
	prompt, err := factor.DecodePluginPrompt(response.Prompt)
	must(h.t, err)
	r.State = response.State
	return r, prompt
}

// answer answers the question.
func (h *host) answer(r factor.Request, answer string) (factor.Response, error) {
	h.t.Helper()
	r.Input = map[string]string{factor.InputCode: answer}
	return h.Check(h.t.Context(), r)
}

// login answers a new question of a login.
func (h *host) login(name, answer string) error {
	h.t.Helper()
	r, _ := h.begin(asks(owner(h.t, name, "one"), factor.Login))
	_, err := h.answer(r, answer)
	return err
}

// copyProgram is the plug-in as a file that a test may change.
func copyProgram(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(program)
	must(t, err)
	path := filepath.Join(t.TempDir(), "plugin")
	must(t, os.WriteFile(path, data, 0o700))
	return path
}
