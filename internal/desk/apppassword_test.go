package desk

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/policy"
)

func TestP1_CreateListRevoke(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	phone := h.app("phone")
	if !phone.Alone || !slices.Equal(phone.Services, []account.Service{account.IMAP, account.POP3, account.Sieve, account.SMTP}) {
		t.Errorf("%+v", phone.AppPassword)
	}
	r, err := h.account().Record(account.KindApp, phone.ID)
	if err != nil {
		t.Fatal(err)
	}
	body, err := factor.DecodeAppPassword(r.Body)
	if err != nil || !body.Matches(factor.Classify(phone.Password).Verifier) {
		t.Errorf("the password shown is not the one stored: %v", err)
	}
	revoked, err := h.RevokeAppPassword(ctx, operator, h.user, phone.ID)
	if err != nil || revoked.Name != "phone" {
		t.Fatalf("%+v, %v", revoked, err)
	}
	list, err := h.ListAppPasswords(ctx, h.user)
	if err != nil || len(list) != 1 || list[0].State(h.now) != "revoked" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, phone.ID); !errors.Is(err, ErrNothing) {
		t.Errorf("revoked again: %v", err)
	}
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, "none"); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("unknown: %v", err)
	}
	h.wantEvents("app_password_created done", "app_password_revoked done",
		"app_password_revoked refused nothing_to_do", "app_password_revoked refused no_such_record")
}

func TestP2_Scope(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	created, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{
		Name: " Scanner \u00df", Services: []account.Service{account.SMTP, account.DAV, account.SMTP},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.77/24"), netip.MustParsePrefix("::ffff:198.51.100.0/120"), netip.MustParsePrefix("2001:db8::1/48")},
		Expires:  h.now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/48")}
	if created.Name != "Scanner \u00df" || !slices.Equal(created.Services, []account.Service{account.DAV, account.SMTP}) || !slices.Equal(created.Networks, want) {
		t.Errorf("%+v", created.AppPassword)
	}
	for name, n := range map[string]NewAppPassword{
		"no name":      {},
		"long name":    {Name: strings.Repeat("x", 65)},
		"control":      {Name: "a\nb"},
		"not UTF-8":    {Name: "a\xff"},
		"service":      {Name: "x", Services: []account.Service{"doveadm"}},
		"zero network": {Name: "x", Networks: []netip.Prefix{{}}},
		"4in6":         {Name: "x", Networks: []netip.Prefix{netip.MustParsePrefix("::ffff:0.0.0.0/90")}},
		"past":         {Name: "x", Expires: h.now},
	} {
		if _, err := h.CreateAppPassword(ctx, operator, h.user, n); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(h.account().Values(account.KindApp)); n != 1 {
		t.Errorf("%d are stored", n)
	}
}

func TestP1_MaximumCountsLiveOnes(t *testing.T) {
	most := 2
	h := newHarness(t, policy.Settings{AppPasswordMax: &most})
	h.app("one")
	two := h.app("two")
	if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "three"}); !errors.Is(err, ErrMaximum) {
		t.Errorf("a third: %v", err)
	}
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, two.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "three", Expires: h.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(2 * time.Hour)
	h.app("after the third has expired")
}

func TestPruneWithTheNextChange(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	revoked := h.app("revoked")
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, revoked.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "expiring", Expires: h.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(account.KeepEndedApp - time.Second)
	h.app("a day early")
	if n := len(h.account().Values(account.KindApp)); n != 3 {
		t.Errorf("%d are stored after 89 days, want 3", n)
	}
	h.now = h.now.Add(2 * time.Hour)
	h.app("late")
	if n := len(h.account().Values(account.KindApp)); n != 2 {
		t.Errorf("%d are stored after 90 days, want 2", n)
	}
}

