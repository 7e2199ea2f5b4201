package desk

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/policy"
	"postern/internal/session"
	"postern/ldapstore"
)

const racers = 24

// inParallel runs f n times at once and counts those that won.
func inParallel(n int, f func(i int) (won bool)) int {
	var (
		wins  atomic.Int64
		wg    sync.WaitGroup
		start = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			if f(i) {
				wins.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(wins.Load())
}

// twoServers is an account as two webhooks see it: two stores with one set of keys.
func twoServers(t *testing.T) (*harness, [2]*ldapstore.Store) {
	t.Helper()
	ring := newRing(t)
	stores := [2]*ldapstore.Store{openStoreWith(t, policy.Settings{}, ring), openStoreWith(t, policy.Settings{}, ring)}
	h := newHarness(t, policy.Settings{})
	h.store, h.Store = stores[0], stores[0]
	return h, stores
}

// spend uses a proof up as an exchange does: again on a fresh account after a conflict.
func spend(t *testing.T, h *harness, s *ldapstore.Store, f factor.Factor, p factor.Proof) error {
	t.Helper()
	for {
		a, err := s.Find(ctx, h.user)
		if err == nil {
			a, err = s.Read(ctx, a)
		}
		if err != nil {
			t.Error(err)
			return err
		}
		was, err := a.Record(p.Kind, p.ID)
		if err != nil {
			t.Error(err)
			return err
		}
		now, err := f.Spend(was, p, h.now)
		if err != nil {
			return err
		}
		if err = s.Apply(ctx, a, account.Edit{Was: &was, Now: &now}); !errors.Is(err, account.ErrConflict) {
			return err
		}
	}
}

// raceFor lets many present one code at two servers at once; everybody's check passes
// before anybody has spent it.
func raceFor(t *testing.T, h *harness, stores [2]*ldapstore.Store, f factor.Factor, code string) {
	t.Helper()
	r := factor.Request{Purpose: factor.Login, Account: h.account(), Now: h.now, Input: map[string]string{factor.InputCode: code}}
	proved, err := f.Check(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	won := inParallel(racers, func(i int) bool {
		err := spend(t, h, stores[i%2], f, proved.Proof)
		if err != nil && !errors.Is(err, factor.ErrSpent) {
			t.Errorf("neither accepted nor spent: %v", err)
		}
		return err == nil
	})
	if won != 1 {
		t.Errorf("%d of %d got in by one code", won, racers)
	}
	r.Account = h.account()
	if _, err := f.Check(ctx, r); !errors.Is(err, factor.ErrSpent) {
		t.Errorf("the code afterwards: %v", err)
	}
}

func TestAttack04_OneWinnerOnTwoServers(t *testing.T) {
	h, stores := twoServers(t)
	phone := h.totp()
	for range 5 {
		h.now = h.now.Add(time.Minute)
		code, err := phone.TOTP.Code(h.now)
		if err != nil {
			t.Fatal(err)
		}
		raceFor(t, h, stores, factor.TOTPFactor{}, code)
	}
}

func TestAttack05_OneWinnerOnTwoServers(t *testing.T) {
	h, stores := twoServers(t)
	codes := backupCodes(t)
	h.enrol(owner{}, Enrolment{Record: account.Record{Name: "phone"}, Backup: codes.Body})
	for _, c := range codes.Codes[:5] {
		raceFor(t, h, stores, factor.NewBackupFactor(1), string(c.Reveal()))
	}
	if o, err := h.Overview(ctx, h.user); err != nil || o.Backup.Left != 5 || o.Backup.Used != 5 {
		t.Errorf("%+v, %v", o.Backup, err)
	}
}

// Different codes at the same moment all count, none is lost.
func TestB1_DifferentCodesAtOnce(t *testing.T) {
	h, stores := twoServers(t)
	codes := backupCodes(t)
	h.enrol(owner{}, Enrolment{Record: account.Record{Name: "phone"}, Backup: codes.Body})
	f := factor.NewBackupFactor(2)
	a := h.account()
	won := inParallel(len(codes.Codes), func(i int) bool {
		proved, err := f.Check(ctx, factor.Request{Purpose: factor.Login, Account: a, Now: h.now,
			Input: map[string]string{factor.InputCode: string(codes.Codes[i].Reveal())}})
		if err == nil {
			err = spend(t, h, stores[i%2], f, proved.Proof)
		}
		if err != nil {
			t.Error(err)
		}
		return err == nil
	})
	if o, err := h.Overview(ctx, h.user); won != 10 || err != nil || o.Backup.Left != 0 || o.Backup.Used != 10 {
		t.Errorf("%d of 10 got in, %+v, %v", won, o.Backup, err)
	}
}

// A login whose password was checked before 2FA went on adds no session afterwards.
func TestE7_SessionAgainstSwitchingOn(t *testing.T) {
	h, stores := twoServers(t)
	add := func(a *account.Account, id string) error {
		body, err := account.Encode(session.Session{Epoch: a.Epoch(), Via: "main"})
		if err != nil {
			t.Fatal(err)
		}
		return stores[1].Apply(ctx, a, account.Edit{Now: &account.Record{Kind: account.KindSession, ID: id, Created: h.now,
			Expires: h.now.Add(time.Hour), Used: account.Use{At: h.now}, Body: body}})
	}
	stale := h.account()
	h.now = h.now.Add(time.Minute)
	h.enrol(owner{}, phoneNamed("phone"))
	if err := add(stale, "late"); !errors.Is(err, account.ErrConflict) {
		t.Errorf("a session was added to an account that has 2FA by now: %v", err)
	}
	// The other way round the switch ends it.
	h, stores = twoServers(t)
	slow := *h.Desk
	slow.Store = &meddled{Store: stores[0], before: func() {
		if err := add(h.account(), "in between"); err != nil {
			t.Fatal(err)
		}
	}}
	e := h.enrolment(phoneNamed("phone"))
	h.now = h.now.Add(time.Minute)
	if _, err := slow.Enrol(ctx, h.owner(""), "", e); err != nil {
		t.Fatal(err)
	}
	if got := h.live(); got != "phone" {
		t.Errorf("left: %q", got)
	}
}

// A last use that was on its way does not bring back what has ended meanwhile.
func TestAttack35_EndWinsOverLastUse(t *testing.T) {
	s := newScene(t, policy.Settings{})
	for _, ref := range []Ref{{account.KindSession, "sphone"}, {account.KindDevice, "dtablet"}, s.phone} {
		stale := s.account()
		was, err := stale.Record(ref.Kind, ref.ID)
		if err != nil {
			t.Fatal(err)
		}
		end := map[account.Kind]func() error{
			account.KindSession: func() error { _, err := s.EndSession(ctx, operator, s.user, ref.ID); return err },
			account.KindDevice:  func() error { _, err := s.RemoveDevice(ctx, operator, s.user, ref.ID); return err },
			account.KindTOTP:    func() error { _, err := s.RemoveFactor(ctx, operator, s.user, ref); return err },
		}[ref.Kind]
		if err := end(); err != nil {
			t.Fatal(err)
		}
		now := was
		now.Used = account.Use{At: s.now.Add(time.Hour)}
		if err := s.store.Apply(ctx, stale, account.Edit{Was: &was, Now: &now}); !errors.Is(err, account.ErrConflict) {
			t.Errorf("a last use of %s was written over its end: %v", ref, err)
		}
		if r, err := s.account().Record(ref.Kind, ref.ID); err == nil && r.Live(s.now) {
			t.Errorf("%s lives on", ref)
		}
	}
}
