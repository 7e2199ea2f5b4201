package login

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// flows knows the logins that have asked the auth policy and were not reported yet:
// what the second question is told from the first by. Reports may be late: a client
// may have asked again on the same connection by then.
type flows struct {
	mu    sync.Mutex
	open  map[string][]asked // by session, or for Postfix by everything else
	limit int
}

// asked is one login that is under way.
type asked struct {
	login, pwhash string
	until         time.Time
}

const perSession = 8 // logins under way on one connection; the oldest gives way

func newFlows(limit int) *flows { return &flows{open: make(map[string][]asked), limit: limit} }

// key names a login's connection. Postfix has no sessions: everything else that
// stays the same between its two questions stands in.
func (a *Ask) key() string {
	if a.Session != "" {
		return "s" + a.Session
	}
	return "t" + strings.ToLower(a.Login) + "\x00" + a.PwHash + "\x00" + a.Client.String() + "\x00" + string(a.Service)
}

// second reports whether the question is a login's second, and otherwise notes the
// first. On a connection, another password for the same name is a new login; another
// name is the old one, whose user a passdb has changed.
func (f *flows) second(a *Ask, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	key, login := a.key(), strings.ToLower(a.Login)
	list := slices.DeleteFunc(f.open[key], func(o asked) bool { return now.After(o.until) })
	same := func(o asked) bool { return o.login == login }
	if slices.ContainsFunc(list, func(o asked) bool { return same(o) && o.pwhash == a.PwHash }) {
		return true
	}
	if len(list) > 0 && !slices.ContainsFunc(list, same) {
		return true
	}
	f.makeRoom(key)
	if len(list) >= perSession {
		list = list[1:]
	}
	f.open[key] = append(list, asked{login, a.PwHash, now.Add(flowLife)})
	return false
}

// ended forgets a login that was reported.
func (f *flows) ended(a *Ask) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key, login := a.key(), strings.ToLower(a.Login)
	list := slices.DeleteFunc(f.open[key], func(o asked) bool { return o.login == login && o.pwhash == a.PwHash })
	if len(list) == 0 {
		delete(f.open, key)
		return
	}
	f.open[key] = list
}

// makeRoom drops an arbitrary connection when there are too many: its second
// question is then taken for a first, and the passdb remains the gate.
func (f *flows) makeRoom(key string) {
	if _, known := f.open[key]; known || len(f.open) < f.limit {
		return
	}
	for old := range f.open {
		delete(f.open, old)
		return
	}
}

// try names one try on a connection.
func (a *Ask) try() string { return a.key() + "\x00" + strings.ToLower(a.Login) + "\x00" + a.PwHash }

// verdict is what /verify said about a try.
type verdict uint8

const (
	unheard      verdict = iota // our passdb was not asked
	refused                     // and its owner must not be told why: the password may have been wrong
	refusedOwner                // the password was right, and not enough
	letIn
)

// verdicts are /verify's, for a while, by try. A question without a session may be
// the second of one login or the first of another at the same moment: which, /verify
// will say presently, if our passdb is asked at all.
type verdicts struct {
	mu    sync.Mutex
	by    map[string]*heard
	limit int
}

type heard struct {
	known   chan struct{} // closed once there is one
	verdict verdict
	until   time.Time
}

func newVerdicts(limit int) *verdicts {
	return &verdicts{by: make(map[string]*heard), limit: limit}
}

// get returns the entry of a try; the caller holds the lock.
func (v *verdicts) get(try string, now time.Time) *heard {
	e, ok := v.by[try]
	if ok && now.Before(e.until) {
		return e
	}
	if !ok && len(v.by) >= v.limit {
		for old := range v.by {
			delete(v.by, old)
			break
		}
	}
	e = &heard{known: make(chan struct{}), until: now.Add(flowLife)}
	v.by[try] = e
	return e
}

// set notes a verdict and tells those who wait.
func (v *verdicts) set(try string, said verdict, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.get(try, now)
	if e.verdict == unheard {
		close(e.known)
	}
	e.verdict, e.until = said, now.Add(flowLife)
}

// verdictTime is how long a question of Postfix waits for /verify's verdict.
const verdictTime = time.Second

// of returns the verdict, and waits for it if asked to.
func (v *verdicts) of(ctx context.Context, try string, wait bool, now time.Time) verdict {
	v.mu.Lock()
	e := v.get(try, now)
	v.mu.Unlock()
	if wait {
		ctx, cancel := context.WithTimeout(ctx, verdictTime)
		defer cancel()
		select {
		case <-e.known:
		case <-ctx.Done():
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return e.verdict
}
