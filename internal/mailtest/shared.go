package mailtest

import (
	"context"
	"os"
	"sync"
	"testing"
)

// shared is the package's only global state: the programs that this process has
// built, and the sites which its tests share. Main stops the latter.
var shared struct {
	builds sync.Mutex
	built  map[string]string

	starting sync.Mutex
	sites    map[string]*Site
	order    []*Site
}

// Main is for a package's TestMain: it runs the tests and then stops the sites
// that they share.
//
//	func TestMain(m *testing.M) { mailtest.Main(m) }
func Main(m interface{ Run() int }) {
	code := m.Run()
	shared.starting.Lock()
	for i := len(shared.order) - 1; i >= 0; i-- {
		shared.order[i].Stop()
	}
	shared.starting.Unlock()
	os.Exit(code)
}

// Shared is the site with a name, started by the first test that asks for it and
// kept for the others until Main stops it. Tests isolate themselves by users: each
// adds its own.
func Shared(t testing.TB, name string, o Options) *Site {
	t.Helper()
	o.needs(t)
	shared.starting.Lock()
	defer shared.starting.Unlock()
	if s, ok := shared.sites[name]; ok {
		return s
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if shared.sites == nil {
		shared.sites = map[string]*Site{}
	}
	shared.sites[name] = s
	shared.order = append(shared.order, s)
	return s
}
