package dovecotauth_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/dovecotauth"
	"postern/internal/mailtest"
)

func TestMain(m *testing.M) { mailtest.Main(m) }

// passdb is a site's own, a file.
var passdb = map[mailtest.Version]string{
	mailtest.V23: "passdb {\n driver = passwd-file\n args = @DIR@/users\n}\n",
	mailtest.V24: "passdb passwd-file {\n passwd_file_path = @DIR@/users\n}\n",
}

// start starts a Dovecot that knows some users, without any part of Postern's.
func start(t *testing.T, v mailtest.Version, o mailtest.DovecotOptions, users ...string) *mailtest.Dovecot {
	t.Helper()
	mailtest.Long(t)
	d, err := mailtest.PrepareDovecot(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.Log())
		}
		d.Stop()
	})
	if err := os.WriteFile(filepath.Join(d.Dir, "users"), []byte(strings.Join(users, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.Version, o.MainPassword, o.Passdb = v, true, passdb[v]
	if err := d.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return d
}

func versions(t *testing.T, f func(*testing.T, mailtest.Version)) {
	t.Parallel()
	for _, v := range []mailtest.Version{mailtest.V23, mailtest.V24} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			f(t, v)
		})
	}
}

// asker asks, and knows what may come of it.
type asker struct {
	*dovecotauth.Client
	t *testing.T
}

func newAsker(t *testing.T, c dovecotauth.Config) asker {
	t.Helper()
	if c.Service == "" {
		c.Service = "postern-main"
	}
	client := dovecotauth.New(c)
	t.Cleanup(client.Close)
	return asker{client, t}
}

func (a asker) ask(user, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return a.Authenticate(ctx, user, account.SecretString(password), "s1")
}

// want asks. The outcomes never mix: an error is one of the two kinds and no other.
func (a asker) want(user, password string, want error) {
	a.t.Helper()
	err := a.ask(user, password)
	wrong, down := errors.Is(err, account.ErrWrong), errors.Is(err, dovecotauth.ErrUnavailable)
	if !errors.Is(err, want) || err != nil && wrong == down {
		a.t.Errorf("%s: %v, want %v", user, err, want)
	}
	if err != nil && password != "" && strings.Contains(err.Error(), password) {
		a.t.Errorf("the error shows the password: %v", err)
	}
}

var (
	right error
	wrong = account.ErrWrong
	down  = dovecotauth.ErrUnavailable
)

const odd = "p\u00e4ss \x7f=%,\"'\\{}" // what files and shells trip over

func TestAnswers(t *testing.T) {
	versions(t, func(t *testing.T, v mailtest.Version) {
		d := start(t, v, mailtest.DovecotOptions{}, "alice@example.test:{PLAIN}secret", "bob@example.test:{PLAIN}"+odd,
			"carol@example.test:{PLAIN}secret::::::user=mallory@example.test", "dave@example.test:{PLAIN}secret::::::user=dave",
			"erin@example.test:{PLAIN}secret::::::allow_nets=192.0.2.0/24", "frank@example.test:{PLAIN}secret::::::allow_nets=local",
			"broken@example.test:{NOSUCH}secret")
		a := newAsker(t, dovecotauth.Config{Socket: d.AuthSocket()})
		if err := a.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			a.want("alice@example.test", "secret", right)
			a.want("Alice@Example.test", "secret", right) // as auth_username_format will have it
			a.want("alice@example.test", "Secret", wrong)
			a.want("alice@example.test", "secret ", wrong)
			a.want("bob@example.test", odd, right)
			a.want("nobody@example.test", "secret", wrong)
			a.want("alice@example.test", "", wrong)
			a.want("alice@example.test", "sec\tret", wrong)
			a.want("alice@example.test", "secret\x00", wrong)
			a.want("alice@example.test", "secret\n", wrong)
			a.want("alice@example.test", strings.Repeat("x", 5000), wrong)
			a.want("alice@example.test", strings.Repeat("x", 20000), wrong)
			a.want("", "secret", down)
			a.want("alice\x00mallory", "secret", down)
			a.want("alice\tservice=imap", "secret", wrong)
			// A passdb that answers for another user says nothing about this one.
			a.want("carol@example.test", "secret", down)
			a.want("dave@example.test", "secret", right)
			a.want("erin@example.test", "secret", wrong) // nobody's address is in no network
			a.want("frank@example.test", "secret", right)
		}
		if strings.Contains(d.Log(), "BUG") {
			t.Errorf("Dovecot complains of us")
		}
	})
}

