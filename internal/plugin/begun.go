package plugin

import (
	"sync"
	"time"

	"postern/internal/factor"
)

// begun remembers the questions that wait for an answer: who loads a page again, or
// changes its language, gets the same question and no second message. It is a
// convenience of one node; limits on messages are the plug-in's.
type begun struct {
	mu sync.Mutex
	of map[string]question
}

type question struct {
	response factor.Response
	until    time.Time
}

const maxBegun = 10_000

func (b *begun) get(key string, now time.Time) (factor.Response, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, ok := b.of[key]
	return q.response, ok && now.Before(q.until)
}

func (b *begun) put(key string, r factor.Response, now, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = make(map[string]question)
	}
	if len(b.of) >= maxBegun {
		b.forget(now)
	}
	b.of[key] = question{r, until}
}

// forget drops what is over, and everything if that is nothing.
func (b *begun) forget(now time.Time) {
	for k, q := range b.of {
		if !now.Before(q.until) {
			delete(b.of, k)
		}
	}
	if len(b.of) >= maxBegun {
		clear(b.of)
	}
}

func (b *begun) drop(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, key)
}
