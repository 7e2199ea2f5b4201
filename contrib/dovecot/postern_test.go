// Package dovecot tests postern.lua in real Dovecots, with a policyserver that
// says whatever the test wants.
package dovecot

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/mailtest"
)

const apiKey = "k3y-of-the-test"

// fake is a policyserver: the name before the user's @ chooses its answer.
type fake struct {
	mu    sync.Mutex
	forms []url.Values
	keys  []string

	revoked atomic.Bool // from now on, revoked@ is refused
}

type reply struct {
	status int
	line   string
}

var replies = map[string]reply{
	"granted":     {200, "granted\tcred_id=app17.x\tuserdb_user_cred=app17\n"},
	"plain":       {200, "granted\n"},
	"denied":      {403, "denied\n"},
	"unknown":     {403, "denied\tunknown\n"},
	"next":        {403, "next\n"},
	"unavailable": {503, "unavailable\n"},
	"wrongkey":    {401, "X-API-Key is missing or not right\n"},
	"page":        {200, "<html>welcome</html>"},
	"empty":       {200, ""},
	"cut":         {200, "granted\tcred_id=app17"},
	"forbidden":   {403, "granted\n"},
	"created":     {201, "granted\n"},
	"redirect":    {302, "granted\n"},
	"badkey":      {200, "granted\tno login=y\n"},
	"nokey":       {200, "granted\t=y\n"},
	"twolines":    {200, "granted\nuser=x\n"},
	"escape":      {200, "granted\tx=\x01y\n"},
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/verify" || r.URL.RawQuery != "" {
		http.Error(w, "not a question", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.forms, f.keys = append(f.forms, form), append(f.keys, r.Header.Get("X-API-Key"))
	f.mu.Unlock()
	name, _, _ := strings.Cut(form.Get("user"), "@")
	if name == "hang" {
		time.Sleep(12 * time.Second)
	}
	a, ok := replies[name]
	if name == "revoked" && !f.revoked.Load() {
		a = replies["granted"]
	} else if !ok {
		a = replies["denied"]
	}
	w.Header().Set("Location", "/verify")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.line)
}

// last is the newest question, and how many there were.
func (f *fake) last() (url.Values, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.forms) == 0 {
		return nil, 0
	}
	return f.forms[len(f.forms)-1], len(f.forms)
}

// setup is a Dovecot with its fake.
type setup struct {
	*mailtest.Dovecot
	*fake
}

// start starts a Dovecot whose only passdb is the door, and after it one that
// knows everybody's password "own".
func start(t *testing.T, v mailtest.Version, o mailtest.DovecotOptions) setup {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Dovecot")
	}
	t.Parallel()
	d, err := mailtest.PrepareDovecot(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.Log())
		}
		d.Stop()
	})
	f := &fake{}
	o.Version = v
	if o.Door == "" {
		o.Door = string(v) + "-lua.conf"
	}
	o.Verify = mailtest.Verify{Socket: d.Inside("verify.sock"), URL: f.serve(t, d), Key: apiKey}
	o.Passdb = ownPassdb[v]
	if err := d.Start(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return setup{d, f}
}

var ownPassdb = map[mailtest.Version]string{
	mailtest.V23: "passdb {\n driver = static\n args = password=own\n}\n",
	mailtest.V24: "passdb static {\n password = own\n}\n",
}

// serve listens on TCP and in Dovecot's directory.
func (f *fake) serve(t *testing.T, d *mailtest.Dovecot) string {
	t.Helper()
	path := filepath.Join(d.Dir, "verify.sock")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // #nosec G302 -- as policyserver does
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	t.Cleanup(func() { _ = server.Close() })
	for _, l := range []net.Listener{unix, tcp} {
		go func() { _ = server.Serve(l) }()
	}
	return "http://" + tcp.Addr().String() + "/verify"
}

// login tries a password by IMAP and returns the tagged answer.
func (s setup) login(t *testing.T, user, password string) string {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.IMAP))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	_, _ = r.ReadString('\n')
	response := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	_, _ = fmt.Fprintf(c, "i ID (\"name\" \"Phone\")\r\na AUTHENTICATE PLAIN %s\r\n", response)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if tagged, ok := strings.CutPrefix(line, "a "); ok {
			return strings.TrimSpace(tagged)
		}
	}
}

// Answers as Dovecot words them.
const (
	in          = "OK ["
	wrong       = "NO [AUTHENTICATIONFAILED]"
	unavailable = "NO [UNAVAILABLE]"
)

func versions(t *testing.T, f func(*testing.T, mailtest.Version)) {
	for _, v := range []mailtest.Version{mailtest.V23, mailtest.V24} {
		t.Run(string(v), func(t *testing.T) { f(t, v) })
	}
}