// Every one of many parallel creations lands or reports, and together they never
// exceed the maximum, whoever is faster.
func TestP1_ParallelCreations(t *testing.T) {
	const tries, most = 24, 10
	limit := most
	h := newHarness(t, policy.Settings{AppPasswordMax: &limit})
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		ids = make(map[string]bool)
	)
	for range tries {
		wg.Go(func() {
			created, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "parallel"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				ids[created.ID] = true
			case !errors.Is(err, ErrMaximum) && !errors.Is(err, ErrBusy):
				t.Errorf("neither landed nor reported: %v", err)
			}
		})
	}
	wg.Wait()
	a := h.account()
	stored := a.Values(account.KindApp)
	if len(stored) != len(ids) || len(stored) > most || len(stored) == 0 {
		t.Errorf("%d stored, %d reported, at most %d allowed", len(stored), len(ids), most)
	}
	for _, v := range stored {
		if !ids[v.ID] {
			t.Errorf("%s is stored and nobody was told", v.ID)
		}
	}
	if n := len(h.events.lines()); n != tries {
		t.Errorf("%d events for %d tries", n, tries)
	}
}

// Creations and revocations of everything at the same time: what RevokeAll saw
// ended, and nothing is damaged or lost.
func TestCreateAgainstRevokeAll(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	old := h.app("old")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "new"}); err != nil && !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if _, err := h.RevokeAll(ctx, operator, h.user); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if r, err := h.account().Record(account.KindApp, old.ID); err != nil || r.Ended.IsZero() {
		t.Errorf("the old one lives on: %+v, %v", r, err)
	}
}

// A last use is written by swapping the record: whichever is first, revocation wins.
func TestAttack35_RevocationWinsOverLastUse(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	touch := func(a *account.Account, id string) error {
		was, err := a.Record(account.KindApp, id)
		if err != nil {
			t.Fatal(err)
		}
		now := was
		now.Used = account.Use{At: h.now, Service: account.IMAP}
		return h.store.Apply(ctx, a, account.Edit{Was: &was, Now: &now})
	}
	first := h.app("revoked before the use is written")
	stale := h.account()
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, first.ID); err != nil {
		t.Fatal(err)
	}
	if err := touch(stale, first.ID); !errors.Is(err, account.ErrConflict) {
		t.Errorf("a last use was written over a revocation: %v", err)
	}
	second := h.app("used between reading and revoking")
	between := *h.Desk
	between.Store = &meddled{Store: h.store, before: func() {
		if err := touch(h.account(), second.ID); err != nil {
			t.Fatal(err)
		}
	}}
	if _, err := between.RevokeAppPassword(ctx, operator, h.user, second.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{first.ID, second.ID} {
		if r, err := h.account().Record(account.KindApp, id); err != nil || r.Ended.IsZero() {
			t.Errorf("%s is not revoked: %+v, %v", id, r, err)
		}
	}
}

func TestTombstoneKeepsTheVerifier(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	phone := h.app("phone")
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, phone.ID); err != nil {
		t.Fatal(err)
	}
	r, err := h.account().Record(account.KindApp, phone.ID)
	if err != nil {
		t.Fatal(err)
	}
	body, err := factor.DecodeAppPassword(r.Body)
	if err != nil || !body.Matches(factor.Classify(phone.Password).Verifier) {
		t.Errorf("a later try cannot be told apart from a guess: %v", err)
	}
}

// A fresh decision is made after somebody else was faster, and no event of the
// draft that lost is left.
func TestRetryDecidesAnew(t *testing.T) {
	most := 1
	h := newHarness(t, policy.Settings{AppPasswordMax: &most})
	slow := *h.Desk
	slow.Store = &meddled{Store: h.store, before: func() { h.app("faster") }}
	if _, err := slow.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "slow"}); !errors.Is(err, ErrMaximum) {
		t.Errorf("the maximum was judged by an old state: %v", err)
	}
	h.wantEvents("app_password_created done", "app_password_created refused maximum")
}

// meddled is a store in which somebody else is faster once.
type meddled struct {
	account.Store
	before func()
}

func (m *meddled) Apply(c context.Context, a *account.Account, e ...account.Edit) error {
	if f := m.before; f != nil {
		m.before = nil
		f()
	}
	return m.Store.Apply(c, a, e...)
}
