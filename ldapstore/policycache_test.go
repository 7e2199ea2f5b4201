package ldapstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"postern/internal/account"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

// watched is a directory whose searches are counted on their way.
type watched struct {
	*harness
	searches atomic.Int64
	clock    atomic.Int64 // nanoseconds that the store's clock is ahead
}

func newWatched(t *testing.T, slapd *mailtest.Slapd, layout string) *watched {
	t.Helper()
	w := &watched{}
	uri := peer(t, func(c net.Conn) { w.relay(c, strings.TrimPrefix(slapd.URI(), "ldap://")) })
	ring := newRing(t)
	w.harness = &harness{openStore(t, slapd, ring, func(c *Config) { c.ReadURIs, c.Layout = []string{uri}, layout }), slapd, ring}
	began := time.Now()
	w.now = func() time.Time { return began.Add(time.Duration(w.clock.Load())) }
	return w
}

// relay passes a connection on to the server.
func (w *watched) relay(c net.Conn, address string) {
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(c, server)
		_ = c.Close()
	}()
	for {
		p, err := ber.ReadPacket(c)
		if err != nil {
			return
		}
		if len(p.Children) > 1 && p.Children[1].Tag == searchRequest {
			w.searches.Add(1)
		}
		if _, err := server.Write(p.Bytes()); err != nil {
			return
		}
	}
}

func (w *watched) later(d time.Duration) { w.clock.Add(int64(d)) }

// TestOneSearchPerLogin: policies of domains and classes cost a login nothing.
func TestOneSearchPerLogin(t *testing.T) {
	slapd := policySlapd(t)
	for layout, each := range map[string]int64{LayoutEntry: 1, LayoutSubtree: 2} {
		t.Run(layout, func(t *testing.T) {
			w := newWatched(t, slapd, layout)
			mail, _ := w.enrolled(t)
			w.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"}`)
			w.setPolicy(t, "class "+layout, `{"app_passwords":false}`)
			w.find(t, mail)
			before := w.searches.Load()
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 25 {
						if e := w.resolve(t, mail); e.TwoFactor != policy.Mandatory {
							t.Error(e.TwoFactor)
						}
					}
				})
			}
			wg.Wait()
			if n := w.searches.Load() - before; n != 100*each {
				t.Errorf("100 logins made %d searches, want %d", n, 100*each)
			}
		})
	}
}

// TestPolicyAge: what somebody else changed holds after PolicyAge at the latest, and
// before that without anybody waiting for it.
func TestPolicyAge(t *testing.T) {
	slapd := policySlapd(t)
	w, other := newWatched(t, slapd, LayoutEntry), newHarness(t, slapd, nil)
	mail := w.user(t, nil)
	has := func(want policy.TwoFactor) bool { return w.resolve(t, mail).TwoFactor == want }
	if !has(policy.Optional) {
		t.Fatal("a policy from nowhere")
	}
	other.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"}`)
	if w.later(policyRefresh - time.Millisecond); !has(policy.Optional) {
		t.Error("read again too soon")
	}
	w.later(2 * time.Millisecond) // the background reads
	deadline := time.Now().Add(30 * time.Second)
	for !has(policy.Mandatory) {
		if time.Now().After(deadline) {
			t.Fatal("never read again")
		}
	}
	other.setPolicy(t, "domain example.test", `{"twofactor":"off"}`)
	if w.later(PolicyAge); !has(policy.Off) {
		t.Error("too old")
	}
	other.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"}`)
	if w.later(-time.Hour); !has(policy.Mandatory) {
		t.Error("a clock that went back made it young")
	}
	// Own changes hold at once.
	if w.setPolicy(t, "domain example.test", `{"twofactor":"optional"}`); !has(policy.Optional) {
		t.Error("an own change is not seen")
	}
}