// TestOutcomes is the table of this door. The passdb behind it would let everybody
// in with the password "own": only "next" may reach it.
func TestOutcomes(t *testing.T) {
	table := map[string]string{
		"granted": in, "plain": in, "denied": wrong, "unknown": wrong, "next": in, "unavailable": unavailable,
		"wrongkey": unavailable, "page": unavailable, "empty": unavailable, "cut": unavailable,
		"forbidden": unavailable, "created": unavailable, "redirect": unavailable, "badkey": unavailable,
		"nokey": unavailable, "twolines": unavailable, "escape": unavailable,
	}
	versions(t, func(t *testing.T, v mailtest.Version) {
		s := start(t, v, mailtest.DovecotOptions{})
		for name, want := range table {
			if got := s.login(t, name+"@example.test", "own"); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if got := s.login(t, "next@example.test", "other"); !strings.HasPrefix(got, wrong) {
			t.Errorf("next with a wrong password: %s", got)
		}
		for _, key := range s.keys {
			if (key == apiKey) != (v == mailtest.V23) {
				t.Fatalf("API key %q", key)
			}
		}
		if strings.Contains(s.Log(), apiKey) {
			t.Error("the log holds the API key")
		}
	})
}

func TestLookups(t *testing.T) {
	table := map[string]string{
		"granted": "cred_id", "denied": "lookup failed", "unknown": "doesn't exist",
		"unavailable": "lookup failed", "page": "lookup failed",
	}
	versions(t, func(t *testing.T, v mailtest.Version) {
		s := start(t, v, mailtest.DovecotOptions{})
		for name, want := range table {
			out, err := s.Doveadm(context.Background(), "auth", "lookup", name+"@example.test")
			if !strings.Contains(out, want) || (err == nil) != (name == "granted") {
				t.Errorf("%s: %q, %v", name, out, err)
			}
			form, _ := s.last()
			if form.Has("password") || form.Get("lookup") != "1" {
				t.Errorf("%s asked %v", name, form)
			}
		}
	})
}

func TestQuestion(t *testing.T) {
	versions(t, func(t *testing.T, v mailtest.Version) {
		s := start(t, v, mailtest.DovecotOptions{Debug: true})
		secret := "s\x80\xff%+& =;\x7f\u00e9\"'\\\x1b"
		s.login(t, "Alice@Example.test", secret)
		form, n := s.last()
		if n != 1 {
			t.Fatalf("%d questions", n)
		}
		for key, want := range map[string]string{
			"user": "alice@example.test", "password": secret, "service": "imap", "mech": "PLAIN", "remote_ip": "127.0.0.1",
			"real_ip": "127.0.0.1", "local_ip": "127.0.0.1", "door": "lua-" + string(v),
			"orig_user": "Alice@Example.test", "lookup": "", "master": "",
		} {
			if got := form.Get(key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if form.Get("session") == "" {
			t.Error("no session")
		}
		t.Log(form)
		if strings.Contains(s.Log(), "s\x80") || strings.Contains(s.Log(), "%80") {
			t.Error("the log holds the password")
		}
	})
}

// TestAttack15_DaemonFaults: hanging, gone and back again.
func TestAttack15_DaemonFaults(t *testing.T) {
	versions(t, func(t *testing.T, v mailtest.Version) {
		s := start(t, v, mailtest.DovecotOptions{})
		began := time.Now()
		if got := s.login(t, "hang@example.test", "own"); !strings.HasPrefix(got, unavailable) {
			t.Errorf("hanging: %s", got)
		}
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestAttack18_LookupThenLogin: 2.3 caches what Lua passdbs say by user name as
// soon as auth_cache_size is set. A lookup must not leave an entry that lets
// anybody in.
func TestAttack18_LookupThenLogin(t *testing.T) {
	s := start(t, mailtest.V23, mailtest.DovecotOptions{Extra: "auth_cache_size = 10M\n"})
	if out, err := s.Doveadm(context.Background(), "auth", "lookup", "revoked@example.test"); err != nil {
		t.Fatal(out, err)
	}
	s.revoked.Store(true)
	if got := s.login(t, "revoked@example.test", "own"); !strings.HasPrefix(got, wrong) {
		t.Errorf("after a cached lookup: %s", got)
	}
}

// TestAttack18_CacheOn: with a cache, 2.3 refuses loudly instead of letting a
// revoked password in.
func TestAttack18_CacheOn(t *testing.T) {
	s := start(t, mailtest.V23, mailtest.DovecotOptions{Extra: "auth_cache_size = 10M\n"})
	if got := s.login(t, "revoked@example.test", "own"); !strings.HasPrefix(got, in) {
		t.Errorf("before: %s", got)
	}
	s.revoked.Store(true)
	if got := s.login(t, "revoked@example.test", "own"); !strings.HasPrefix(got, wrong) {
		t.Errorf("revoked, with a cache: %s", got)
	}
	mailtest.Eventually(t, "the log says what is wrong", func() bool {
		return strings.Contains(strings.ToLower(s.Log()), "postern-needs-auth_cache_size=0")
	})
}

// TestSettings: mistakes are told to the administrator in every login's log line,
// and never end the auth process.
func TestSettings(t *testing.T) {
	s := start(t, mailtest.V23, mailtest.DovecotOptions{})
	path := filepath.Join(s.Dir, "lua.conf")
	for text, want := range map[string]string{
		"url = http://127.0.0.1:1/verify\n":                      "url needs the API key",
		"socket = /run/postern/verify.sock\n":                    "cannot use a unix socket",
		"# nothing\n":                                            "set either socket or url",
		"url = x\nkey = y\nkeyfile = z\n":                        "unknown setting keyfile",
		"url x\n":                                                "a line is not",
		"url = x\nurl = y\nkey = z\n":                            "names a setting again",
		"url = http://127.0.0.1:1/verify\nkey_file = /nowhere\n": "/nowhere",
		"url = http://127.0.0.1:1/verify\nkey = k\n":             "policyserver cannot be asked: 900",
		"url = nonsense\nkey = k\n":                              "Failed to parse url",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil { // #nosec G302 -- no secret in it
			t.Fatal(err)
		}
		if err := s.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		before := len(s.Log())
		if got := s.login(t, "granted@example.test", "own"); !strings.HasPrefix(got, unavailable) {
			t.Errorf("%q: %s", text, got)
		}
		mailtest.Eventually(t, text+"the log says "+want, func() bool { return strings.Contains(s.Log()[before:], want) })
	}
}
