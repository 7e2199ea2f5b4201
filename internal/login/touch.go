package login

import (
	"context"
	"sync"
	"time"

	"postern/internal/account"
)

// toucher writes last uses in the background, so that a login waits for no write.
// A last use is part of its record, so the write is a swap: if the credential was
// revoked meanwhile, the swap fails and revocation wins (ATTACKS 35).
type toucher struct {
	store account.Store
	now   func() time.Time
	queue chan touch
	done  chan struct{}
	stop  context.CancelFunc

	mu     sync.Mutex
	closed bool
	seen   map[string]time.Time // account/id → when it was last queued
}

type touch struct {
	account *account.Account
	id      string
	use     account.Use
}

const (
	touchQueue   = 1024
	touchSeen    = 1 << 16 // bound on remembered credentials
	touchTimeout = 10 * time.Second
)

func newToucher(store account.Store, now func() time.Time) *toucher {
	ctx, stop := context.WithCancel(context.Background())
	t := &toucher{store: store, now: now, stop: stop, queue: make(chan touch, touchQueue),
		done: make(chan struct{}), seen: make(map[string]time.Time)}
	go t.run(ctx)
	return t
}

// note queues a last use unless one was queued within the hour. When the queue is
// full it is dropped: the next login brings another.
func (t *toucher) note(a *account.Account, id string, use account.Use) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := string(a.ID) + "/" + id
	if t.closed || use.At.Sub(t.seen[key]) < touchEvery {
		return
	}
	if len(t.seen) >= touchSeen {
		clear(t.seen)
	}
	select {
	case t.queue <- touch{a, id, use}:
		t.seen[key] = use.At
	default:
	}
}

func (t *toucher) run(ctx context.Context) {
	defer close(t.done)
	for item := range t.queue {
		if t.write(ctx, item) != nil {
			t.mu.Lock()
			delete(t.seen, string(item.account.ID)+"/"+item.id) // the next login tries again
			t.mu.Unlock()
		}
	}
}

// write reads the record afresh from the writer and swaps it, unless somebody
// else has noted a use within the hour.
func (t *toucher) write(ctx context.Context, item touch) error {
	ctx, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	a, err := t.store.Read(ctx, item.account)
	if err != nil {
		return err
	}
	was, err := a.Record(account.KindApp, item.id)
	if err != nil {
		return err
	}
	if !was.Live(item.use.At) || item.use.At.Sub(was.Used.At) < touchEvery {
		return nil
	}
	now := was
	now.Used = item.use
	return t.store.Apply(ctx, a, account.Edit{Was: &was, Now: &now})
}

func (t *toucher) close(ctx context.Context) {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.queue)
	}
	t.mu.Unlock()
	select {
	case <-t.done:
	case <-ctx.Done():
		t.stop()
		<-t.done
	}
}
