package throttle_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/throttle"
)

// node is one policyserver's throttle, with what it said.
type node struct {
	*throttle.Shared
	mu    sync.Mutex
	log   bytes.Buffer
	hooks []bool
}

func (n *node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

func (n *node) said() (string, []bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String(), slices.Clone(n.hooks)
}

func newNode(t testing.TB, r *mailtest.Redis, now func() time.Time, o throttle.RedisOptions) *node {
	t.Helper()
	n := &node{}
	o.URL, o.Password, o.Key = r.URL(), account.NewSecret([]byte(r.Password)), bytes.Repeat([]byte("k"), 32)
	o.Log = slog.New(slog.NewTextHandler(n, nil))
	o.Degraded = func(b bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.hooks = append(n.hooks, b)
	}
	var err error
	if n.Shared, err = throttle.NewShared(throttle.New(throttle.Default(), now), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// patient is for tests of the rules on a busy machine.
var patient = throttle.RedisOptions{Deadline: 5 * time.Second}

// The script and the Go code give the same answers to the same random history.
func TestSharedLikeMemory(t *testing.T) {
	r := mailtest.NewRedis(t)
	c := newClock()
	rng := rand.New(rand.NewPCG(7, 7))
	shared := newNode(t, r, c.now, patient)
	memory := throttle.New(throttle.Default(), c.now)
	limits := map[string]int{}
	for i := range 30_000 {
		try := randomTry(rng)
		what := rng.IntN(10)
		a, b := act(memory, try, what), act(shared, try, what)
		if a != b {
			t.Fatalf("step %d, action %d, %+v: memory %+v, Redis %+v", i, what, try, a, b)
		}
		limits[fmt.Sprint(a.Limit, a.Refuse)]++
		c.pass(time.Duration(rng.IntN(6)) * time.Second)
		switch rng.IntN(2000) {
		case 0:
			c.pass(40 * time.Hour)
		case 1:
			c.pass(-20 * time.Second)
		}
	}
	t.Log("advice given:", limits)
	for _, l := range []string{"prefixtrue", "prefixfalse", "accounttrue", "accountfalse", "bindstrue", "repeattrue"} {
		if limits[l] == 0 {
			t.Errorf("the history never led to %s", l)
		}
	}
	if shared.Degraded() {
		t.Error("memory answered instead of Redis")
	}
}

// randomTry comes from few people at few addresses, so that limits are reached.
func randomTry(rng *rand.Rand) login.Try {
	n := rng.IntN(20)
	try := login.Try{Account: account.ID("id" + strconv.Itoa(n)), Name: "n" + strconv.Itoa(rng.IntN(30)), Secret: rng.Uint32N(16)}
	switch rng.IntN(10) {
	case 0:
		try.Account = ""
	case 1:
		try.Name = ""
	}
	switch k := rng.IntN(12); {
	case k < 4:
		try.Client = addr(fmt.Sprintf("2001:db8:%x:%x::%x", k%2, rng.IntN(3), rng.IntN(1000)))
	case k == 4:
		try.Client = addr("127.0.0.1")
	case k > 5: // and 5: no address
		try.Client = address(rng.IntN(8))
	}
	return try
}

func act(th login.Throttle, try login.Try, what int) login.Advice {
	switch {
	case what < 3:
		return th.Prefix(ctx, try)
	case what < 6:
		return th.Account(ctx, try)
	case what < 9:
		th.Wrong(ctx, try, what < 8)
	default:
		if try.Secret < 3 {
			th.Right(ctx, try)
		}
	}
	return login.Advice{}
}

func TestSharedKnownGoodNameIsBounded(t *testing.T) {
	testKnownGoodName(t, newNode(t, mailtest.NewRedis(t), newClock().now, patient))
}

func TestNodesShareCounters(t *testing.T) {
	r := mailtest.NewRedis(t)
	c := newClock()
	a, b := newNode(t, r, c.now, patient), newNode(t, r, c.now, patient)
	attempt(a, from(home, 1), true)
	for i := range 3 {
		expect(t, "guess", attempt([]login.Throttle{a, b}[i%2], from(address(i), uint32(i+2)), false), "0s")
	}
	expect(t, "on the other node", attempt(b, from(address(7), 7), false), "refused: binds")
	expect(t, "known-good on the other node", attempt(b, from(home, 8), true), "0s")
}

// Redis holds no names and addresses, and nothing for ever.
func TestRedisHoldsNoNames(t *testing.T) {
	r := mailtest.NewRedis(t)
	n := newNode(t, r, time.Now, patient)
	attempt(n, from(home, 1), false)
	attempt(n, from(home, 2), true)
	n.Wrong(ctx, login.Try{Name: "nobody@example.test", Client: addr("2001:db8::1"), Secret: 3}, true)
	keys := strings.Fields(redisCLI(t, r, "--scan"))
	if len(keys) < 8 {
		t.Errorf("only %q", keys)
	}
	for _, k := range keys {
		value := redisCLI(t, r, "get", k)
		for _, secret := range []string{"alice", "nobody", "198.51", "2001:db8", "example"} {
			if strings.Contains(k+value, secret) {
				t.Errorf("%s = %q shows %s", k, value, secret)
			}
		}
		if ttl, err := strconv.Atoi(strings.TrimSpace(redisCLI(t, r, "ttl", k))); err != nil || ttl <= 0 {
			t.Errorf("%s lives for ever (%d, %v)", k, ttl, err)
		}
	}
}

func redisCLI(t *testing.T, r *mailtest.Redis, args ...string) string {
	t.Helper()
	cmd := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(r.Port)}, args...)...)
	cmd.Env = append(cmd.Environ(), "REDISCLI_AUTH="+r.Password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// ATTACKS 17: Redis hangs or is killed in the middle. Answers come within the
// deadline from memory, which knows what this node saw; it is said once; and when
// Redis is back, nodes count together again.
func TestAttack17_RedisDownOrSlow(t *testing.T) {
	for name, fault := range map[string]struct{ cause, end func(r *mailtest.Redis) error }{
		"paused": {(*mailtest.Redis).Pause, (*mailtest.Redis).Resume},
		"killed": {func(r *mailtest.Redis) error { r.Kill(); return nil },
			func(r *mailtest.Redis) error { return r.Start(context.Background()) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := mailtest.NewRedis(t)
			n := newNode(t, r, time.Now, throttle.RedisOptions{Deadline: 200 * time.Millisecond, Probe: 20 * time.Millisecond})
			for i := range 3 {
				expect(t, "before", attempt(n, from(address(i), uint32(i+1)), false), "0s")
			}
			if n.Degraded() {
				t.Fatal("degraded from the start: ", n.log.String())
			}
			if err := fault.cause(r); err != nil {
				t.Fatal(err)
			}
			during(t, n)
			if err := fault.end(r); err != nil {
				t.Fatal(err)
			}
			after(t, n)
		})
	}
}

func during(t *testing.T, n *node) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 16 { // all at once, the first ones to notice
		wg.Go(func() {
			start := time.Now()
			a := n.Account(ctx, from(address(100+i), uint32(100+i)))
			if took := time.Since(start); took > 700*time.Millisecond { // the deadline, on a busy machine
				t.Errorf("answered after %v", took)
			}
			if a.Limit != throttle.LimitBinds {
				t.Errorf("memory forgot: %+v", a)
			}
		})
	}
	wg.Wait()
	start := time.Now()
	for range 1000 {
		n.Prefix(ctx, from(home, 1))
	}
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("1000 answers without Redis took %v", took)
	}
	time.Sleep(300 * time.Millisecond) // some probes
	log, hooks := n.said()
	if strings.Count(log, "does not answer") != 1 || !slices.Equal(hooks, []bool{true}) {
		t.Errorf("said %q, told %v", log, hooks)
	}
	if strings.Contains(log, mailtest.Password) {
		t.Error("the log shows the password")
	}
}

