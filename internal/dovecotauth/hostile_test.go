package dovecotauth_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/dovecotauth"
)

// script is what stands on the socket instead of Dovecot, or a Dovecot gone wrong.
type script struct {
	hello string
	// answer is what it says to a line of a client; an error hangs up.
	answer func(line string) (string, error)
	conns  atomic.Int64
}

const hello = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t7\nCUID\t1\nCOOKIE\tff\nDONE\n"

// serve plays the script to everybody who connects.
func (s *script) serve(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
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
			s.conns.Add(1)
			go s.play(c)
		}
	}()
	return path
}

func (s *script) play(c net.Conn) {
	defer c.Close()
	_, _ = io.WriteString(c, s.hello)
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if !strings.HasPrefix(line, "AUTH\t") && !strings.HasPrefix(line, "CANCEL\t") {
			continue
		}
		reply, err := s.answer(strings.TrimSuffix(line, "\n"))
		if _, werr := io.WriteString(c, reply); err != nil || werr != nil {
			return
		}
	}
}

// number is a request's.
func number(line string) string { return strings.Split(line, "\t")[1] }

// TestAttack15_HostileAnswers: nothing but a clear answer to the question, about its
// user, is one.
func TestAttack15_HostileAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for name, row := range map[string]struct {
		answer string // N stands for the request's number
		want   error
	}{
		"right":                      {"OK\tN\tuser=alice@example.test\n", right},
		"right, with fields":         {"OK\tN\tuser=alice@example.test\tuserdb_home=/x\tuser=mallory\tnodelay\n", right},
		"right, in another case":     {"OK\tN\tuser=ALICE@example.test\n", right},
		"right, without the domain":  {"OK\tN\tuser=alice\toriginal_user=alice@example.test\n", right},
		"right, after noise":         {"NEWS\tfrom\tthe\tfuture\n\n\t\nOK\nOK\t\nOK\tx\nOK\t99999999999\nOK\tN\tuser=alice@example.test\n", right},
		"wrong":                      {"FAIL\tN\tuser=alice@example.test\n", wrong},
		"wrong, disabled":            {"FAIL\tN\tuser=alice@example.test\tcode=user_disabled\treason=no\n", wrong},
		"wrong, twice":               {"FAIL\tN\tuser=alice@example.test\nOK\tN\tuser=alice@example.test\n", wrong},
		"temporary":                  {"FAIL\tN\tuser=alice@example.test\tcode=temp_fail\n", down},
		"temporary, as long ago":     {"FAIL\tN\tuser=alice@example.test\ttemp\n", down},
		"temporary, without a user":  {"FAIL\tN\ttemp\n", down},
		"right and temporary":        {"OK\tN\tuser=alice@example.test\tcode=temp_fail\n", down},
		"another user is right":      {"OK\tN\tuser=mallory@example.test\n", down},
		"another user is wrong":      {"FAIL\tN\tuser=mallory@example.test\toriginal_user=alice@example.test\n", down},
		"another domain":             {"OK\tN\tuser=alice@other.test\n", down},
		"an escaped other":           {"OK\tN\tuser=alice@example.test\x01tuser\n", down},
		"right, nobody":              {"OK\tN\n", down},
		"right, an empty user":       {"OK\tN\tuser=\n", down},
		"the request is refused":     {"FAIL\tN\treason=Client didn't present valid SSL certificate\n", down},
		"a challenge":                {"CONT\tN\tuser=alice@example.test\n", down},
		"an answer to somebody else": {"OK\t4711\tuser=alice@example.test\nFAIL\tN\ttemp\n", down},
		"lower case":                 {"ok\tN\tuser=alice@example.test\nFAIL\tN\ttemp\n", down},
		"blanks":                     {"OK N user=alice@example.test\nFAIL\tN\ttemp\n", down},
		"hangs up":                   {"", down},
		"hangs up within the answer": {"OK\tN\tuser=alice@example.test", down},
		"a line without end":         {"OK\tN\tuser=alice@example.test\t" + long, down},
		"a line that is too long":    {"OK\tN\tuser=alice@example.test\t" + long + "\n", down},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{hello: hello, answer: func(line string) (string, error) {
				var err error
				if strings.HasPrefix(name, "hangs up") {
					err = io.EOF
				}
				return strings.ReplaceAll(row.answer, "\tN", "\t"+number(line)), err
			}}
			if name == "blanks" {
				s.answer = func(line string) (string, error) {
					return strings.ReplaceAll(strings.ReplaceAll(row.answer, "OK N", "OK "+number(line)), "\tN", "\t"+number(line)), nil
				}
			}
			a := newAsker(t, dovecotauth.Config{Socket: s.serve(t)})
			a.want("alice@example.test", "secret", row.want)
			a.want("alice@example.test", "secret", row.want)
		})
	}
}

