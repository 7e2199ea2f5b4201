package e2e

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postern/internal/mailclient"
)

// outage is something that stops answering and comes back.
type outage struct {
	name       string
	begin, end func(w *world) error
}

var outages = []outage{
	{"slapd stopped",
		func(w *world) error { w.Slapd.Shutdown(); return nil },
		func(w *world) error { return w.Slapd.Restart(context.Background()) }},
	{"slapd paused",
		func(w *world) error { return w.Slapd.Pause() },
		func(w *world) error { return w.Slapd.Resume() }},
	{"policyserver stopped",
		func(w *world) error { w.Policyserver.Stop(); return nil },
		func(w *world) error { return w.Policyserver.Restart(context.Background()) }},
	{"policyserver killed",
		func(w *world) error { w.Policyserver.Kill(); return nil },
		func(w *world) error { return w.Policyserver.Restart(context.Background()) }},
	{"policyserver hangs",
		func(w *world) error { return w.Policyserver.Signal(syscall.SIGSTOP) },
		func(w *world) error { return w.Policyserver.Signal(syscall.SIGCONT) }},
	{"policyserver started before slapd",
		func(w *world) error { w.Slapd.Shutdown(); return w.Policyserver.RestartUnready(context.Background()) },
		func(w *world) error { return w.Slapd.Restart(context.Background()) }},
}

// TestAttack15_Outages: while something is down every service says "try later",
// soon, and neither "wrong password" nor "welcome", although the passdb behind
// ours knows the password. Afterwards everything works without help. Postfix has
// no word for "later" (its refusal is the one exception).
func TestAttack15_Outages(t *testing.T) {
	eachHostile(t, func(t *testing.T, w *world) {
		user := w.user(laterPassword)
		app := reveal(w.app(user).Password)
		for _, o := range outages {
			w.want(mailclient.OK, user, app)
			w.want(mailclient.OK, user, laterPassword)
			must(t, o.begin(w))
			w.outage(o.name, user, laterPassword, app)
			must(t, o.end(w))
			eventually(t, "recovery from: "+o.name, func() bool {
				r, err := w.try(mailclient.IMAP, mailclient.MechPlain, user, app)
				return err == nil && r.Outcome == mailclient.OK
			})
		}
		w.want(mailclient.OK, user, laterPassword)
	})
}

// soon is the doors' own deadline (8 s in postern.lua) with room for a busy machine.
const soon = 13 * time.Second

// outage tries passwords at every service at once.
func (w *world) outage(name, user string, passwords ...string) {
	w.t.Helper()
	began := time.Now()
	var all sync.WaitGroup
	for _, p := range passwords {
		all.Go(func() {
			w.everywhere(mailclient.MechPlain, user, p, func(s mailclient.Service, r mailclient.Result) {
				want := mailclient.Temporary
				if s == mailclient.SMTP {
					want = mailclient.Refused
				}
				if r.Outcome != want {
					w.t.Errorf("%s: %s: %v (%s), want %v", name, s, r.Outcome, r.Text, want)
				}
			})
		})
	}
	all.Wait()
	if took := time.Since(began); took > soon {
		w.t.Errorf("%s: took %v", name, took)
	}
}

// TestAttack16_Kill kills the policyserver again and again under load: nobody gets
// in who must not, and afterwards everybody does who may.
func TestAttack16_Kill(t *testing.T) {
	eachHostile(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user(laterPassword))
		app, revoked := reveal(w.app(user).Password), w.revoked(user)
		ctx, cancel := context.WithCancel(t.Context())
		var tries, good atomic.Int64
		var load sync.WaitGroup
		for i := range 12 {
			password := []string{app, revoked, laterPassword, "wrong"}[i%4]
			load.Go(func() {
				for ctx.Err() == nil {
					r, err := w.try(mailclient.Services[i%len(mailclient.Services)], mailclient.MechPlain, user, password)
					tries.Add(1)
					switch {
					case err != nil || r.Outcome != mailclient.OK:
					case password == app:
						good.Add(1)
					default:
						t.Errorf("let in with %s", password)
					}
				}
			})
		}
		for range 4 {
			done, fine := tries.Load()+12, good.Load()
			eventually(t, "logins go on", func() bool { return tries.Load() > done && good.Load() > fine })
			w.Policyserver.Kill()
			done = tries.Load() + 6
			eventually(t, "logins without policyserver", func() bool { return tries.Load() > done })
			must(t, w.Policyserver.Restart(ctx))
		}
		cancel()
		load.Wait()
		w.everywhere(mailclient.MechPlain, user, app, func(s mailclient.Service, r mailclient.Result) {
			if r.Outcome != mailclient.OK {
				t.Errorf("afterwards: %s: %s", s, r.Text)
			}
		})
	})
}
