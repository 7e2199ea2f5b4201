package ldapstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
)

// BenchmarkFind is the one search of every login, with the median as p50-µs.
func BenchmarkFind(b *testing.B) {
	for _, layout := range []string{LayoutEntry, LayoutSubtree} {
		for _, apps := range []int{1, 50} {
			h := newHarness(b, directory, func(c *Config) { c.Layout = layout })
			mail := h.user(b, nil)
			a := h.find(b, mail)
			for range apps {
				h.apply(b, a, account.Edit{Now: record(account.KindApp, "a body of the usual size, forty-odd bytes")})
			}
			b.Run(fmt.Sprintf("%s/%d", layout, apps), func(b *testing.B) {
				b.ReportAllocs()
				took := make([]time.Duration, 0, b.N)
				for b.Loop() {
					start := time.Now()
					h.find(b, mail)
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
			})
		}
	}
}

func BenchmarkFindParallel32(b *testing.B) {
	h := newHarness(b, directory, nil)
	mail := h.user(b, nil)
	h.apply(b, h.find(b, mail), account.Edit{Now: record(account.KindApp, "x")})
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 32 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				h.find(b, mail)
			}
		})
	}
	wg.Wait()
}

func BenchmarkSwap(b *testing.B) {
	h := newHarness(b, directory, nil)
	_, a := h.enrolled(b)
	id := a.Values(account.KindApp)[0].ID
	for b.Loop() {
		was, err := a.Record(account.KindApp, id)
		if err != nil {
			b.Fatal(err)
		}
		now := was
		now.Used.At = time.Now()
		h.apply(b, a, account.Edit{Was: &was, Now: &now})
	}
}

func BenchmarkBind(b *testing.B) {
	h := newHarness(b, directory, nil)
	mail := h.user(b, nil)
	a := h.find(b, mail)
	password := account.SecretString("secret of " + mail)
	for b.Loop() {
		if err := h.Bind(context.Background(), a, password); err != nil {
			b.Fatal(err)
		}
	}
}
