package desk

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
	"postern/internal/session"
)

func TestB3_SessionsAreListedAndEnd(t *testing.T) {
	s := newScene(t, policy.Settings{})
	s.now = s.now.Add(time.Minute)
	s.session("latest", "main")
	o, err := s.Overview(ctx, s.user)
	if err != nil || len(o.Sessions) != 5 || o.Sessions[0].ID != "latest" || o.Sessions[0].Strong || o.Sessions[0].Client != "webmail" || o.Sessions[0].Via != "main" {
		t.Fatalf("%+v, %v", o.Sessions, err)
	}
	ended, err := s.EndSession(ctx, s.owner("sphone"), "", "latest")
	if err != nil || ended.String() != "session: 1" {
		t.Errorf("%s, %v", ended, err)
	}
	r, err := s.account().Record(account.KindSession, "latest")
	if err != nil || !r.Ended.Equal(s.now) {
		t.Errorf("no tombstone: %+v, %v", r, err)
	}
	s.events.lines()
	if _, err := s.EndSession(ctx, operator, s.user, "latest"); !errors.Is(err, ErrNothing) {
		t.Errorf("again: %v", err)
	}
	if _, err := s.EndSession(ctx, operator, s.user, "nobody's"); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("unknown: %v", err)
	}
	for _, id := range []string{"latest", "nobody's"} {
		if err := s.LogOut(ctx, s.owner(id), "", id); err != nil {
			t.Errorf("logging out of what is over: %v", err)
		}
	}
	s.wantEvents("web_session_ended refused nothing_to_do", "web_session_ended refused no_such_record",
		"logged_out refused nothing_to_do", "logged_out refused no_such_record")
	// The tombstone goes with a write after a quarter of an hour.
	s.now = s.now.Add(account.KeepEndedSession - time.Second)
	s.app("a second early")
	if s.count(account.KindSession) != 5 {
		t.Error("the tombstone went too early")
	}
	s.now = s.now.Add(time.Second)
	s.app("in time")
	if n := s.count(account.KindSession); n != 4 {
		t.Errorf("%d sessions are stored", n)
	}
}

func (h *harness) count(k account.Kind) int { return len(h.account().Values(k)) }

func TestB2_DevicesAreListedAndRemoved(t *testing.T) {
	s := newScene(t, policy.Settings{})
	o, err := s.Overview(ctx, s.user)
	if err != nil || len(o.Devices) != 2 || o.Devices[0].Expires.IsZero() || !strings.HasPrefix(o.Devices[0].Via, "totp:") {
		t.Fatalf("%+v, %v", o.Devices, err)
	}
	ended, err := s.RemoveDevice(ctx, s.owner("stablet"), "", "dphone")
	if err != nil || ended.String() != "trusted device: 1, session: 1" {
		t.Errorf("%s, %v", ended, err)
	}
	if _, err := s.RemoveDevice(ctx, operator, s.user, "dphone"); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("again: %v", err)
	}
	if _, err := s.RemoveAllDevices(ctx, operator, s.user); err != nil || s.count(account.KindDevice) != 0 {
		t.Error(err)
	}
	s.events.lines()
	if _, err := s.RemoveAllDevices(ctx, operator, s.user); !errors.Is(err, ErrNothing) {
		t.Errorf("none is left: %v", err)
	}
	s.wantEvents("device_removed refused nothing_to_do")
}

// Policy decides anew what still counts: a shorter life takes effect at once.
func TestE8_ListsFollowPolicy(t *testing.T) {
	s := newScene(t, policy.Settings{})
	s.raw("posternPolicy", `{"session_idle":"2h","trusted_device_days":0}`)
	if got := s.live(); strings.Contains(got, "dphone") {
		t.Errorf("trusted, though policy trusts none: %q", got)
	}
	s.now = s.now.Add(3 * time.Hour)
	if got := s.live(); got != "app codes phone tablet" {
		t.Errorf("idle for three hours: %q", got)
	}
}