func after(t *testing.T, n *node) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); n.Degraded() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	log, hooks := n.said()
	if !slices.Equal(hooks, []bool{true, false}) || strings.Count(log, "answers again") != 1 {
		t.Errorf("said %q, told %v", log, hooks)
	}
	n.Prefix(ctx, from(home, 1))
	if n.Degraded() {
		t.Error("lost again at once")
	}
}

// A client that hangs up right after its guess is counted on all nodes.
func TestHangingUpIsCounted(t *testing.T) {
	r := mailtest.NewRedis(t)
	a, b := newNode(t, r, time.Now, patient), newNode(t, r, time.Now, patient)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for i := range 3 {
		a.Wrong(gone, from(address(i), uint32(i+1)), true)
	}
	expect(t, "on the other node", attempt(b, from(home, 9), true), "refused: binds")
	if a.Degraded() {
		t.Error("degraded")
	}
}

// Redis that was never there, and Close while it is missed.
func TestNoRedisAtAll(t *testing.T) {
	r := mailtest.NewRedis(t)
	r.Kill()
	n := newNode(t, r, time.Now, throttle.RedisOptions{})
	expect(t, "without Redis", attempt(n, from(home, 1), true), "0s")
	if !n.Degraded() {
		t.Error("not degraded")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	expect(t, "after Close", attempt(n, from(home, 1), true), "0s")
}

func TestSharedOptions(t *testing.T) {
	m := throttle.New(throttle.Default(), time.Now)
	for name, o := range map[string]throttle.RedisOptions{
		"no key":  {URL: "redis://localhost"},
		"bad URL": {URL: "http://localhost", Key: make([]byte, 16)},
	} {
		if _, err := throttle.NewShared(m, o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSharedConcurrently(t *testing.T) {
	n := newNode(t, mailtest.NewRedis(t), time.Now, patient)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(g)))
			for range 50 {
				hammer(n, rng)
			}
		})
	}
	wg.Wait()
	if n.Degraded() {
		log, _ := n.said()
		t.Error(log)
	}
}

func BenchmarkShared(b *testing.B) {
	n := newNode(b, mailtest.NewRedis(b), time.Now, throttle.RedisOptions{})
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		rng := rand.New(rand.NewPCG(1, rand.Uint64()))
		for pb.Next() {
			hammer(n, rng)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	if n.Degraded() {
		b.Error("Redis was too slow")
	}
}
