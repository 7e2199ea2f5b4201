package throttle

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/dchest/siphash"

	"postern/internal/login"
)

// Memory counts in the memory of the process. It is safe for concurrent use and
// answers within microseconds.
type Memory struct {
	rules    rules
	now      func() time.Time
	key      hashKey
	prefixes *table[counter] // IPv6 /48 among them
	pairs    *table[pair]
	guards   *table[guard]

	siteLock sync.Mutex
	site     counter
}

// hashKey keys the names' hash. Snapshots carry it.
type hashKey struct{ A, B uint64 }

// New returns a Memory with valid settings (see Validate). now is the clock,
// time.Now outside tests. Settings of snapshot and Redis are not its business.
func New(s Settings, now func() time.Time) *Memory {
	m := &Memory{rules: newRules(s), now: now, key: newHashKey()}
	m.prefixes = newTable(s.MaxKeys*2/5, m.prefixWorth)
	m.pairs = newTable(s.MaxKeys*2/5, m.pairWorth)
	m.guards = newTable(s.MaxKeys/5, m.guardWorth)
	return m
}

func newHashKey() hashKey {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hashKey{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// Worth is what a record would be missed for. Old scores have decayed, so that of
// equals the oldest goes first.
func (m *Memory) prefixWorth(c *counter, now uint32) float64 {
	return c.value(now, m.rules.prefix.half)
}

func (m *Memory) guardWorth(g *guard, now uint32) float64 {
	return g.value(now, m.rules.account.half) + float64(g.Binds)
}

// A known-good pair outweighs whatever strangers can make, and it is the one
// renewed longest ago that goes first.
func (m *Memory) pairWorth(p *pair, now uint32) float64 {
	w := p.value(now, m.rules.pairHalf)
	if left := elapsed(p.Good, now); left > 0 {
		w += maxScore + float64(left)
	}
	return w
}

func (m *Memory) names(t login.Try) names[uint64] {
	return nameAll(t, func(b []byte) uint64 { return siphash.Hash(m.key.A, m.key.B, b) })
}

// Prefix implements login.Throttle.
func (m *Memory) Prefix(_ context.Context, t login.Try) login.Advice {
	switch m.rules.stands(t.Client) {
	case banned:
		return login.Advice{Refuse: true, Limit: LimitDenied}
	case exempt:
		return login.Advice{}
	}
	n, now := m.names(t), seconds(m.now())
	p := m.prefixes.get(n.prefix)
	score, network := p.value(now, m.rules.prefix.half), 0.0
	if n.hasNetwork {
		p = m.prefixes.get(n.network)
		network = p.value(now, m.rules.network.half)
	}
	a := m.rules.prefixAdvice(score, network)
	if a != (login.Advice{}) { // only then does anybody ask who it is
		if k := m.pairs.get(n.pair); k.good(now, &m.rules) {
			return login.Advice{}
		}
	}
	return a
}

// Account implements login.Throttle. Where it does not refuse, it holds one bind for
// this secret until Wrong, Right, or ten seconds later.
func (m *Memory) Account(_ context.Context, t login.Try) login.Advice {
	n, now := m.names(t), seconds(m.now())
	var p pair
	if n.hasPair {
		p = m.pairs.get(n.pair)
	}
	good, clean := p.good(now, &m.rules), p.clean(now, &m.rules)
	var a login.Advice
	m.guards.update(n.guard, now, func(g *guard) {
		score := g.value(now, m.rules.account.half)
		if !good && m.rules.accountRefuses(score, clean) {
			a = login.Advice{Refuse: true, Limit: LimitAccount}
			return
		}
		var wait login.Advice
		if !good {
			wait = m.rules.accountWaits(score, m.siteScore(now))
		}
		a = g.reserve(t.Secret, m.rules.allowed(good), now, &m.rules).advice(wait)
	})
	return a
}

// Wrong implements login.Throttle.
func (m *Memory) Wrong(_ context.Context, t login.Try, main bool) {
	n, now := m.names(t), seconds(m.now())
	known, good := false, false
	if n.hasPair {
		m.pairs.update(n.pair, now, func(p *pair) {
			known, good = p.repeat(t.Secret), p.good(now, &m.rules)
		})
	}
	m.guards.update(n.guard, now, func(g *guard) {
		known = g.mark(t.Secret, main, now, &m.rules) || known
		if main && !known {
			g.add(now, m.rules.account.half)
		}
	})
	if known {
		return
	}
	m.countPair(n, now)
	if !good && m.rules.stands(t.Client) != exempt {
		m.countPrefix(n, now)
	}
	if main {
		m.siteLock.Lock()
		m.site.add(now, m.rules.site.half)
		m.siteLock.Unlock()
	}
}

func (m *Memory) countPair(n names[uint64], now uint32) {
	if n.hasPair {
		m.pairs.change(n.pair, func(p *pair) { p.add(now, m.rules.pairHalf) })
	}
	if n.hasAlias { // is there for known-good names only
		m.pairs.change(n.alias, func(p *pair) { p.add(now, m.rules.pairHalf) })
	}
}

func (m *Memory) countPrefix(n names[uint64], now uint32) {
	m.prefixes.update(n.prefix, now, func(c *counter) { c.add(now, m.rules.prefix.half) })
	if n.hasNetwork {
		m.prefixes.update(n.network, now, func(c *counter) { c.add(now, m.rules.network.half) })
	}
}

// Right implements login.Throttle.
func (m *Memory) Right(_ context.Context, t login.Try) {
	n, now := m.names(t), seconds(m.now())
	praise := func(p *pair) { p.praise(now, &m.rules) }
	if n.hasPair {
		m.pairs.update(n.pair, now, praise)
	}
	if n.hasAlias {
		m.pairs.update(n.alias, now, praise)
	}
	m.guards.change(n.guard, func(g *guard) { g.forget(t.Secret) })
}

// Keys is how many addresses, accounts and pairs are remembered.
func (m *Memory) Keys() int { return m.prefixes.length() + m.pairs.length() + m.guards.length() }

func (m *Memory) siteScore(now uint32) float64 {
	m.siteLock.Lock()
	defer m.siteLock.Unlock()
	return m.site.value(now, m.rules.site.half)
}