// What cannot be read is said, hides nothing else, and can be ended.
func TestAttack22_UnreadableSession(t *testing.T) {
	s := newScene(t, policy.Settings{})
	values := s.stored("posternSession")
	v := []byte(values[0])
	v[len(v)-1] ^= 1
	s.raw("posternSession", append([]string{string(v)}, values[1:]...)...)
	o, err := s.Overview(ctx, s.user)
	if err != nil || !errors.Is(o.Unreadable, account.ErrDamaged) || len(o.Sessions) != 3 || len(o.Devices) != 2 || len(o.Factors) != 2 {
		t.Fatalf("%+v, %v", o, err)
	}
	if _, err := s.EndAllSessions(ctx, operator, s.user); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Overview(ctx, s.user); err != nil || o.Unreadable != nil || len(o.Sessions) != 0 {
		t.Errorf("%+v, %v", o.Unreadable, err)
	}
	// A body that was written by nobody's code is no session either.
	s.webmail(account.Record{Kind: account.KindSession, ID: "odd"}, map[int]int{99: 1})
	if o, err := s.Overview(ctx, s.user); err != nil || !errors.Is(o.Unreadable, account.ErrDamaged) || len(o.Sessions) != 0 {
		t.Errorf("%+v, %v", o.Unreadable, err)
	}
}

// Damage is mended by a Reset only; everything else leaves it for somebody to look at.
func TestAttack22_ChangesOnDamagedAccounts(t *testing.T) {
	s := newScene(t, policy.Settings{})
	e := s.enrolment(phoneNamed("new"))
	who := s.owner("sphone")
	s.raw("posternTotp", s.stored("posternTotp")[0])
	for name, change := range map[string]func() error{
		"enrol":            func() error { _, err := s.Enrol(ctx, who, "", e); return err },
		"remove":           func() error { _, err := s.RemoveFactor(ctx, who, "", s.phone); return err },
		"backup codes":     func() error { _, err := s.NewBackupCodes(ctx, who, "", backupCodes(t).Body); return err },
		"end a session":    func() error { _, err := s.EndSession(ctx, who, "", "sphone"); return err },
		"log out":          func() error { return s.LogOut(ctx, who, "", "sphone") },
		"remove a device":  func() error { _, err := s.RemoveDevice(ctx, who, "", "dphone"); return err },
		"end all sessions": func() error { _, err := s.EndAllSessions(ctx, who, ""); return err },
		"enrolment token":  func() error { _, err := s.NewEnrolToken(ctx, operator, s.user); return err },
		"disable":          func() error { _, err := s.DisableTwoFactor(ctx, operator, s.user); return err },
	} {
		if err := change(); !errors.Is(err, account.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	changed, err := s.Reset(ctx, operator, s.user)
	if err != nil || changed.Token.Token.Empty() || s.live() != "" {
		t.Errorf("%+v, %v", changed, err)
	}
}

// As many as there may be, whatever a login adds (FEATURES E8).
func TestSessionsAreBounded(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	for i := range account.MaxSessions + 3 {
		a := h.account()
		body, err := account.Encode(session.Session{Epoch: a.Epoch(), Via: "main"})
		if err != nil {
			t.Fatal(err)
		}
		at := h.now.Add(time.Duration(i) * time.Second)
		edits := []account.Edit{{Now: &account.Record{Kind: account.KindSession, ID: fmt.Sprintf("%03d", i), Created: at,
			Expires: at.Add(time.Hour), Used: account.Use{At: at}, Body: body}}}
		if err := h.store.Apply(ctx, a, append(edits, a.Overdue(at, edits...)...)...); err != nil {
			t.Fatal(err)
		}
	}
	a := h.account()
	if n := len(a.Values(account.KindSession)); n != account.MaxSessions {
		t.Errorf("%d sessions", n)
	}
	if _, err := a.Record(account.KindSession, "002"); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("the oldest: %v", err)
	}
	if _, err := a.Record(account.KindSession, "003"); err != nil {
		t.Error(err)
	}
}
