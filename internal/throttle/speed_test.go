package throttle_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/throttle"
)

// PERF.md: at most 100 bytes a tracked key at a million keys, measured with every
// mix of keys that attackers and users can make.
func TestBytesPerKey(t *testing.T) {
	if testing.Short() {
		t.Skip("fills some hundred megabytes")
	}
	s := throttle.Default()
	s.MaxKeys = 6_000_000 // names fill only their own fifth
	for name, fill := range map[string]func(m *throttle.Memory, i int){
		"addresses, accounts and pairs": func(m *throttle.Memory, i int) {
			m.Wrong(ctx, login.Try{Account: account.ID("id" + strconv.Itoa(i)), Client: address(i), Secret: 1}, true)
		},
		"known-good pairs": func(m *throttle.Memory, i int) {
			m.Right(ctx, login.Try{Account: account.ID("id" + strconv.Itoa(i)), Name: strconv.Itoa(i), Client: address(i)})
		},
		"names without an address": func(m *throttle.Memory, i int) {
			m.Wrong(ctx, login.Try{Name: strconv.Itoa(i), Secret: 1}, true)
		},
	} {
		before := heap()
		m := throttle.New(s, time.Now)
		for i := 0; m.Keys() < 1_000_000; {
			for range 1000 {
				fill(m, i)
				i++
			}
		}
		each := float64(heap()-before) / float64(m.Keys())
		t.Logf("%-30s %9d keys, %5.1f bytes each", name, m.Keys(), each)
		if each > 100 {
			t.Errorf("%s: %.1f bytes for each key", name, each)
		}
		runtime.KeepAlive(m)
	}
	t.Logf("records with their name (address, pair, account): %v bytes", throttle.RecordSizes())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// tries are a million of them by 200,000 addresses against 100,000 accounts.
func tries() []login.Try {
	list := make([]login.Try, 1<<20)
	for i := range list {
		n := rand.IntN(100_000)
		list[i] = login.Try{
			Account: account.ID(fmt.Sprintf("5c9ab7e0-1f%08d", n)), Name: fmt.Sprintf("user%d@example.test", n),
			Client: address(rand.IntN(200_000)), Secret: rand.Uint32(),
		}
	}
	return list
}

func benchmark(b *testing.B, op func(m *throttle.Memory, t login.Try)) {
	s := throttle.Default()
	s.MaxKeys = 8_000_000 // room for all; see BenchmarkFull
	m := throttle.New(s, time.Now)
	list := tries()
	for _, t := range list {
		m.Wrong(ctx, t, true)
	}
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuTime()
	var next atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		i := next.Add(1_000_003)
		for pb.Next() {
			i++
			op(m, list[i%uint64(len(list))])
		}
	})
	report(b, start)
}

// report gives operations per second of one core's time, whatever else runs.
func report(b *testing.B, start time.Duration) {
	b.ReportMetric(float64(b.N)/(cpuTime()-start).Seconds(), "ops/core-s")
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkPrefix(b *testing.B) {
	benchmark(b, func(m *throttle.Memory, t login.Try) { m.Prefix(ctx, t) })
}

func BenchmarkAccount(b *testing.B) {
	benchmark(b, func(m *throttle.Memory, t login.Try) { m.Account(ctx, t) })
}

func BenchmarkWrong(b *testing.B) {
	benchmark(b, func(m *throttle.Memory, t login.Try) { m.Wrong(ctx, t, true) })
}

func BenchmarkRight(b *testing.B) {
	benchmark(b, func(m *throttle.Memory, t login.Try) { m.Right(ctx, t) })
}

// BenchmarkFull is a flood of fresh names against a full table: each pushes out others.
func BenchmarkFull(b *testing.B) {
	s := throttle.Default()
	s.MaxKeys = 100_000
	m := throttle.New(s, time.Now)
	b.ReportAllocs()
	start := cpuTime()
	for i := range b.N {
		m.Wrong(ctx, login.Try{Name: strconv.Itoa(i), Client: address(i), Secret: 1}, true)
	}
	report(b, start)
}

// Many goroutines on few keys, in a table that is always full; for the race detector.
func TestConcurrentUse(t *testing.T) {
	s := throttle.Default()
	s.MaxKeys = 1000
	m := throttle.New(s, time.Now)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			for range 2000 {
				hammer(m, rng)
			}
		})
	}
	wg.Wait()
	if m.Keys() > 1000 {
		t.Errorf("%d keys", m.Keys())
	}
}

func hammer(m login.Throttle, rng *rand.Rand) {
	n := rng.IntN(1500)
	try := login.Try{Account: account.ID(strconv.Itoa(n)), Name: strconv.Itoa(n / 2), Client: address(n / 3), Secret: rng.Uint32N(9)}
	switch rng.IntN(4) {
	case 0:
		m.Prefix(ctx, try)
	case 1:
		m.Account(ctx, try)
	case 2:
		m.Wrong(ctx, try, n%2 == 0)
	case 3:
		m.Right(ctx, try)
	}
}
