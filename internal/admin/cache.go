package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"postern/internal/account"
)

// cache keeps the Members that were read last.
type cache struct {
	once  sync.Once
	turn  chan struct{} // whoever has it reads
	known Members
	at    time.Time // when reading known began
}

// members returns them, at most MaxAge old; nil if nobody can be one. Who finds them too
// old reads them anew while others wait for it.
func (r *Roles) members(ctx context.Context) (Members, error) {
	if r.Directory == nil {
		return nil, nil //nolint:nilnil // as the comment says
	}
	r.cache.once.Do(func() { r.cache.turn = make(chan struct{}, 1) })
	select {
	case r.cache.turn <- struct{}{}:
		defer func() { <-r.cache.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", account.ErrUnavailable, ctx.Err())
	}
	now := r.Now()
	if age := now.Sub(r.cache.at); r.cache.known != nil && age >= 0 && age < MaxAge {
		return r.cache.known, nil
	}
	m, err := r.Directory.Members(ctx)
	if err != nil {
		return nil, err
	}
	r.cache.known, r.cache.at = m, now
	return m, nil
}
