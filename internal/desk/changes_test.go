package desk

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/policy"
	"postern/internal/session"
)

// scene is an account with one of everything: authenticators phone and tablet, devices
// and sessions that they vouched for, a session by a device, one by a backup code, an
// app password.
type scene struct {
	*harness
	phone, tablet Ref
}

func newScene(t *testing.T, defaults policy.Settings) *scene {
	t.Helper()
	s := &scene{harness: newHarness(t, defaults)}
	s.phone = s.enrol(owner{}, Enrolment{Record: account.Record{Name: "phone"}, Backup: backupCodes(t).Body}).Ref
	s.tablet = s.enrol(owner{}, Enrolment{Record: account.Record{Name: "tablet"}}).Ref
	s.app("mail program")
	s.fill()
	return s
}

func (s *scene) fill() {
	s.device("dphone", s.phone.String())
	s.device("dtablet", s.tablet.String())
	s.session("sphone", s.phone.String())
	s.session("stablet", s.tablet.String())
	s.session("sdevice", "device:dphone")
	s.session("sbackup", "backup:codes")
	s.events.lines()
}

// webmail stores a session or device as webmail's sign-in does.
func (h *harness) webmail(r account.Record, body any) {
	h.t.Helper()
	encoded, err := account.Encode(body)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Created, r.Expires, r.Body = h.now, h.now.Add(24*time.Hour), encoded
	r.Used = account.Use{At: h.now}
	if err := h.store.Apply(ctx, h.account(), account.Edit{Now: &r}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) session(id, via string) {
	h.webmail(account.Record{Kind: account.KindSession, ID: id}, session.Session{Epoch: h.account().Epoch(), Client: "webmail", Via: via, Strong: via != "main"})
}

func (h *harness) device(id, via string) {
	h.webmail(account.Record{Kind: account.KindDevice, ID: id, Name: id}, session.Device{Epoch: h.account().Epoch(), Via: via})
}

// live lists the factors, sessions and devices that go on and the app passwords that work.
func (h *harness) live() string {
	h.t.Helper()
	o, err := h.Overview(ctx, h.user)
	if err != nil || o.Unreadable != nil {
		h.t.Fatal(err, o.Unreadable)
	}
	var list []string
	for _, f := range o.Factors {
		list = append(list, f.Name)
	}
	for _, d := range o.Devices {
		list = append(list, d.ID)
	}
	for _, s := range o.Sessions {
		list = append(list, s.ID)
	}
	for i := range o.AppPasswords {
		if o.AppPasswords[i].State(h.now) == "active" {
			list = append(list, "app")
		}
	}
	if o.Backup.Left > 0 {
		list = append(list, "codes")
	}
	slices.Sort(list)
	if counted := o.Authenticators + o.Summary.Devices + o.Summary.Sessions + o.Summary.AppPasswords + min(o.Backup.Left, 1); counted != len(list) {
		h.t.Errorf("the summary counts %d: %+v", counted, o.Summary)
	}
	return strings.Join(list, " ")
}

const all = "app codes dphone dtablet phone sbackup sdevice sphone stablet tablet"

// TestE7_WhatEachChangeEnds is the table of the package's documentation.
func TestE7_WhatEachChangeEnds(t *testing.T) {
	var codes factor.NewBackup
	for name, c := range map[string]struct {
		change func(*scene) error
		events string // "" for none but the first word of each
		left   string
		epoch  bool // rises
	}{
		"Enrol, one more": {func(s *scene) error { s.enrol(owner{}, Enrolment{Record: account.Record{Name: "watch"}}); return nil },
			"totp_added", "app codes dphone dtablet phone sbackup sdevice sphone stablet tablet watch", false},
		"Enrol, with backup codes": {func(s *scene) error {
			s.enrol(owner{}, Enrolment{Record: account.Record{Name: "watch"}, Backup: codes.Body})
			return nil
		}, "totp_added backup_codes_made", "app codes dphone dtablet phone sbackup sdevice sphone stablet tablet watch", false},
		"RemoveFactor": {func(s *scene) error { _, err := s.RemoveFactor(ctx, operator, s.user, s.phone); return err },
			"totp_removed device_removed web_session_ended web_session_ended", "app codes dtablet sbackup stablet tablet", false},
		"RemoveFactor, by an owner who acts in a session that it vouched for": {func(s *scene) error {
			_, err := s.RemoveFactor(ctx, s.owner("sphone"), "", s.phone)
			return err
		}, "totp_removed device_removed web_session_ended", "app codes dtablet sbackup sphone stablet tablet", false},
		"Rename": {func(s *scene) error { return s.Rename(ctx, operator, s.user, NewName{s.phone, "a phone"}) },
			"renamed", "a phone app codes dphone dtablet sbackup sdevice sphone stablet tablet", false},
		"NewBackupCodes": {func(s *scene) error { _, err := s.NewBackupCodes(ctx, operator, s.user, codes.Body); return err },
			"backup_codes_made", all, false},
		"RemoveDevice": {func(s *scene) error { _, err := s.RemoveDevice(ctx, operator, s.user, "dphone"); return err },
			"device_removed web_session_ended", "app codes dtablet phone sbackup sphone stablet tablet", false},
		"RemoveAllDevices": {func(s *scene) error { _, err := s.RemoveAllDevices(ctx, operator, s.user); return err },
			"device_removed device_removed web_session_ended", "app codes phone sbackup sphone stablet tablet", false},
		"EndSession": {func(s *scene) error { _, err := s.EndSession(ctx, operator, s.user, "sphone"); return err },
			"web_session_ended", "app codes dphone dtablet phone sbackup sdevice stablet tablet", false},
		"LogOut": {func(s *scene) error { return s.LogOut(ctx, s.owner("sphone"), "", "sphone") },
			"logged_out", "app codes dphone dtablet phone sbackup sdevice stablet tablet", false},
		"EndAllSessions": {func(s *scene) error { _, err := s.EndAllSessions(ctx, s.owner("sphone"), ""); return err },
			"logged_out_everywhere", "app codes phone tablet", true},
		"DisableTwoFactor": {func(s *scene) error { _, err := s.DisableTwoFactor(ctx, operator, s.user); return err },
			"two_factor_off", "app", true},
		"DisableTwoFactor, by the owner": {func(s *scene) error { _, err := s.DisableTwoFactor(ctx, s.owner("sphone"), ""); return err },
			"two_factor_off", "app sphone", true},
		"Reset": {func(s *scene) error { _, err := s.Reset(ctx, operator, s.user); return err }, "reset", "", true},
		"RevokeAll": {func(s *scene) error { _, err := s.RevokeAll(ctx, operator, s.user); return err },
			"revoked_all", "codes phone tablet", true},
	} {
		t.Run(name, func(t *testing.T) {
			codes = backupCodes(t)
			s := newScene(t, policy.Settings{})
			if got := s.live(); got != all {
				t.Fatalf("the scene is %q", got)
			}
			before := s.account().State.Epoch
			s.now = s.now.Add(time.Minute)
			if err := c.change(s); err != nil {
				t.Fatal(err)
			}
			s.wantActions(c.events)
			if got := s.live(); got != c.left {
				t.Errorf("left: %q, want %q", got, c.left)
			}
			if after := s.account().State.Epoch; (after > before) != c.epoch || after < before {
				t.Errorf("epoch %d after %d", after, before)
			}
		})
	}
}

// wantActions compares the actions of the events, all of them done, in any order.
func (h *harness) wantActions(want string) {
	h.t.Helper()
	var got []string
	for _, line := range h.events.lines() {
		action, rest, _ := strings.Cut(line, " ")
		if rest != "done" {
			h.t.Errorf("event %q", line)
		}
		got = append(got, action)
	}
	slices.Sort(got)
	wanted := strings.Fields(want)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		h.t.Errorf("events %q, want %q", got, wanted)
	}
}

