package login

import (
	"sync"

	"postern/internal/account"
)

// turns give an account's tries one after the other. An account whose factor takes long
// to be checked holds up nobody else's.
type turns struct {
	mu sync.Mutex
	of map[account.ID]*waiting
}

// waiting is an account's lock, and how many hold it or wait for it.
type waiting struct {
	sync.Mutex
	n int
}

// take waits for the account's turn, and returns the end of it.
func (t *turns) take(id account.ID) func() {
	t.mu.Lock()
	if t.of == nil {
		t.of = make(map[account.ID]*waiting)
	}
	w := t.of[id]
	if w == nil {
		w = &waiting{}
		t.of[id] = w
	}
	w.n++
	t.mu.Unlock()
	w.Lock()
	return func() {
		w.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if w.n--; w.n == 0 {
			delete(t.of, id)
		}
	}
}
