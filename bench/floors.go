package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

//go:embed testdata
var testdata embed.FS

// unpack writes the floors' sources to a directory that Dovecot's users may read.
func unpack(dir string) error {
	files, err := testdata.ReadDir("testdata")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := testdata.ReadFile("testdata/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), b, 0o755); err != nil { // #nosec G306 -- Dovecot's user runs them
			return err
		}
	}
	return nil
}

// compile builds the C floors with glibc, static: the fastest start that an
// ordinary compiler gives.
func compile(ctx context.Context, dir string) error {
	for _, name := range []string{"floor", "ask"} {
		src := filepath.Join(dir, name)
		out, err := exec.CommandContext(ctx, "gcc", "-O2", "-static", "-o", src, src+".c").CombinedOutput() // #nosec G204
		if err != nil {
			return fmt.Errorf("gcc: %w: %s", err, out)
		}
	}
	return nil
}

// trivialDaemon answers every question with yes, on a unix socket and over TCP,
// below dir, until it is killed or its standard input ends.
func trivialDaemon(dir string, stderr io.Writer) int {
	unix, err := net.Listen("unix", filepath.Join(dir, "trivial.sock"))
	if err == nil {
		err = os.Chmod(filepath.Join(dir, "trivial.sock"), 0o666) // #nosec G302 -- Dovecot's user asks
	}
	tcp, err2 := net.Listen("tcp", "127.0.0.1:0")
	if err != nil || err2 != nil {
		_, _ = fmt.Fprintln(stderr, err, err2)
		return 1
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(trivialAnswer)}
	go func() { _ = server.Serve(unix) }()
	go func() { _ = server.Serve(tcp) }()
	fmt.Println(tcp.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// trivialAnswer lets everybody in. The questions of Dovecot's auth policy it reads, as
// any server has to.
func trivialAnswer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "granted\tcred_id=none\n")
		return
	}
	var q struct {
		Login, Remote, Protocol, Mech string
		SessionID                     string `json:"session_id"`
		Success                       bool
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Login == "" {
		http.Error(w, "not a question", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Status  int    `json:"status"`
		Message string `json:"msg"`
	}{})
}

// startTrivial starts it as a process of its own and returns its TCP address.
func startTrivial(ctx context.Context, dir string) (address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-trivial-daemon", dir) // #nosec G204 -- ourselves
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = stdin.Close(); _ = cmd.Wait() }
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil {
		stop()
		return "", nil, err
	}
	return strings.TrimSpace(string(line[:n])), stop, nil
}

// argon2id is a password as Dovecot's {ARGON2ID} wants it, with the parameters
// that OWASP recommends (19 MiB, two passes).
func argon2id(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	b64 := base64.RawStdEncoding.EncodeToString
	return "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$" + b64(salt) + "$" +
		b64(argon2.IDKey([]byte(password), salt, 2, 19456, 1, 32))
}