// The first factor ends what began with the main password; the session in which its
// owner proved it goes on, as one with a second factor.
func TestE7_FirstFactorAndTheOwnSession(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.app("mail program")
	for _, id := range []string{"own", "other"} {
		h.session(id, "main")
	}
	h.device("device", "")
	h.events.lines()
	h.now = h.now.Add(time.Minute)
	got := h.enrol(owner{session: "own"}, Enrolment{Record: account.Record{Name: "phone"}, Backup: backupCodes(t).Body})
	if !got.First || got.Name != "phone" {
		t.Errorf("%+v", got)
	}
	h.wantActions("totp_added two_factor_on backup_codes_made")
	if got := h.live(); got != "app codes own phone" {
		t.Errorf("left: %q", got)
	}
	a := h.account()
	r, err := a.Record(account.KindSession, "own")
	if err != nil {
		t.Fatal(err)
	}
	body, err := session.Decode(r.Body)
	if err != nil || !body.Strong || body.Via != got.Ref.String() || body.Epoch != a.Epoch() {
		t.Errorf("own session: %+v, epoch %d, %v", body, a.Epoch(), err)
	}
	if r, err := a.Record(account.KindSession, "other"); err != nil || r.Ended.IsZero() {
		t.Errorf("the other one has no tombstone: %+v, %v", r, err)
	}
}

// A session that was over already is not brought back to life by being acted in.
func TestE7_OwnSessionOfAnOlderEpochEnds(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.session("old", "main")
	h.session("ended", "main")
	if _, err := h.EndSession(ctx, operator, h.user, "ended"); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(time.Minute)
	a := h.account()
	s := a.State.Clone()
	s.Epoch = s.NextEpoch(h.now) // as a reset whose store of the sessions was restored
	edits, err := a.StateEdit(s, h.now)
	if err == nil {
		err = h.store.Apply(ctx, a, edits...)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"old", "ended", "nobody's"} {
		h.enrol(owner{session: id}, Enrolment{Record: account.Record{Name: id}})
		if got, _ := h.Overview(ctx, h.user); len(got.Sessions) != 0 {
			t.Errorf("%s goes on: %+v", id, got.Sessions)
		}
		if _, err := h.DisableTwoFactor(ctx, operator, h.user); err != nil {
			t.Fatal(err)
		}
	}
}

