package login

import (
	"context"
	"time"
)

// bindSlots are the places for main passwords under check. Besides its own place, a
// login that waits for one occupies whoever asked: Dovecot has 30 Lua workers by
// default (auth_worker_max_count), and if all of them wait for a slow directory,
// app passwords wait behind them (ATTACKS 41). So only as many logins as there are
// places may wait until the deadline; the others wait briefly, which is enough for
// a burst at a directory that answers.
type bindSlots struct{ places, queue chan struct{} }

// briefly is how long a login waits that finds the queue full.
const briefly = 100 * time.Millisecond

func newBindSlots(n int) bindSlots {
	return bindSlots{places: make(chan struct{}, n), queue: make(chan struct{}, n)}
}

// take waits for a place and reports whether it got one, to be given back by free.
func (b bindSlots) take(ctx context.Context) bool {
	select {
	case b.places <- struct{}{}:
		return true
	default:
	}
	select {
	case b.queue <- struct{}{}:
		defer func() { <-b.queue }()
	default:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, briefly)
		defer cancel()
	}
	select {
	case b.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b bindSlots) free() { <-b.places }
