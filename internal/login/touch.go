package login

import (
	"context"
	"errors"
	"sync"
	"time"

	"postern/internal/account"
)

// touchEvery is how often one use is written at most.
const touchEvery = account.UseEvery

// toucher writes last uses in the background, so that a login waits for no write.
// A last use is part of its record, so the write is a swap: if the credential was
// revoked meanwhile, the swap fails and revocation wins (ATTACKS 35).
type toucher struct {
	store account.Store
	queue chan touch
	done  chan struct{}
	stop  context.CancelFunc

	mu     sync.Mutex
	closed bool
	seen   map[string]time.Time // what → when it was last queued
}

// touch is one use to be written.
type touch struct {
	account *account.Account
	what    string
	at      time.Time
	// edits are made from the account as the write server has it now.
	edits func(fresh *account.Account) ([]account.Edit, error)
	done  func() // after they are stored; may be nil
}

const (
	touchQueue   = 1024
	touchSeen    = 1 << 16 // bound on remembered uses
	touchTimeout = 10 * time.Second
)

func newToucher(store account.Store) *toucher {
	ctx, stop := context.WithCancel(context.Background())
	t := &toucher{store: store, stop: stop, queue: make(chan touch, touchQueue),
		done: make(chan struct{}), seen: make(map[string]time.Time)}
	go t.run(ctx)
	return t
}

// app notes the use of an app password.
func (t *toucher) app(a *account.Account, id string, use account.Use) {
	t.note(touch{account: a, what: "app:" + id, at: use.At, edits: func(fresh *account.Account) ([]account.Edit, error) {
		was, err := fresh.Record(account.KindApp, id)
		if err != nil || !was.Live(use.At) || use.At.Sub(was.Used.At) < touchEvery {
			return nil, err
		}
		now := was
		now.Used = use
		return []account.Edit{{Was: &was, Now: &now}}, nil
	}})
}

// main notes that somebody still uses the main password where it is not enough.
func (t *toucher) main(a *account.Account, use account.Use) {
	what := "main:" + string(use.Service) + use.From.String() + use.Agent
	t.note(touch{account: a, what: what, at: use.At, edits: func(fresh *account.Account) ([]account.Edit, error) {
		state := fresh.State.Clone()
		state.NoteMainUse(use)
		return fresh.StateEdit(state, use.At)
	}})
}

// grace notes that an account was first seen under a mandatory policy.
func (t *toucher) grace(a *account.Account, at time.Time) {
	t.note(touch{account: a, what: "grace", at: at, edits: func(fresh *account.Account) ([]account.Edit, error) {
		if !fresh.State.GraceStart.IsZero() {
			return nil, nil
		}
		state := fresh.State.Clone()
		state.GraceStart = at
		return fresh.StateEdit(state, at)
	}})
}

// session notes that webmail still uses a session.
func (t *toucher) session(a *account.Account, id string, use account.Use) {
	t.note(touch{account: a, what: "session:" + id, at: use.At, edits: func(fresh *account.Account) ([]account.Edit, error) {
		was, err := fresh.Record(account.KindSession, id)
		if err != nil || !was.Live(use.At) || use.At.Sub(was.Used.At) < touchEvery {
			return nil, err
		}
		now := was
		now.Used = use
		return []account.Edit{{Was: &was, Now: &now}}, nil
	}})
}

// note queues a use unless it was queued within the hour. When the queue is full it
// is dropped: the next login brings another.
func (t *toucher) note(item touch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := item.key()
	if t.closed || item.at.Sub(t.seen[key]) < touchEvery {
		return
	}
	if len(t.seen) >= touchSeen {
		clear(t.seen)
	}
	select {
	case t.queue <- item:
		t.seen[key] = item.at
	default:
	}
}

func (i *touch) key() string { return string(i.account.ID) + "/" + i.what }

func (t *toucher) run(ctx context.Context) {
	defer close(t.done)
	for item := range t.queue {
		if t.write(ctx, item) != nil {
			t.mu.Lock()
			delete(t.seen, item.key()) // the next login tries again
			t.mu.Unlock()
		}
	}
}

// touchTries: a login often writes at the same moment.
const touchTries = 3

func (t *toucher) write(ctx context.Context, item touch) error {
	ctx, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	var err error
	for range touchTries {
		if err = t.writeOnce(ctx, item); !errors.Is(err, account.ErrConflict) {
			break
		}
	}
	return err
}

func (t *toucher) writeOnce(ctx context.Context, item touch) error {
	fresh, err := t.store.Read(ctx, item.account)
	if err != nil {
		return err
	}
	edits, err := item.edits(fresh)
	if err != nil || len(edits) == 0 {
		return err
	}
	err = t.store.Apply(ctx, fresh, edits...)
	if err == nil && item.done != nil {
		item.done()
	}
	return err
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
