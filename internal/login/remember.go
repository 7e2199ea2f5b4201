package login

import (
	"sync"
	"time"
)

// memory remembers keys for a while, in bounded space. When it is full, a new key
// drives out an arbitrary old one: what is lost costs a directory search or a
// second try, never safety.
type memory struct {
	mu    sync.Mutex
	until map[string]time.Time
	limit int
}

func newMemory(limit int) *memory {
	return &memory{until: make(map[string]time.Time), limit: limit}
}

func (m *memory) add(key string, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.until[key]; !known && len(m.until) >= m.limit {
		for old := range m.until {
			delete(m.until, old)
			break
		}
	}
	m.until[key] = until
}

func (m *memory) has(key string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[key]
	if ok && now.After(until) {
		delete(m.until, key)
		return false
	}
	return ok
}

// take is has, and forgets the key.
func (m *memory) take(key string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[key]
	delete(m.until, key)
	return ok && !now.After(until)
}

func (m *memory) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.until, key)
}