// TestAttack15_HostileGreetings: what is not Dovecot's auth service gets no password.
func TestAttack15_HostileGreetings(t *testing.T) {
	t.Parallel()
	for name, greeting := range map[string]string{
		"silence":           "",
		"IMAP":              "* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n",
		"HTTP":              "HTTP/1.1 400 Bad Request\r\n\r\n",
		"another version":   strings.Replace(hello, "VERSION\t1", "VERSION\t2", 1),
		"no version":        strings.Replace(hello, "VERSION\t1\t2\n", "", 1),
		"no passwords":      strings.Replace(hello, "PLAIN", "GSSAPI", 1),
		"endless lines":     strings.Repeat("MECH\tPLAIN\n", 10_000),
		"one endless line":  strings.Repeat("MECH\tPLAIN\t", 10_000),
		"no end":            strings.Replace(hello, "DONE\n", "", 1),
		"bytes":             "\x00\xff\x00\n\x01\n",
		"done, and no more": "DONE\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{hello: greeting, answer: func(line string) (string, error) {
				t.Errorf("it was asked: %.20q", line)
				return "OK\t" + number(line) + "\tuser=alice@example.test\n", nil
			}}
			a := newAsker(t, dovecotauth.Config{Socket: s.serve(t)})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := a.Authenticate(ctx, "alice@example.test", account.SecretString("secret"), "s"); !errors.Is(err, down) {
				t.Errorf("%v", err)
			}
			if name == "silence" { // it ends however long who asks would wait
				a.want("alice@example.test", "secret", down)
			}
			if a.Ping(ctx) == nil {
				t.Error("the check finds nothing wrong")
			}
		})
	}
}

// TestAttack15_NoAnswer: a wait ends when its time is over, and a late answer is
// nobody's.
func TestAttack15_NoAnswer(t *testing.T) {
	t.Parallel()
	s := &script{hello: hello, answer: func(line string) (string, error) {
		switch number(line) {
		case "1":
			return "", nil
		case "2":
			return "OK\t1\tuser=alice@example.test\nFAIL\t2\tuser=alice@example.test\n", nil
		}
		return "OK\t" + number(line) + "\tuser=alice@example.test\n", nil
	}}
	a := newAsker(t, dovecotauth.Config{Socket: s.serve(t)})
	a.soon("alice@example.test")
	a.want("alice@example.test", "secret", wrong)
	a.want("alice@example.test", "secret", right)
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// soon asks what will have no answer, on a connection that is there.
func (a asker) soon(user string) {
	a.t.Helper()
	if err := a.Ping(context.Background()); err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := a.Authenticate(ctx, user, account.SecretString("secret"), "s")
	if !errors.Is(err, down) || !errors.Is(err, context.DeadlineExceeded) {
		a.t.Errorf("no answer: %v", err)
	}
}

// TestAttack41_QuestionsDoNotPileUp: a passdb that hangs has as many questions as it
// may, however long ago their askers have gone, and takes new ones when it answers.
func TestAttack41_QuestionsDoNotPileUp(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := &script{hello: hello, answer: func(line string) (string, error) {
		if asked.Add(1); number(line) == "2" {
			return "OK\t1\tuser=alice@example.test\n", nil
		}
		return "", nil
	}}
	a := newAsker(t, dovecotauth.Config{Socket: s.serve(t), Limit: 2})
	reach := func(want int64) {
		t.Helper()
		for began := time.Now(); asked.Load() < want && time.Since(began) < 30*time.Second; {
			a.soon("alice@example.test")
		}
		for range 3 {
			a.soon("alice@example.test")
		}
		if n := asked.Load(); n != want {
			t.Errorf("%d questions, want %d", n, want)
		}
	}
	reach(3) // of which one was answered
	a.Close()
	reach(6) // also a connection's end gives the places back
}

// TestConnectionLife: a connection comes to its end, so that a Dovecot that was told
// to reload gets rid of its old process, and no question is lost on the way.
func TestConnectionLife(t *testing.T) {
	t.Parallel()
	s := &script{hello: hello, answer: func(line string) (string, error) {
		return "OK\t" + number(line) + "\tuser=alice@example.test\n", nil
	}}
	a := newAsker(t, dovecotauth.Config{Socket: s.serve(t), Life: time.Millisecond})
	for began := time.Now(); s.conns.Load() < 20; {
		a.want("alice@example.test", "secret", right)
		if t.Failed() || time.Since(began) > 30*time.Second {
			t.Fatalf("%d connections", s.conns.Load())
		}
	}
}

// TestAttack12_NotAsked: an empty password, and one that PLAIN cannot carry, are wrong
// before Dovecot hears of them, whatever it would say.
func TestAttack12_NotAsked(t *testing.T) {
	t.Parallel()
	s := &script{hello: hello, answer: func(line string) (string, error) {
		return "OK\t" + number(line) + "\tuser=alice@example.test\n", nil
	}}
	a := newAsker(t, dovecotauth.Config{Socket: s.serve(t)})
	for _, password := range []string{"", "\x00", "secret\x00", "a\x00secret", strings.Repeat("x", 1<<20)} {
		a.want("alice@example.test", password, wrong)
	}
	a.want("", "secret", down)
	if s.conns.Load() > 0 {
		t.Error("Dovecot was asked")
	}
}
