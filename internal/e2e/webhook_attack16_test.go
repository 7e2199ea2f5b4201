package e2e

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"testing"

	"postern/internal/desk"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// spent is a login that was let in, and the code it was let in by.
type spent struct {
	user, typed string
	app         *authenticator
	grant       string
}

// ATTACKS 16: a webhook that is killed under load lets nobody in wrongly. Afterwards
// sessions that were granted go on, their codes are spent, and everybody who has a
// fresh one gets in.
func TestAttack16_KilledWebhook(t *testing.T) {
	mailtest.Long(t)
	o := webhookOptions(2)
	o.Settings = maps.Clone(o.Settings)
	o.Settings["policy"] = map[string]any{"totp_tolerance": 10}
	h := hook(fresh(t, o))
	people := make([]spent, 160)
	for i := range people {
		people[i].user = h.user(mailtest.Password)
		added, err := h.desk.AddTOTP(t.Context(), admin, people[i].user, desk.NewTOTP{})
		must(t, err)
		people[i].app = &authenticator{TOTP: added.TOTP}
	}
	load := h.underLoad(people)
	eventually(t, "somebody is in", func() bool { return load.count() > 20 })
	for range 3 {
		before := load.count()
		h.Webmail.Webhooks[0].Kill()
		must(t, h.Webmail.Webhooks[0].Restart(t.Context()))
		eventually(t, "the load goes on", func() bool { return load.count() > before+10 })
	}
	for _, s := range load.stop() {
		h.call(1, "renew", "granted", hooktest.Fields{"grant": s.grant})
	}
	for i := range people {
		p := &people[i]
		if p.grant == "" {
			continue // their turn never came
		}
		begun := h.mustBegin(i%2, p.user)
		if _, status, err := begun.answer("totp", p.typed); err != nil || status != http.StatusUnprocessableEntity {
			t.Errorf("the code that %s was let in by is answered %d, %v", p.user, status, err)
		}
		h.wantExchange(0, "granted", begun.transaction, begun.mustAnswer("totp", p.app.next(t)))
	}
}

// load are logins that go on until they are stopped.
type load struct {
	h    *hooked
	quit context.CancelFunc
	wait sync.WaitGroup

	mu      sync.Mutex
	granted []spent
}

// underLoad lets people sign in again and again, at both daemons, whatever fails.
func (h *hooked) underLoad(people []spent) *load {
	const (
		atOnce = 8
		codes  = 14 // of one person that the policy tolerates
	)
	ctx, quit := context.WithCancel(context.Background())
	l := &load{h: h, quit: quit}
	for first := range atOnce {
		l.wait.Go(func() {
			for i := first; i < len(people); i += atOnce {
				for n := 0; ctx.Err() == nil && n < codes; n++ {
					l.signIn(&people[i], i+n)
				}
			}
		})
	}
	return l
}

// signIn is one whole login. A daemon that is away is no error of the test's; an
// answer that is not to be is.
func (l *load) signIn(p *spent, node int) {
	begun, err := l.h.begin(node%2, p.user, household)
	if err != nil {
		return
	}
	typed := p.app.next(l.h.t)
	code, _, err := begun.answer("totp", typed)
	if err != nil || code == "" {
		return
	}
	// The exchange may be cut off after it was done: then a second one says so.
	a, err := l.h.exchange(node%2, begun.transaction, code)
	if err != nil {
		a, err = l.h.exchange((node+1)%2, begun.transaction, code)
	}
	if err != nil {
		return
	}
	if a.Result != "granted" {
		l.h.t.Errorf("%s: a right code: %s", p.user, a.Raw)
		return
	}
	p.typed, p.grant = typed, a.Grant
	l.mu.Lock()
	l.granted = append(l.granted, *p)
	l.mu.Unlock()
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.granted)
}

// stop ends the load and returns who was let in.
func (l *load) stop() []spent {
	l.quit()
	l.wait.Wait()
	return l.granted
}
