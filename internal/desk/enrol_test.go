package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/policy"
)

// freshCodes makes backup codes once for all tests: it costs ten slow hashes.
var freshCodes = sync.OnceValues(func() (factor.NewBackup, error) {
	return factor.NewBackupFactor(1).NewCodes(context.Background())
})

func backupCodes(t testing.TB) factor.NewBackup {
	t.Helper()
	n, err := freshCodes()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// owner is who enrols in tests: the account's owner, in a session or in none.
type owner struct{ session string }

// owner is the account's owner as the pages name them.
func (h *harness) owner(session string) Actor {
	a := h.account()
	return Actor{Name: "owner", Owner: &account.Account{ID: a.ID, DN: a.DN, Name: a.Name}, Session: session}
}

// enrolment is a new authenticator, proved.
func (h *harness) enrolment(e Enrolment) Enrolment {
	h.t.Helper()
	r := factor.Request{Purpose: factor.Enrol, Account: h.account(), Now: h.now}
	begun, err := factor.TOTPFactor{}.Begin(ctx, r)
	if err != nil {
		h.t.Fatal(err)
	}
	secret, err := factor.DecodeTOTPEnrolment(begun.State)
	if err != nil {
		h.t.Fatal(err)
	}
	code, err := secret.TOTP.Code(h.now)
	if err != nil {
		h.t.Fatal(err)
	}
	r.State, r.Input = begun.State, map[string]string{factor.InputCode: code}
	proved, err := factor.TOTPFactor{}.Check(ctx, r)
	if err != nil {
		h.t.Fatal(err)
	}
	name := e.Record.Name
	e.Record, e.Epoch, e.Proved = proved.Record, h.account().Epoch(), true
	e.Record.Name = name
	return e
}

func (h *harness) enrol(o owner, e Enrolment) Enrolled {
	h.t.Helper()
	got, err := h.Enrol(ctx, h.owner(o.session), "", h.enrolment(e))
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

func phoneNamed(name string) Enrolment { return Enrolment{Record: account.Record{Name: name}} }

func TestT1_EnrolledOnce(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	e := h.enrolment(phoneNamed("phone"))
	if _, err := h.Enrol(ctx, h.owner(""), "", e); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enrol(ctx, h.owner(""), "", e); !errors.Is(err, ErrNothing) {
		t.Errorf("sent twice: %v", err)
	}
	h.wantEvents("totp_added done", "two_factor_on done", "totp_added refused nothing_to_do")
	r, err := h.account().Record(account.KindTOTP, e.Record.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := factor.DecodeTOTP(r.Body); err != nil || a.Last == 0 {
		t.Errorf("the code that enrolled is not spent: %+v, %v", a, err)
	}
}

// An enrolment that was begun with the main password alone adds nothing once there is
// a factor that had to be proved, too.
func TestAttack02_EnrolmentBegunBeforeTheFirstFactor(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	stale := h.enrolment(phoneNamed("thief's"))
	h.now = h.now.Add(time.Minute)
	h.enrol(owner{}, phoneNamed("phone"))
	h.events.lines()
	if _, err := h.Enrol(ctx, h.owner(""), "", stale); !errors.Is(err, ErrChanged) || !errors.Is(err, account.ErrConflict) {
		t.Errorf("%v", err)
	}
	h.wantEvents("totp_added refused account_changed")
	if got := h.live(); got != "phone" {
		t.Errorf("%q", got)
	}
	// The same when the first factor comes in between reading and writing.
	h = newHarness(t, policy.Settings{})
	stale = h.enrolment(phoneNamed("thief's"))
	slow := *h.Desk
	slow.Store = &meddled{Store: h.store, before: func() { h.now = h.now.Add(time.Minute); h.enrol(owner{}, phoneNamed("phone")) }}
	if _, err := slow.Enrol(ctx, h.owner(""), "", stale); !errors.Is(err, ErrChanged) {
		t.Errorf("in between: %v", err)
	}
	if got := h.live(); got != "phone" {
		t.Errorf("%q", got)
	}
}

func TestEnrolRefuses(t *testing.T) {
	passkeys := []string{policy.MethodPasskey, "plugin:radius"}
	off, no := policy.Off, false
	for name, c := range map[string]struct {
		policy policy.Settings
		change func(*Enrolment)
		want   error
	}{
		"a method that policy lacks":   {policy.Settings{Methods: &passkeys}, func(*Enrolment) {}, ErrForbidden},
		"the same by another name":     {policy.Settings{Methods: &passkeys}, func(e *Enrolment) { e.Record.Kind = account.KindPlugin; e.Method = "plugin:sms" }, ErrForbidden},
		"a plug-in without a name":     {policy.Settings{}, func(e *Enrolment) { e.Record.Kind = account.KindPlugin }, ErrForbidden},
		"2FA off":                      {policy.Settings{TwoFactor: &off}, func(*Enrolment) {}, ErrForbidden},
		"backup codes off":             {policy.Settings{BackupCodes: &no}, func(e *Enrolment) { e.Backup = backupCodes(t).Body }, ErrForbidden},
		"backup codes that are none":   {policy.Settings{}, func(e *Enrolment) { e.Backup = []byte{1} }, ErrInvalid},
		"no name":                      {policy.Settings{}, func(e *Enrolment) { e.Record.Name = " " }, ErrNameEmpty},
		"a long name":                  {policy.Settings{}, func(e *Enrolment) { e.Record.Name = strings.Repeat("x", 65) }, ErrNameLong},
		"no body":                      {policy.Settings{}, func(e *Enrolment) { e.Record.Body = nil }, ErrInvalid},
		"no id":                        {policy.Settings{}, func(e *Enrolment) { e.Record.ID = "" }, ErrInvalid},
		"an app password for a factor": {policy.Settings{}, func(e *Enrolment) { e.Record.Kind = account.KindApp }, ErrInvalid},
		"State for a factor":           {policy.Settings{}, func(e *Enrolment) { e.Record.Kind = account.KindState }, ErrInvalid},
		"a stored record":              {policy.Settings{}, func(e *Enrolment) { e.Record.Stored = []byte{1} }, ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, c.policy)
			e := h.enrolment(phoneNamed("phone"))
			c.change(&e)
			if _, err := h.Enrol(ctx, h.owner(""), "", e); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if a := h.account(); a.TwoFactor() || len(a.State.Members) != 0 {
				t.Errorf("something was stored: %+v", a.State)
			}
		})
	}
	h := newHarness(t, policy.Settings{Methods: &passkeys})
	e := h.enrolment(phoneNamed("token"))
	e.Record.Kind, e.Method = account.KindPlugin, "plugin:radius"
	if _, err := h.Enrol(ctx, h.owner(""), "", e); err != nil {
		t.Errorf("a plug-in that policy allows: %v", err)
	}
	h.wantActions("plugin_factor_added two_factor_on")
}

func TestEnrolIsBounded(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	for range maxFactors {
		h.enrol(owner{}, phoneNamed("phone"))
	}
	if _, err := h.Enrol(ctx, h.owner(""), "", h.enrolment(phoneNamed("phone"))); !errors.Is(err, ErrMaximum) {
		t.Errorf("one more: %v", err)
	}
	if _, err := h.AddTOTP(ctx, operator, h.user, NewTOTP{}); !errors.Is(err, ErrMaximum) {
		t.Errorf("one more by an administrator: %v", err)
	}
	o, err := h.Overview(ctx, h.user)
	names := make(map[string]bool)
	for _, f := range o.Factors {
		names[f.Name] = true
	}
	if err != nil || len(names) != maxFactors || !names["phone"] || !names[fmt.Sprintf("phone %d", maxFactors)] {
		t.Errorf("%v, %v", names, err)
	}
}

func TestW2_Rename(t *testing.T) {
	s := newScene(t, policy.Settings{})
	app := s.app("laptop")
	for _, c := range []struct {
		name string
		new  NewName
		want error
	}{
		{"taken", NewName{s.phone, "TABLET"}, ErrNameTaken},
		{"its own", NewName{s.phone, "phone"}, ErrNothing},
		{"empty", NewName{s.phone, ""}, ErrNameEmpty},
		{"long", NewName{s.phone, strings.Repeat("ü", 65)}, ErrNameLong},
		{"control", NewName{s.phone, "a\x1bb"}, ErrNameForm},
		{"turned about", NewName{s.phone, "a\u202eb"}, ErrNameForm},
		{"credential", NewName{s.phone, string(app.Password.Reveal())}, ErrNameForm},
		{"nobody's", NewName{Ref{account.KindTOTP, "none"}, "x"}, account.ErrNoRecord},
		{"a session", NewName{Ref{account.KindSession, "sphone"}, "x"}, ErrInvalid},
		{"backup codes", NewName{backupRef, "x"}, ErrInvalid},
		{"State", NewName{Ref{account.KindState, "state"}, "x"}, ErrInvalid},
		{"its own, with a capital", NewName{s.phone, "Phone"}, nil},
		{"of joined emoji", NewName{s.phone, "👩\u200d💻"}, nil},
		{"its own again", NewName{s.phone, "Phone"}, nil},
		{"a device", NewName{Ref{account.KindDevice, "dphone"}, "living room"}, nil},
		{"app password", NewName{Ref{account.KindApp, app.ID}, "phone"}, nil},
	} {
		if err := s.Rename(ctx, operator, s.user, c.new); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	o, err := s.Overview(ctx, s.user)
	if err != nil || o.TOTP[0].Name+o.TOTP[1].Name != "Phonetablet" && o.TOTP[0].Name+o.TOTP[1].Name != "tabletPhone" {
		t.Errorf("%+v, %v", o.TOTP, err)
	}
	// What was used meanwhile stays used.
	was, err := s.account().Record(account.KindTOTP, s.phone.ID)
	if err != nil {
		t.Fatal(err)
	}
	spent, err := factor.SpendTOTP(was, 1<<40, s.now)
	if err != nil {
		t.Fatal(err)
	}
	slow := *s.Desk
	slow.Store = &meddled{Store: s.store, before: func() {
		if err := s.store.Apply(ctx, s.account(), account.Edit{Was: &was, Now: &spent}); err != nil {
			t.Fatal(err)
		}
	}}
	if err := slow.Rename(ctx, operator, s.user, NewName{s.phone, "telephone"}); err != nil {
		t.Fatal(err)
	}
	r, err := s.account().Record(account.KindTOTP, s.phone.ID)
	if body, decodeErr := factor.DecodeTOTP(r.Body); err != nil || decodeErr != nil || body.Last != 1<<40 || r.Name != "telephone" {
		t.Errorf("%s, last step %d, %v, %v", r.Name, body.Last, err, decodeErr)
	}
	if _, err := s.RevokeAppPassword(ctx, operator, s.user, app.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(ctx, operator, s.user, NewName{Ref{account.KindApp, app.ID}, "y"}); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("a revoked one: %v", err)
	}
}

// Wrong tries are forgotten with what they were tried on, and nothing else of them.
func TestAttack07_FailuresAreForgottenByKind(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scene) error
		left   []account.Kind
	}{
		"enrol":  {func(s *scene) error { s.enrol(owner{}, phoneNamed("new")); return nil }, []account.Kind{account.KindPasskey, account.KindBackup}},
		"remove": {func(s *scene) error { _, err := s.RemoveFactor(ctx, operator, s.user, s.phone); return err }, []account.Kind{account.KindPasskey, account.KindBackup}},
		"backup codes": {func(s *scene) error {
			_, err := s.NewBackupCodes(ctx, operator, s.user, backupCodes(t).Body)
			return err
		}, []account.Kind{account.KindTOTP, account.KindPasskey}},
		"disable":    {func(s *scene) error { _, err := s.DisableTwoFactor(ctx, operator, s.user); return err }, nil},
		"reset":      {func(s *scene) error { _, err := s.Reset(ctx, operator, s.user); return err }, nil},
		"revoke all": {func(s *scene) error { _, err := s.RevokeAll(ctx, operator, s.user); return err }, []account.Kind{account.KindTOTP, account.KindPasskey, account.KindBackup}},
		"rename":     {func(s *scene) error { return s.Rename(ctx, operator, s.user, NewName{s.phone, "x"}) }, []account.Kind{account.KindTOTP, account.KindPasskey, account.KindBackup}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, policy.Settings{})
			a := s.account()
			state := a.State.Clone()
			state.Failures, state.FailedAt = map[account.Kind]uint{}, map[account.Kind]time.Time{}
			for _, k := range []account.Kind{account.KindTOTP, account.KindPasskey, account.KindBackup} {
				state.Failures[k], state.FailedAt[k] = 100, s.now
			}
			edits, err := a.StateEdit(state, s.now)
			if err == nil {
				err = s.store.Apply(ctx, a, edits...)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := c.change(s); err != nil {
				t.Fatal(err)
			}
			got := s.account().State
			if len(got.Failures) != len(c.left) || len(got.FailedAt) != len(c.left) {
				t.Errorf("%v, %v", got.Failures, got.FailedAt)
			}
			for _, k := range c.left {
				if got.Failures[k] != 100 || got.FailedAt[k].IsZero() {
					t.Errorf("those of %s are forgotten", k)
				}
			}
		})
	}
}