// TestAttack15_PoliciesNotRead: nobody logs in by policies that could not be read, nor
// by such as are too old; who is unknown cannot be told from who is known by it.
func TestAttack15_PoliciesNotRead(t *testing.T) {
	slapd := policySlapd(t)
	w := newWatched(t, slapd, LayoutEntry)
	mail := w.user(t, nil)
	w.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"}`)
	w.find(t, mail)
	must(t, slapd.Configure(context.Background(), `dn: olcDatabase={1}mdb,cn=config
changetype: modify
add: olcAccess
olcAccess: {0}to dn.subtree="`+mailtest.PosternBase+`" by * none
`))
	if e := w.resolve(t, mail); e.TwoFactor != policy.Mandatory {
		t.Error(e.TwoFactor)
	}
	w.later(PolicyAge)
	fresh := newHarness(t, slapd, nil)
	for _, name := range []string{mail, "nobody@example.test"} {
		for who, s := range map[string]*Store{"known before": w.Store, "never known": fresh.Store} {
			_, err := s.Find(context.Background(), name)
			if !errors.Is(err, account.ErrUnavailable) || errors.Is(err, account.ErrUnknown) {
				t.Errorf("%s, %s: %v", name, who, err)
			}
		}
	}
	must(t, slapd.Configure(context.Background(), `dn: olcDatabase={1}mdb,cn=config
changetype: modify
delete: olcAccess
olcAccess: {0}
`))
	for who, h := range map[string]*harness{"known before": w.harness, "never known": fresh} {
		if e := h.resolve(t, mail); e.TwoFactor != policy.Mandatory {
			t.Errorf("%s: %s", who, e.TwoFactor)
		}
	}
}

// TestPolicyForgetDuringFlight: what was read before a change is neither given to
// who asks after it, nor kept.
func TestPolicyForgetDuringFlight(t *testing.T) {
	readings := make(chan chan *policy.Site)
	p := policies{now: time.Now, read: func(time.Time) (*policy.Site, error) {
		answer := make(chan *policy.Site)
		readings <- answer
		return <-answer, nil
	}}
	got := make(chan *policy.Site, 1)
	get := func() {
		s, err := p.get(context.Background())
		if err != nil {
			t.Error(err)
		}
		got <- s
	}
	_, first, _ := p.current(context.Background())
	early := receive(t, readings)
	p.forget()
	go get()
	late := receive(t, readings)
	old, fresh := &policy.Site{}, &policy.Site{Stray: []string{"fresh"}}
	late <- fresh
	if s := receive(t, got); s != fresh {
		t.Error("got what was read before the change")
	}
	early <- old
	receive(t, first.done)
	if known, _, _ := p.current(context.Background()); known != fresh {
		t.Error("the early reading has replaced the late one")
	}

	// Who gives up waiting does not end the reading for others.
	p.forget()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := p.get(ctx)
	wantErr(t, err, account.ErrUnavailable)
	go get()
	receive(t, readings) <- fresh
	if s := receive(t, got); s != fresh {
		t.Error("the reading was lost")
	}
}

// TestPolicyFlightOfAnother: who waits for a reading that another began, and that ran
// out of the other's time, has time of one's own.
func TestPolicyFlightOfAnother(t *testing.T) {
	limits := make(chan time.Time)
	answers := make(chan error)
	p := policies{now: time.Now, read: func(limit time.Time) (*policy.Site, error) {
		limits <- limit
		err := <-answers
		return &policy.Site{}, err
	}}
	hurried, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	results := make(chan error, 1)
	_, f, mine := p.current(hurried)
	if until, _ := hurried.Deadline(); !mine || !receive(t, limits).Equal(until) {
		t.Error("who waits does not limit the reading")
	}
	patient := &arriving{Context: context.Background(), arrived: make(chan struct{})}
	go func() {
		_, err := p.get(patient)
		results <- err
	}()
	receive(t, patient.arrived)
	answers <- account.ErrUnavailable
	if _, err := f.wait(hurried); !errors.Is(err, account.ErrUnavailable) {
		t.Error(err)
	}
	if !receive(t, limits).IsZero() {
		t.Error("the second reading has the first one's limit")
	}
	answers <- nil
	if err := receive(t, results); err != nil {
		t.Error(err)
	}
}

// arriving tells when somebody begins to wait for it.
type arriving struct {
	context.Context
	once    sync.Once
	arrived chan struct{}
}

func (a *arriving) Done() <-chan struct{} {
	a.once.Do(func() { close(a.arrived) })
	return a.Context.Done()
}

// receive waits, but not for ever.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nobody answers")
		panic("unreachable")
	}
}
