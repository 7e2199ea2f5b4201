package main

import (
	"sync"
	"time"
)

// limit counts messages in the last hour, by account and by address: nobody is flooded,
// and nobody runs up the bill. It is this process's alone; each webhook has its own.
type limit struct {
	perHour int
	mu      sync.Mutex
	sent    map[string][]time.Time
}

const maxCounted = 100_000 // accounts and addresses

// take reports whether one more message may be sent under all of these names, and counts
// it if so.
func (l *limit) take(now time.Time, names ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == nil || len(l.sent) > maxCounted {
		l.forget(now)
	}
	for _, name := range names {
		if l.sent[name] = recent(l.sent[name], now); len(l.sent[name]) >= l.perHour {
			return false
		}
	}
	for _, name := range names {
		l.sent[name] = append(l.sent[name], now)
	}
	return true
}

// forget drops who got nothing for an hour. What cannot be counted any more is not sent.
func (l *limit) forget(now time.Time) {
	fresh := make(map[string][]time.Time)
	for name, times := range l.sent {
		if times = recent(times, now); len(times) > 0 {
			fresh[name] = times
		}
	}
	l.sent = fresh
}

func recent(times []time.Time, now time.Time) []time.Time {
	for len(times) > 0 && now.Sub(times[0]) >= time.Hour {
		times = times[1:]
	}
	return times
}