func TestB1_NewBackupCodes(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	codes := backupCodes(t)
	if _, err := h.NewBackupCodes(ctx, operator, h.user, codes.Body); !errors.Is(err, ErrInvalid) {
		t.Errorf("without 2FA: %v", err)
	}
	h.enrol(owner{}, phoneNamed("phone"))
	h.events.lines()
	if n, err := h.NewBackupCodes(ctx, h.owner(""), "", codes.Body); err != nil || n.Left != 10 || n.Used != 0 {
		t.Errorf("%+v, %v", n, err)
	}
	// One is used, and the rest replaced while that is under way.
	f := factor.NewBackupFactor(1)
	a := h.account()
	proved, err := f.Check(ctx, factor.Request{Purpose: factor.Login, Account: a, Now: h.now, Input: map[string]string{factor.InputCode: string(codes.Codes[0].Reveal())}})
	if err != nil {
		t.Fatal(err)
	}
	was, err := a.Record(account.KindBackup, factor.BackupID)
	if err != nil {
		t.Fatal(err)
	}
	spent, err := f.Spend(was, proved.Proof, h.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.Apply(ctx, a, account.Edit{Was: &was, Now: &spent}); err != nil {
		t.Fatal(err)
	}
	if o, err := h.Overview(ctx, h.user); err != nil || o.Backup.Left != 9 || o.Backup.Used != 1 || !o.Backup.LastUsed.Equal(h.now) {
		t.Errorf("%+v, %v", o.Backup, err)
	}
	again, err := f.NewCodes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.NewBackupCodes(ctx, operator, h.user, again.Body); err != nil {
		t.Fatal(err)
	}
	if o, err := h.Overview(ctx, h.user); err != nil || o.Backup.Left != 10 || o.Backup.Used != 0 {
		t.Errorf("%+v, %v", o.Backup, err)
	}
	if err := h.store.Apply(ctx, a, account.Edit{Was: &spent, Now: &was}); !errors.Is(err, account.ErrConflict) {
		t.Errorf("the older ones came back: %v", err)
	}
	// Some that cannot be read are replaced, too.
	v := []byte(h.stored("posternBackupCodes")[0])
	v[len(v)-1] ^= 1
	h.raw("posternBackupCodes", string(v))
	if o, err := h.Overview(ctx, h.user); err != nil || !errors.Is(o.Unreadable, account.ErrDamaged) {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := h.NewBackupCodes(ctx, operator, h.user, codes.Body); err != nil {
		t.Fatal(err)
	}
	h.wantEvents("backup_codes_made done", "backup_codes_made done", "backup_codes_made done")
	no := false
	h = newHarness(t, policy.Settings{BackupCodes: &no})
	h.enrol(owner{}, phoneNamed("phone"))
	if _, err := h.NewBackupCodes(ctx, operator, h.user, codes.Body); !errors.Is(err, ErrForbidden) {
		t.Errorf("policy: %v", err)
	}
}
