package login

import (
	"sync"
	"time"
)

// answers are accounts as Answer has read them, for the exchange that follows in a
// moment, at the same node most of the time. What is kept decides nothing by itself: the
// Modify is made only if the entry is still the one that was read (Account.Asserted), so
// a revocation between the two is seen as if the account had been read again. What no
// entry tells, the site's policies and the clock, is older by keepFor at most.
type answers struct {
	mu sync.Mutex
	of map[[16]byte]keptAnswer
}

type keptAnswer struct {
	person
	until time.Time
}

const (
	keepFor    = 2 * time.Second
	maxAnswers = 1024
)

// keep remembers the account of a transaction.
func (a *answers) keep(id []byte, p person, now time.Time) {
	if len(id) != 16 || p.Account.Version == "" {
		return
	}
	own := *p.Account // the page goes on with its own
	own.Asserted = true
	p.Account = &own
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil || len(a.of) >= maxAnswers {
		a.of = make(map[[16]byte]keptAnswer) // what is lost is read again
	}
	a.of[[16]byte(id)] = keptAnswer{p, now.Add(keepFor)}
}

// take returns and forgets it.
func (a *answers) take(id []byte, now time.Time) (person, bool) {
	if len(id) != 16 {
		return person{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.of[[16]byte(id)]
	delete(a.of, [16]byte(id))
	left := kept.until.Sub(now) // more than keepFor: the clock went back
	return kept.person, ok && left > 0 && left <= keepFor
}