// An administrator's name for a session is no session of theirs.
func TestSessionIsKeptForOwnersOnly(t *testing.T) {
	s := newScene(t, policy.Settings{})
	who := operator
	who.Session = "sphone"
	if _, err := s.RemoveFactor(ctx, who, s.user, s.phone); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.live(), "sphone") {
		t.Error("the session goes on")
	}
	who.Session = "stablet"
	if _, err := s.DisableTwoFactor(ctx, who, s.user); err != nil {
		t.Fatal(err)
	}
	if got := s.live(); got != "app" {
		t.Errorf("left: %q", got)
	}
}

// Removing the last factor leaves an account that must enrol, by token; with backup
// codes left, by one of those.
func TestA3_LastFactorGone(t *testing.T) {
	s := newScene(t, policy.Settings{})
	if _, err := s.RemoveFactor(ctx, operator, s.user, s.tablet); err != nil {
		t.Fatal(err)
	}
	s.events.lines()
	s.now = s.now.Add(time.Minute)
	gone, err := s.RemoveFactor(ctx, operator, s.user, s.phone)
	if err != nil || gone.Factors != 0 || gone.BackupCodes != 10 || !gone.MustEnrol || !gone.Token.Token.Empty() {
		t.Fatalf("%+v, %v", gone, err)
	}
	s.wantActions("totp_removed")
	a := s.account()
	if got := s.live(); got != "app codes" || !a.State.Enrolled || !a.State.MustEnrol || !a.TwoFactor() {
		t.Errorf("left: %q, %+v", got, a.State)
	}
	// With a code proved, a factor is added without a token, and all is as before.
	if e := s.enrol(owner{}, Enrolment{Record: account.Record{Name: "new"}}); e.First {
		t.Error("2FA was on all the time")
	}
	if st := s.account().State; !st.Enrolled || st.MustEnrol {
		t.Errorf("%+v", st)
	}
}

func TestA3_LastFactorGoneWithoutCodes(t *testing.T) {
	for name, c := range map[string]struct {
		needs, codes bool
	}{"token": {true, false}, "no token": {false, false}, "codes that policy takes no longer": {true, true}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, policy.Settings{ResetNeedsToken: &c.needs})
			e := Enrolment{Record: account.Record{Name: "phone"}}
			if c.codes {
				e.Backup = backupCodes(t).Body
			}
			phone := h.enrol(owner{}, e)
			h.session("s", phone.String())
			if c.codes {
				h.raw("posternPolicy", `{"backup_codes":false}`)
			}
			h.now = h.now.Add(time.Minute)
			// Owners do not lock themselves out; where no token is needed, they enrol at once.
			who := h.owner("s")
			left := "s"
			if c.needs {
				if _, err := h.RemoveFactor(ctx, who, "", phone.Ref); !errors.Is(err, ErrLast) || !errors.Is(err, ErrForbidden) {
					t.Fatalf("%v", err)
				}
				who, left = operator, ""
			}
			gone, err := h.RemoveFactor(ctx, who, h.user, phone.Ref)
			if err != nil || gone.Token.Token.Empty() == c.needs || !gone.MustEnrol {
				t.Fatalf("%+v, %v", gone, err)
			}
			if st := h.account().State; st.Enrolled || !st.MustEnrol || len(st.EnrolHash) > 0 != c.needs {
				t.Errorf("%+v", st)
			}
			if got := h.live(); got != left {
				t.Errorf("left: %q, want %q", got, left)
			}
			h.enrol(owner{session: left}, Enrolment{Record: account.Record{Name: "new"}, Token: gone.Token.Token})
			if st := h.account().State; !st.Enrolled || st.MustEnrol || st.EnrolHash != nil {
				t.Errorf("%+v", st)
			}
		})
	}
}

// Two pages that each remove what is the last but one do not lock their owner out.
func TestA3_TheLastTwoAtOnce(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	refs := []Ref{h.enrol(owner{}, phoneNamed("one")).Ref, h.enrol(owner{}, phoneNamed("two")).Ref}
	who := h.owner("")
	won := inParallel(2, func(i int) bool {
		_, err := h.RemoveFactor(ctx, who, "", refs[i])
		if err != nil && !errors.Is(err, ErrLast) {
			t.Error(err)
		}
		return err == nil
	})
	if n := countFactors(h.account()); won != 1 || n != 1 {
		t.Errorf("%d removed, %d left", won, n)
	}
}
