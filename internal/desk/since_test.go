package desk

import (
	"errors"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/policy"
)

// used notes a use of a record now, as a login does.
func (h *harness) used(k account.Kind, id string) {
	h.t.Helper()
	a := h.account()
	was, err := a.Record(k, id)
	if err != nil {
		h.t.Fatal(err)
	}
	now := was
	now.Used.At = h.now
	if err := h.store.Apply(ctx, a, account.Edit{Was: &was, Now: &now}); err != nil {
		h.t.Fatal(err)
	}
}

// What is older than the time and was not used goes on, also in the new epoch.
func TestA14_RevokeSince(t *testing.T) {
	s := newScene(t, policy.Settings{})
	s.now = s.now.Add(3 * time.Hour)
	since := s.now
	s.events.lines()
	if _, err := s.RevokeSince(ctx, operator, s.user, since); !errors.Is(err, ErrNothing) {
		t.Fatalf("nothing is that young: %v", err)
	}
	s.wantEvents("revoked_since refused nothing_to_do")
	if got := s.live(); got != all {
		t.Errorf("left: %q", got)
	}
	watch := s.enrol(owner{session: "sphone"}, phoneNamed("watch")).Ref
	s.app("thief's")
	s.session("swatch", watch.String())
	s.session("syoung", "main")
	s.used(account.KindSession, "sbackup")
	s.used(account.KindDevice, "dphone")
	before := s.account().State.Epoch
	s.now = s.now.Add(time.Minute)
	s.events.lines()
	done, err := s.RevokeSince(ctx, operator, s.user, since)
	if err != nil || done.MustEnrol || done.Factors != 2 || done.AppPasswords != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if got := done.Ended.String(); got != "authenticator: 1, app password: 1, trusted device: 1, session: 4" {
		t.Errorf("ended %s", got)
	}
	if got := s.live(); got != "app codes dtablet phone sphone stablet tablet" {
		t.Errorf("left: %q", got)
	}
	if after := s.account().State.Epoch; after <= before {
		t.Error("read servers cannot show that they have the change")
	}
	s.wantActions("revoked_since totp_removed web_session_ended")
	if _, err := s.RevokeSince(ctx, operator, s.user, since); !errors.Is(err, ErrNothing) {
		t.Errorf("again: %v", err)
	}
}

// Uses are written down once an hour: one that was noted just before may have been
// followed by another.
func TestA14_RevokeSinceCountsUnnotedUses(t *testing.T) {
	for before, ends := range map[time.Duration]bool{59 * time.Minute: true, account.UseEvery + time.Second: false} {
		h := newHarness(t, policy.Settings{})
		id := h.app("phone").ID
		h.now = h.now.Add(24 * time.Hour)
		h.used(account.KindApp, id)
		h.now = h.now.Add(12 * time.Hour)
		_, err := h.RevokeSince(ctx, operator, h.user, h.now.Add(-12*time.Hour).Add(before))
		if ends != (err == nil) || !ends && !errors.Is(err, ErrNothing) {
			t.Errorf("used %v before: %v", before, err)
		}
	}
}

// 2FA stays on when all factors were made by the intruder.
func TestA14_RevokeSinceOfTheLastFactor(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	since := h.now
	h.now = h.now.Add(time.Minute)
	h.enrol(owner{}, Enrolment{Record: account.Record{Name: "thief's"}, Backup: backupCodes(t).Body})
	done, err := h.RevokeSince(ctx, operator, h.user, since)
	if err != nil || !done.MustEnrol || done.Factors != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if a := h.account(); !a.TwoFactor() || !a.State.MustEnrol || a.State.Enrolled || h.live() != "" {
		t.Errorf("%+v, left %q", a.State, h.live())
	}
}

func TestA14_RevokeSinceIsRefused(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.enrol(owner{}, phoneNamed("phone"))
	for _, since := range []time.Time{{}, h.now.Add(time.Second)} {
		if _, err := h.RevokeSince(ctx, operator, h.user, since); !errors.Is(err, ErrInvalid) {
			t.Errorf("since %v: %v", since, err)
		}
	}
	if _, err := h.RevokeSince(ctx, h.owner(""), "", h.now); !errors.Is(err, ErrForbidden) {
		t.Errorf("an owner: %v", err)
	}
	if _, err := h.RevokeSince(ctx, Actor{Name: "nobody"}, h.user, h.now); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("nobody: %v", err)
	}
	if got := h.live(); got != "phone" {
		t.Errorf("left: %q", got)
	}
}
