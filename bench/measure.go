package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// session is one worker's connection to what is measured. login is one unit of
// work with the account of that number.
type session interface {
	login(account int) error
	close()
}

// contender is one of the things compared. Without open it could not be started,
// and is left out.
type contender struct {
	name string
	open func() (session, error)
}

// row compares contenders at one concurrency. ours is the name of the one that
// every other is a reference for.
type row struct {
	name       string
	concurrent int
	ours       string
	contenders []contender
}

// result is one line of results.json. Ratio is more than 1 where Postern is
// faster.
type result struct {
	Name      string  `json:"name"`
	Ours      float64 `json:"ours"`
	Reference string  `json:"reference"`
	Theirs    float64 `json:"theirs"`
	Unit      string  `json:"unit"`
	Ratio     float64 `json:"ratio"`
}

// measure runs the rounds of a row. Each round takes the contenders in turn, so
// that what else the machine does meets all of them.
func measure(ctx context.Context, o options, r row) ([]result, error) {
	rates := map[string][]float64{}
	for round := range o.rounds + 1 {
		for _, c := range r.contenders {
			if c.open == nil {
				continue
			}
			slice := o.slice
			if round == 0 {
				slice /= 3 // warms up: processes, connections, caches
			}
			rate, err := c.rate(ctx, r.concurrent, slice)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 {
				rates[c.name] = append(rates[c.name], rate)
			}
		}
	}
	return r.results(rates), nil
}

func (r row) results(rates map[string][]float64) []result {
	var list []result
	for _, c := range r.contenders {
		if c.name == r.ours || len(rates[c.name]) == 0 || len(rates[r.ours]) == 0 {
			continue
		}
		ours, theirs := median(rates[r.ours]), median(rates[c.name])
		list = append(list, result{
			Name: r.name, Ours: round(ours), Reference: c.name, Theirs: round(theirs),
			Unit: "logins/s", Ratio: float64(int(ours/theirs*1000+0.5)) / 1000,
		})
	}
	return list
}

// rate is how many logins a second n workers get through.
func (c contender) rate(ctx context.Context, n int, slice time.Duration) (float64, error) {
	sessions, err := c.sessions(n)
	defer func() {
		for _, s := range sessions {
			s.close()
		}
	}()
	if err != nil {
		return 0, err
	}
	var count atomic.Int64
	var failure atomic.Pointer[error]
	began := time.Now()
	var wg sync.WaitGroup
	for i, s := range sessions {
		wg.Go(func() {
			for account := i; time.Since(began) < slice && ctx.Err() == nil && failure.Load() == nil; account += n {
				if err := s.login(account); err != nil {
					failure.Store(&err)
					return
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	if e := failure.Load(); e != nil {
		return 0, *e
	}
	return float64(count.Load()) / time.Since(began).Seconds(), ctx.Err()
}

func (c contender) sessions(n int) (list []session, err error) {
	for range n {
		s, err := c.open()
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
	return list, nil
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// round keeps one digit behind the point.
func round(f float64) float64 { return float64(int(f*10+0.5)) / 10 }