// TestParallel: answers come in any order, and each to who asked.
func TestParallel(t *testing.T) {
	versions(t, func(t *testing.T, v mailtest.Version) {
		var users []string
		for i := range 24 {
			users = append(users, fmt.Sprintf("u%d@example.test:{PLAIN}secret of %d", i, i))
		}
		d := start(t, v, mailtest.DovecotOptions{}, users...)
		a := newAsker(t, dovecotauth.Config{Socket: d.AuthSocket(), Life: 20 * time.Millisecond})
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				for j := range 10 {
					want := right
					if (i+j)%3 == 0 && i != j {
						want = wrong
						a.want(fmt.Sprintf("u%d@example.test", i), fmt.Sprintf("secret of %d", j+24), want)
						continue
					}
					a.want(fmt.Sprintf("u%d@example.test", i), fmt.Sprintf("secret of %d", i), want)
				}
			})
		}
		wg.Wait()
	})
}

// TestAttack15_DovecotAway: stopped, hanging and back, without ever a word about the
// password.
func TestAttack15_DovecotAway(t *testing.T) {
	versions(t, func(t *testing.T, v mailtest.Version) {
		d := start(t, v, mailtest.DovecotOptions{}, "alice@example.test:{PLAIN}secret")
		var complaints atomic.Int64
		a := newAsker(t, dovecotauth.Config{Socket: d.AuthSocket(), Failed: func(error) { complaints.Add(1) }})
		a.want("alice@example.test", "secret", right)
		d.Shutdown()
		for range 3 {
			a.want("alice@example.test", "secret", down)
			a.want("alice@example.test", "another", down)
		}
		if a.Ping(t.Context()) == nil {
			t.Error("the check finds nothing wrong")
		}
		if n := complaints.Load(); n < 1 || n > 2 {
			t.Errorf("%d complaints about one reason", n)
		}
		if err := d.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.want("alice@example.test", "secret", right)
		a.want("alice@example.test", "another", wrong)
	})
}

// TestReload: after a reload the new configuration is asked.
func TestReload(t *testing.T) {
	versions(t, func(t *testing.T, v mailtest.Version) {
		o := mailtest.DovecotOptions{Files: map[string]string{"new": "alice@example.test:{PLAIN}new\n"}}
		d := start(t, v, o, "alice@example.test:{PLAIN}old")
		a := newAsker(t, dovecotauth.Config{Socket: d.AuthSocket(), Life: 200 * time.Millisecond})
		a.want("alice@example.test", "old", right)
		o.Version, o.MainPassword, o.Passdb = v, true, strings.Replace(passdb[v], "users", "new", 1)
		if err := d.Reconfigure(o); err != nil {
			t.Fatal(err)
		}
		if out, err := d.Doveadm(t.Context(), "reload"); err != nil {
			t.Fatal(out, err)
		}
		for began := time.Now(); a.ask("alice@example.test", "new") != nil; {
			if time.Since(began) > 30*time.Second {
				t.Fatal("the old configuration is asked still")
			}
		}
		a.want("alice@example.test", "old", wrong)
	})
}

// TestNoDelay: 2.4 tells Postern of a wrong password at once, whatever its settings
// for clients; postern.lua does the same on 2.3.
func TestNoDelay(t *testing.T) {
	t.Parallel()
	d := start(t, mailtest.V24, mailtest.DovecotOptions{ShippedDelays: true, Extra: "auth_failure_delay = 100s\n"}, "alice@example.test:{PLAIN}secret")
	newAsker(t, dovecotauth.Config{Socket: d.AuthSocket()}).want("alice@example.test", "another", wrong)
}
