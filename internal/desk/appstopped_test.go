package desk

import (
	"errors"
	"slices"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
)

const day = 24 * time.Hour

// state is the word of an app password in lists.
func (h *harness) state(id string) string {
	h.t.Helper()
	list, err := h.ListAppPasswords(ctx, h.user)
	i := slices.IndexFunc(list, func(p AppPassword) bool { return p.ID == id })
	if err != nil || i < 0 {
		h.t.Fatal(list, err)
	}
	return list[i].State(h.now)
}

// topics are those of the history.
func (h *harness) topics() (list []string) {
	for _, e := range h.account().State.Happenings() {
		list = append(list, e.Topic)
	}
	return list
}

// An app password that has stopped is told once, whoever sweeps how often; one that
// policy brings to life again is told anew when it stops again.
func TestP3_StoppedIsToldOnce(t *testing.T) {
	h := newHarness(t, policy.Settings{AppPasswordUnusedDays: new(60)})
	unused := h.app("tablet").ID
	dated, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "scanner", Expires: h.now.Add(59 * day)})
	if err != nil {
		t.Fatal(err)
	}
	used := h.app("phone").ID
	h.now = h.now.Add(58 * day)
	h.use(account.KindApp, used, account.Use{At: h.now, Service: account.IMAP})
	h.events.lines()
	if got := h.sweep(Sweep{}); got.Stopped != 0 || got.Changed != 0 {
		t.Errorf("none has stopped: %+v", got)
	}
	h.now = h.now.Add(2 * day)
	if h.state(unused) != AppUnused || h.state(dated.ID) != AppExpired || h.state(used) != AppActive {
		t.Errorf("%s, %s, %s", h.state(unused), h.state(dated.ID), h.state(used))
	}
	if got := h.sweep(Sweep{DryRun: true}); got.Stopped != 2 {
		t.Errorf("dry run: %+v", got)
	}
	inParallel(4, func(int) bool {
		_, err := h.Sweep(ctx, operator, only{h.store, h.user}, Sweep{})
		return err == nil
	})
	list := h.events.take()
	var told []string
	for _, e := range list {
		if e.Action == effect.AppPasswordStopped {
			told = append(told, e.Credential+" "+e.Reason+" "+string(effect.TopicOf(&e))+" "+e.At.Format(time.DateOnly))
		}
	}
	slices.Sort(told)
	want := []string{"app:" + unused + " unused app_unused " + h.now.Format(time.DateOnly),
		"app:" + dated.ID + " expired app_expired " + h.now.Add(-day).Format(time.DateOnly)}
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if got := h.topics(); !slices.Contains(got, "app_unused") || !slices.Contains(got, "app_expired") {
		t.Errorf("history %q", got)
	}
}

// Nothing but policy decides: where it allows more time, the note of the sweep goes.
func TestP3_PolicyBringsItBack(t *testing.T) {
	ring := newRing(t)
	strict, generous := policy.Settings{AppPasswordUnusedDays: new(60)}, policy.Settings{AppPasswordUnusedDays: new(90)}
	h := newHarness(t, strict)
	under := func(s policy.Settings) {
		h.store = openStoreWith(t, s, ring)
		h.Store = h.store
	}
	under(strict)
	id := h.app("tablet").ID
	stopped := func() bool {
		r, err := h.account().Record(account.KindApp, id)
		if err != nil {
			t.Fatal(err)
		}
		return !r.Stopped.IsZero()
	}
	h.now = h.now.Add(61 * day)
	for i, c := range []struct {
		s    policy.Settings
		want int
		word string
	}{{strict, 1, AppUnused}, {generous, 0, AppActive}, {strict, 1, AppUnused}} {
		under(c.s)
		if h.state(id) != c.word {
			t.Errorf("%d: %s before the sweep", i, h.state(id))
		}
		if got := h.sweep(Sweep{}); got.Stopped != c.want || got.Changed != 1 || stopped() != (c.want == 1) {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

// What expired long before anybody swept is no news.
func TestP3_OldNewsIsNotTold(t *testing.T) {
	h := newHarness(t, policy.Settings{AppPasswordUnusedDays: new(60)})
	id := h.app("tablet").ID
	h.now = h.now.Add(68 * day)
	if got := h.sweep(Sweep{}); got.Stopped != 1 {
		t.Errorf("%+v", got)
	}
	for _, e := range h.events.take() {
		if e.Action == effect.AppPasswordStopped && effect.TopicOf(&e) != "" {
			t.Errorf("told: %+v", e)
		}
	}
	if slices.Contains(h.topics(), "app_unused") || h.state(id) != AppUnused {
		t.Errorf("%q, %s", h.topics(), h.state(id))
	}
	if got := h.sweep(Sweep{}); got.Changed != 0 {
		t.Errorf("again: %+v", got)
	}
}

func TestP3_Renew(t *testing.T) {
	h := newHarness(t, policy.Settings{AppPasswordUnusedDays: new(60), AppPasswordMax: new(3)})
	made, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "tablet", Expires: h.now.Add(90 * day)})
	if err != nil {
		t.Fatal(err)
	}
	lost := h.app("lost").ID
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, lost); err != nil {
		t.Fatal(err)
	}
	h.events.lines()
	for id, want := range map[string]error{made.ID: ErrNothing, lost: ErrInvalid, "none": account.ErrNoRecord} {
		if _, err := h.RenewAppPassword(ctx, operator, h.user, id); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	h.now = h.now.Add(61 * day)
	h.sweep(Sweep{})
	h.events.lines()
	renewed, err := h.RenewAppPassword(ctx, h.owner(""), "", made.ID)
	if err != nil || renewed.State(h.now) != AppActive || !renewed.Expires.Equal(h.now.Add(90*day)) || !renewed.Created.Equal(h.now) {
		t.Errorf("%+v, %v", renewed, err)
	}
	h.wantEvents("app_password_renewed done")
	r, err := h.account().Record(account.KindApp, made.ID)
	if err != nil || !r.Stopped.IsZero() || h.state(made.ID) != AppActive {
		t.Errorf("%+v, %v", r, err)
	}
	if got := h.topics(); got[len(got)-1] != "app_renewed" {
		t.Errorf("history: %q", got)
	}
	// It stops again, and is told again; beyond the maximum it stays as it is.
	h.now = h.now.Add(61 * day)
	if got := h.sweep(Sweep{}); got.Stopped != 1 {
		t.Errorf("%+v", got)
	}
	for range 3 {
		h.app("another")
	}
	if _, err := h.RenewAppPassword(ctx, operator, h.user, made.ID); !errors.Is(err, ErrMaximum) {
		t.Errorf("beyond the maximum: %v", err)
	}
	if _, err := h.RenewAppPassword(ctx, Actor{Name: "nobody"}, h.user, made.ID); err == nil {
		t.Error("nobody may renew")
	}
}
