package ldapstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

const (
	// checkAfter is how long a connection may have been idle before it is asked
	// for a sign of life. One that the server closed is noticed at once, without
	// asking; this is about firewalls that forget connections silently.
	checkAfter = 15 * time.Second
	checkTime  = time.Second
	// serviceIdle and bindIdle are when an idle connection is not worth keeping.
	serviceIdle = 5 * time.Minute
	bindIdle    = checkAfter
)

var errClosed = fmt.Errorf("the store is closed: %w", account.ErrUnavailable)

// pool keeps connections to one server, all logged in alike. A connection serves
// one operation at a time. The last one used is used first, so that superfluous
// ones grow old.
type pool struct {
	dial    func(context.Context, time.Time) (*conn, error)
	maxIdle time.Duration
	slots   chan struct{} // one token per connection in use

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(size int, maxIdle time.Duration, d *dialer) *pool {
	return &pool{dial: d.dial, maxIdle: maxIdle, slots: make(chan struct{}, size)}
}

// do runs op on a connection before the deadline. With again, an op that failed
// because a pooled connection had died meanwhile is run once more on a new one:
// right for reading, never for a change, whose fate is unknown. The error is op's
// own, or wraps account.ErrUnavailable when there was no connection.
func (p *pool) do(ctx context.Context, deadline time.Time, again bool, op func(*conn) error) error {
	if err := p.acquire(ctx, deadline); err != nil {
		return err
	}
	defer func() { <-p.slots }()
	c, err := p.get(ctx, deadline)
	if err != nil {
		return err
	}
	reused := c.reused
	err = p.use(c, deadline, op)
	if keeps(err) || !again || !reused || !time.Now().Before(deadline) {
		return err
	}
	if c, err = p.dial(ctx, deadline); err != nil {
		return err
	}
	return p.use(c, deadline, op)
}

// use runs op and puts the connection back, or away if it is in doubt.
func (p *pool) use(c *conn, deadline time.Time, op func(*conn) error) error {
	err := c.raw.SetDeadline(deadline)
	if err == nil {
		err = op(c)
	}
	if !keeps(err) {
		c.discard()
		return err
	}
	p.put(c)
	return err
}

// acquire waits for a token.
func (p *pool) acquire(ctx context.Context, deadline time.Time) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no free connection: %w: %w", account.ErrUnavailable, ctx.Err())
	case <-timer.C:
		return fmt.Errorf("no free connection in time: %w", account.ErrUnavailable)
	}
}

// get returns a live connection, pooled or new.
func (p *pool) get(ctx context.Context, deadline time.Time) (*conn, error) {
	for {
		c, err := p.pop()
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p.dial(ctx, deadline)
		}
		if p.usable(c, deadline) {
			return c, nil
		}
		c.discard()
	}
}

func (p *pool) pop() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil //nolint:nilnil // none idle is no error
	}
	c := p.idle[n-1]
	p.idle = p.idle[:n-1]
	c.reused = true
	return c, nil
}

// usable is what lets a change go over a pooled connection without being sent
// twice: death is found before, not after.
func (p *pool) usable(c *conn, deadline time.Time) bool {
	idle := time.Since(c.idleAt)
	if c.IsClosing() || idle > p.maxIdle {
		return false
	}
	if idle < checkAfter {
		return true
	}
	if limit := time.Now().Add(checkTime); limit.Before(deadline) {
		deadline = limit
	}
	return c.raw.SetDeadline(deadline) == nil && ping(c.Conn) == nil
}

// put keeps a connection for later, and drops those that have been idle longest.
func (p *pool) put(c *conn) {
	c.idleAt = time.Now()
	if c.raw.SetDeadline(noDeadline) != nil || c.IsClosing() {
		c.discard()
		return
	}
	p.mu.Lock()
	closed := p.closed
	var old *conn
	if !closed {
		p.idle = append(p.idle, c)
		if first := p.idle[0]; c.idleAt.Sub(first.idleAt) > p.maxIdle {
			old, p.idle = first, p.idle[1:]
		}
	}
	p.mu.Unlock()
	if closed {
		c.discard()
	}
	if old != nil {
		old.discard()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.discard()
	}
}

// ping asks for the root DSE, which every server shows (RFC 4512 section 5.1).
func ping(c *ldap.Conn) error {
	_, err := c.Search(&ldap.SearchRequest{
		Scope: ldap.ScopeBaseObject, SizeLimit: 1, Filter: "(objectClass=*)", Attributes: []string{"1.1"},
	})
	if err != nil && !answered(err) {
		return err
	}
	return nil
}
