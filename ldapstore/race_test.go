package ldapstore

import (
	"context"
	"errors"
	"sync"
	"testing"

	"postern/internal/account"
)

const racers = 24

// race runs try at the same time from both stores and counts the winners; who
// loses must have got account.ErrConflict.
func race(t *testing.T, stores [2]*Store, try func(s *Store, i int) error) (winners int) {
	t.Helper()
	var wg sync.WaitGroup
	start, results := make(chan struct{}), make(chan error, racers)
	for i := range racers {
		wg.Go(func() {
			<-start
			results <- try(stores[i%2], i)
		})
	}
	close(start)
	wg.Wait()
	close(results)
	for err := range results {
		if err == nil {
			winners++
		} else if !errors.Is(err, account.ErrConflict) {
			t.Errorf("a loser got %v", err)
		}
	}
	return winners
}

func twoStores(t *testing.T, h *harness) [2]*Store {
	return [2]*Store{h.Store, openStore(t, h.slapd, h.ring, func(c *Config) { c.Layout = h.cfg.Layout })}
}

// TestOneWinnerSwap: of many who use the same value, one does (ATTACKS 4, 5, 35).
func TestOneWinnerSwap(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		stores := twoStores(t, h)
		mail, _ := h.enrolled(t)
		for round := range 10 {
			n := race(t, stores, func(s *Store, i int) error {
				a, err := s.Find(context.Background(), mail)
				if err != nil {
					return err
				}
				was, err := a.Record(account.KindTOTP, a.Values(account.KindTOTP)[0].ID)
				if err != nil {
					return err
				}
				if string(was.Body) != string(rune('t'+round)) {
					return account.ErrConflict // read after somebody had won
				}
				now := was
				now.Body = []byte(string(rune('t' + round + 1)))
				return s.Apply(context.Background(), a, account.Edit{Was: &was, Now: &now})
			})
			if n != 1 {
				t.Errorf("round %d: %d winners", round, n)
			}
		}
		sound(t, h.find(t, mail))
	})
}

// TestOneWinnerFirstWrite: two cannot both make an account's first record.
func TestOneWinnerFirstWrite(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		stores := twoStores(t, h)
		for range 5 {
			mail := h.user(t, nil)
			fresh := h.find(t, mail)
			n := race(t, stores, func(s *Store, _ int) error {
				a := *fresh
				return s.Apply(context.Background(), &a, account.Edit{Now: record(account.KindApp, "x")})
			})
			a := h.find(t, mail)
			sound(t, a)
			if n != 1 || len(a.State.Members) != 1 {
				t.Errorf("%d winners, %d members", n, len(a.State.Members))
			}
		}
	})
}

// TestOneWinnerMembership: adding needs the State that was read, so that nothing
// slips in beside a change (ATTACKS 35).
func TestOneWinnerMembership(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		stores := twoStores(t, h)
		mail, a := h.enrolled(t)
		n := race(t, stores, func(s *Store, i int) error {
			mine := *a
			return s.Apply(context.Background(), &mine, account.Edit{Now: record(account.KindSession, "s")})
		})
		b := h.find(t, mail)
		sound(t, b)
		if n != 1 || len(b.State.Members) != 4 {
			t.Errorf("%d winners, %d members", n, len(b.State.Members))
		}
	})
}

func TestAssert(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		totp, err := a.Record(account.KindTOTP, a.Values(account.KindTOTP)[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		stale := h.find(t, mail)
		h.apply(t, a, account.Edit{Was: &totp, Now: &totp}, account.Edit{Was: a.StateRecord, Now: a.StateRecord})
		h.apply(t, a, account.Edit{Was: a.StateRecord, Now: a.StateRecord}, account.Edit{Now: record(account.KindSession, "s")})
		sound(t, a)
		sound(t, h.find(t, mail))
		err = h.Apply(context.Background(), stale, account.Edit{Was: stale.StateRecord, Now: stale.StateRecord})
		wantErr(t, err, account.ErrConflict)
		h.apply(t, a, account.Edit{Was: &totp})
		err = h.Apply(context.Background(), a, account.Edit{Was: &totp, Now: &totp})
		wantErr(t, err, account.ErrConflict)
	})
}

// TestStaleLoses: revocation wins over the note of a last use, either way round.
func TestStaleLoses(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		b := h.find(t, mail)
		id := a.Values(account.KindApp)[0].ID
		swap := func(a *account.Account, change func(*account.Record)) error {
			was, err := a.Record(account.KindApp, id)
			if err != nil {
				t.Fatal(err)
			}
			now := was
			change(&now)
			return h.Apply(context.Background(), a, account.Edit{Was: &was, Now: &now})
		}
		if err := swap(a, func(r *account.Record) { r.Ended = r.Created }); err != nil {
			t.Fatal(err)
		}
		wantErr(t, swap(b, func(r *account.Record) { r.Used.Agent = "phone" }), account.ErrConflict)
		r, err := h.find(t, mail).Record(account.KindApp, id)
		if err != nil || r.Ended.IsZero() {
			t.Errorf("revocation lost: %+v, %v", r, err)
		}
	})
}

// TestApplyRefusesDefects: what no caller should ask for changes nothing.
func TestApplyRefusesDefects(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		app, err := a.Record(account.KindApp, a.Values(account.KindApp)[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		other := app
		other.ID = "other"
		never := *record(account.KindApp, "x")
		again := *record(account.KindApp, "x")
		again.ID = app.ID
		for what, e := range map[string]account.Edit{
			"nothing": {}, "another id": {Was: &app, Now: &other}, "never stored": {Was: &never},
			"State removed": {Was: a.StateRecord}, "id taken": {Now: &again},
			"no id": {Now: &account.Record{Kind: account.KindApp}},
		} {
			if h.Apply(context.Background(), a, e) == nil {
				t.Errorf("%s: accepted", what)
			}
		}
		if b := h.find(t, mail); string(b.StateRecord.Stored) != string(a.StateRecord.Stored) || b.Damage() != nil {
			t.Error("something was written")
		}
		h.apply(t, a) // no edits: nothing to do
		h.apply(t, a, account.Edit{Now: stateOf(t, account.State{Enrolled: true, Members: []account.Member{{Kind: account.KindApp, ID: "forged"}}})})
		sound(t, a)
	})
}

// TestStateOnlyRises: a caller with an older State in hand cannot turn back what
// voids sessions (ATTACKS 24, 35).
func TestStateOnlyRises(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		_, a := h.enrolled(t)
		h.apply(t, a, account.Edit{Now: stateOf(t, account.State{Enrolled: true, Epoch: 100, Generation: 50})})
		h.apply(t, a, account.Edit{Now: stateOf(t, account.State{Enrolled: true, Epoch: 99, Generation: 3})})
		if a.State.Epoch != 100 || a.State.Generation != 50 {
			t.Errorf("%+v", a.State)
		}
		h.apply(t, a, account.Edit{Now: record(account.KindSession, "s")}, account.Edit{Now: stateOf(t, account.State{})})
		if a.State.Epoch != 100 || a.State.Generation != 51 {
			t.Errorf("%+v", a.State)
		}
	})
}
