package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/mailclient"
)

// TestRetryOnOneConnection: a wrong password and then a right app password on the
// same connection: the auth policy must not take the second login's first question
// for the first login's second.
func TestRetryOnOneConnection(t *testing.T) {
	eachPolicy(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		app := reveal(w.app(user).Password)
		for _, s := range []mailclient.Service{mailclient.IMAP, mailclient.POP3, mailclient.Sieve, mailclient.Submission} {
			c, err := mailclient.Dial(t.Context(), w.target(s))
			must(t, err)
			for _, try := range []struct {
				password string
				want     mailclient.Outcome
			}{{"wrong", mailclient.Refused}, {"main password", mailclient.Refused}, {"wrong again", mailclient.Refused}, {app, mailclient.OK}} {
				r, err := c.Authenticate(t.Context(), plainClient(user, try.password))
				must(t, err)
				if r.Outcome != try.want {
					t.Errorf("%s: %s, want %v", s, r.Text, try.want)
				}
			}
			_ = c.Close()
		}
	})
}

// TestManyConnectionsAtOnce: mail programs open several, with the same app password,
// at every service.
func TestManyConnectionsAtOnce(t *testing.T) {
	eachPolicy(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		app := reveal(w.app(user).Password)
		w.want(mailclient.OK, user, app) // it has been used before
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				s := mailclient.Services[i%len(mailclient.Services)]
				if r, err := w.try(s, mailclient.MechPlain, user, app); err != nil || r.Outcome != mailclient.OK {
					t.Errorf("%s: %v %v", s, r.Text, err)
				}
			})
		}
		all.Wait()
	})
}

// TestAttack10_StrangersInAHurry: a stranger who sends the same wrong password twice,
// the second time before the first is done, does not learn who has two-factor login.
func TestAttack10_StrangersInAHurry(t *testing.T) {
	eachPolicy(t, func(t *testing.T, w *world) {
		plain, enrolled := w.user("main password"), w.twoFactor(w.user("main password"))
		for round := range 5 {
			said := map[string]map[string]bool{plain: {}, enrolled: {}}
			for user := range said {
				wrong := fmt.Sprint("wrong ", round)
				for _, line := range w.pipelined(user, wrong, 3) {
					said[user][line] = true
				}
				for _, r := range w.atOnce(mailclient.SMTP, user, wrong, 6) {
					said[user][r.Text] = true
				}
			}
			for line := range said[enrolled] {
				if !said[plain][line] {
					t.Errorf("round %d: only with two-factor login: %s", round, line)
				}
			}
		}
	})
}

// pipelined sends n logins by the same password in one write, and returns the answers.
func (w *world) pipelined(user, password string, n int) []string {
	w.t.Helper()
	c, err := net.Dial("tcp", w.target(mailclient.IMAP).Addr)
	must(w.t, err)
	defer func() { _ = c.Close() }()
	must(w.t, c.SetDeadline(time.Now().Add(patience)))
	in := bufio.NewReader(c)
	_, err = in.ReadString('\n')
	must(w.t, err)
	_, err = io.WriteString(c, strings.Repeat(fmt.Sprintf("a LOGIN %s %q\r\n", user, password), n))
	must(w.t, err)
	var lines []string
	for range n {
		line, err := in.ReadString('\n')
		must(w.t, err)
		lines = append(lines, line)
	}
	return lines
}

// atOnce logs in by n connections at the same moment.
func (w *world) atOnce(s mailclient.Service, user, password string, n int) []mailclient.Result {
	w.t.Helper()
	results := make([]mailclient.Result, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { results[i], _ = w.try(s, mailclient.MechPlain, user, password) })
	}
	all.Wait()
	return results
}
