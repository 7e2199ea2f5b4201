package main

import (
	"cmp"
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
	unit       string // "" is logins/s
	// cpu is the processor time that all who take part have used so far; nil: not known.
	// Unlike rates it hardly depends on what else the machine does.
	cpu func() (time.Duration, error)
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
	// The median and the 99th percentile of a login's duration, in milliseconds.
	OursP50   float64 `json:"ours_p50_ms"`
	TheirsP50 float64 `json:"theirs_p50_ms"`
	OursP99   float64 `json:"ours_p99_ms"`
	TheirsP99 float64 `json:"theirs_p99_ms"`
	// Processor time of a login, in microseconds; 0 where it is not measured.
	OursCPU   float64 `json:"ours_cpu_us,omitempty"`
	TheirsCPU float64 `json:"theirs_cpu_us,omitempty"`
}

// sample is what one slice measured, in the units of result.
type sample struct{ rate, p50, p99, cpu float64 }

// measure runs the rounds of a row. Each round takes the contenders in turn, so
// that what else the machine does meets all of them.
func measure(ctx context.Context, o options, r row) ([]result, error) {
	samples := map[string][]sample{}
	for round := range o.rounds + 1 {
		for _, c := range r.contenders {
			if c.open == nil {
				continue
			}
			slice := o.slice
			if round == 0 {
				slice /= 3 // warms up: processes, connections, caches
			}
			s, err := r.sample(ctx, c, slice)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 {
				samples[c.name] = append(samples[c.name], s)
			}
		}
	}
	return r.results(samples), nil
}

func (r row) results(samples map[string][]sample) []result {
	var list []result
	for _, c := range r.contenders {
		if c.name == r.ours || len(samples[c.name]) == 0 || len(samples[r.ours]) == 0 {
			continue
		}
		ours, theirs := medians(samples[r.ours]), medians(samples[c.name])
		list = append(list, result{
			Name: r.name, Ours: round(ours.rate), Reference: c.name, Theirs: round(theirs.rate),
			Unit: cmp.Or(r.unit, "logins/s"), Ratio: float64(int(ours.rate/theirs.rate*1000+0.5)) / 1000,
			OursP50: round(ours.p50), TheirsP50: round(theirs.p50), OursP99: round(ours.p99), TheirsP99: round(theirs.p99),
			OursCPU: round(ours.cpu), TheirsCPU: round(theirs.cpu),
		})
	}
	return list
}

// sample is the contender's, with the processor time of a login.
func (r row) sample(ctx context.Context, c contender, slice time.Duration) (sample, error) {
	if r.cpu == nil {
		s, _, err := c.sample(ctx, r.concurrent, slice)
		return s, err
	}
	before, err := r.cpu()
	if err != nil {
		return sample{}, err
	}
	s, logins, err := c.sample(ctx, r.concurrent, slice)
	if err != nil {
		return sample{}, err
	}
	after, err := r.cpu()
	s.cpu = float64((after - before).Microseconds()) / float64(logins)
	return s, err
}

// sample is how many logins a second n workers get through, and how long they take.
func (c contender) sample(ctx context.Context, n int, slice time.Duration) (_ sample, logins int, err error) {
	sessions, err := c.sessions(n)
	defer func() {
		for _, s := range sessions {
			s.close()
		}
	}()
	if err != nil {
		return sample{}, 0, err
	}
	took := make([][]time.Duration, len(sessions))
	var failure atomic.Pointer[error]
	began := time.Now()
	var wg sync.WaitGroup
	for i, s := range sessions {
		wg.Go(func() {
			for account := i; time.Since(began) < slice && ctx.Err() == nil && failure.Load() == nil; account += n {
				start := time.Now()
				if err := s.login(account); err != nil {
					failure.Store(&err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if e := failure.Load(); e != nil {
		return sample{}, 0, *e
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return sample{}, 0, ctx.Err()
	}
	slices.Sort(all)
	ms := func(percent int) float64 { return all[len(all)*percent/100].Seconds() * 1000 }
	return sample{rate: float64(len(all)) / elapsed.Seconds(), p50: ms(50), p99: ms(99)}, len(all), ctx.Err()
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

func medians(list []sample) sample {
	of := func(part func(sample) float64) float64 {
		parts := make([]float64, len(list))
		for i, s := range list {
			parts[i] = part(s)
		}
		return median(parts)
	}
	return sample{
		rate: of(func(s sample) float64 { return s.rate }), cpu: of(func(s sample) float64 { return s.cpu }),
		p50: of(func(s sample) float64 { return s.p50 }), p99: of(func(s sample) float64 { return s.p99 }),
	}
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// round keeps one digit behind the point.
func round(f float64) float64 { return float64(int(f*10+0.5)) / 10 }
