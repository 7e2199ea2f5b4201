package main

import (
	"net/netip"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/mailtest"
	"postern/ldapstore"
)

// The daemon sweeps by itself.
func TestA20_DaemonSweeps(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{Settings: mailtest.Settings{"sweep": {"every": "1s"}, "privacy": {"retention": 30}}})
	cfg, err := app.Load(s.Path)
	must(t, err)
	store, _, err := cfg.OpenStore(account.RoleDoor)
	must(t, err)
	t.Cleanup(store.Close)
	used(t, store, 31*24*time.Hour)
	used(t, store, 28*24*time.Hour)
	mailtest.Eventually(t, "what is old is deleted", func() bool { return len(plain(t, store).State.MainUses) == 1 })
	if u := plain(t, store).State.MainUses; time.Since(u[0].At) > 30*24*time.Hour {
		t.Errorf("what is young is deleted: %v", u)
	}
}

// used notes a use of the main password as long ago.
func used(t *testing.T, store *ldapstore.Store, ago time.Duration) {
	t.Helper()
	for {
		a := plain(t, store)
		at := time.Now().Add(-ago)
		edits, err := a.EditState(nil, at, func(s *account.State) {
			s.NoteMainUse(account.Use{At: at, Service: account.IMAP, From: netip.MustParseAddr("192.0.2.1")})
		})
		must(t, err)
		if err = store.Apply(t.Context(), a, edits...); err == nil {
			return
		}
	}
}

func plain(t *testing.T, store *ldapstore.Store) *account.Account {
	t.Helper()
	a, err := store.Find(t.Context(), "plain@example.test")
	must(t, err)
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
