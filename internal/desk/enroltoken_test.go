package desk

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
)

// resetWithToken is an account after a reset.
func resetWithToken(t *testing.T) (*harness, EnrolToken) {
	t.Helper()
	h := newHarness(t, policy.Settings{})
	h.enrol(owner{}, phoneNamed("phone"))
	changed, err := h.Reset(ctx, operator, h.user)
	if err != nil {
		t.Fatal(err)
	}
	h.events.lines()
	return h, changed.Token
}

// After a reset nobody enrols with the main password alone: a token of somebody else's
// account, a wrong one, one that was used or expired opens nothing.
func TestAttack37_EnrolmentNeedsTheToken(t *testing.T) {
	h, token := resetWithToken(t)
	_, others := resetWithToken(t)
	if token.Until.Sub(h.now) != 72*time.Hour {
		t.Errorf("good until %s", token.Until)
	}
	e := h.enrolment(phoneNamed("thief's"))
	made, _ := factor.NewEnrolToken()
	for name, wrong := range map[string]account.Secret{"none": {}, "another": made, "another account's": others.Token,
		"part of it": account.SecretString(string(token.Token.Reveal())[:17])} {
		e.Token = wrong
		if _, err := h.Enrol(ctx, h.owner(""), "", e); !errors.Is(err, factor.ErrEnrolToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.wantEvents("totp_added refused enrolment_token", "totp_added refused enrolment_token", "totp_added refused enrolment_token", "totp_added refused enrolment_token")
	h.now = token.Until
	e = h.enrolment(phoneNamed("late"))
	e.Token = token.Token
	if _, err := h.Enrol(ctx, h.owner(""), "", e); !errors.Is(err, factor.ErrEnrolToken) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired: %v", err)
	}
	if a := h.account(); a.State.Enrolled || !a.State.MustEnrol || len(a.Values(account.KindTOTP)) != 0 {
		t.Errorf("%+v", a.State)
	}
	h.now = h.now.Add(-time.Second)
	got := h.enrol(owner{}, Enrolment{Record: account.Record{Name: "phone"}, Token: account.SecretString(strings.ToUpper(string(token.Token.Reveal())))})
	if st := h.account().State; !got.First || !st.Enrolled || st.MustEnrol || st.EnrolHash != nil || !st.EnrolUntil.IsZero() {
		t.Errorf("%+v, %+v", got, st)
	}
	// Used once, it is worth nothing after the next reset.
	if _, err := h.Reset(ctx, operator, h.user); err != nil {
		t.Fatal(err)
	}
	e = h.enrolment(phoneNamed("again"))
	e.Token = token.Token
	if _, err := h.Enrol(ctx, h.owner(""), "", e); !errors.Is(err, factor.ErrEnrolToken) {
		t.Errorf("a used token after another reset: %v", err)
	}
}

// Of many who present one token at the same moment, one gets in.
func TestAttack37_TokenIsUsedOnce(t *testing.T) {
	h, token := resetWithToken(t)
	tries := make([]Enrolment, 8)
	for i := range tries {
		tries[i] = h.enrolment(phoneNamed("phone"))
		tries[i].Token = token.Token
	}
	who := h.owner("")
	won := inParallel(len(tries), func(i int) bool {
		_, err := h.Enrol(ctx, who, "", tries[i])
		if err != nil && !errors.Is(err, ErrChanged) && !errors.Is(err, factor.ErrEnrolToken) && !errors.Is(err, ErrBusy) {
			t.Errorf("neither in nor refused: %v", err)
		}
		return err == nil
	})
	if n := len(h.account().Values(account.KindTOTP)); won != 1 || n != 1 {
		t.Errorf("%d got in, %d authenticators", won, n)
	}
}

func TestEnrolTokenIsRenewed(t *testing.T) {
	h, old := resetWithToken(t)
	h.TokenLife = time.Hour
	h.now = h.now.Add(80 * time.Hour)
	token, err := h.NewEnrolToken(ctx, operator, h.user)
	if err != nil || token.Until.Sub(h.now) != time.Hour {
		t.Fatalf("%+v, %v", token, err)
	}
	h.wantEvents("enrol_token_made done")
	if o, err := h.Overview(ctx, h.user); err != nil || !o.EnrolUntil.Equal(token.Until) {
		t.Errorf("%s, %v", o.EnrolUntil, err)
	}
	e := h.enrolment(phoneNamed("phone"))
	e.Token = old.Token
	if _, err := h.Enrol(ctx, h.owner(""), "", e); !errors.Is(err, factor.ErrEnrolToken) {
		t.Errorf("the old one: %v", err)
	}
	e.Token = token.Token
	if _, err := h.Enrol(ctx, h.owner(""), "", e); err != nil {
		t.Errorf("the new one: %v", err)
	}
	if _, err := h.NewEnrolToken(ctx, operator, h.user); !errors.Is(err, ErrNothing) {
		t.Errorf("a token for who has a factor: %v", err)
	}
	for _, ev := range h.events.list {
		if line := fmt.Sprintf("%+v", ev); strings.Contains(line, string(token.Token.Reveal())) {
			t.Errorf("the token is in %s", line)
		}
	}
	// An administrator who adds an authenticator by hand needs none, and it is void then.
	h, token = resetWithToken(t)
	h.totp()
	if st := h.account().State; st.EnrolHash != nil || st.MustEnrol {
		t.Errorf("%+v", st)
	}
}

func TestEnrolTokenWherePolicyAsksForNone(t *testing.T) {
	no := false
	h := newHarness(t, policy.Settings{ResetNeedsToken: &no})
	h.enrol(owner{}, phoneNamed("phone"))
	changed, err := h.Reset(ctx, operator, h.user)
	if err != nil || !changed.Token.Token.Empty() || h.account().State.EnrolHash != nil {
		t.Fatalf("%+v, %v", changed.Token, err)
	}
	if _, err := h.NewEnrolToken(ctx, operator, h.user); !errors.Is(err, ErrNothing) {
		t.Errorf("a token: %v", err)
	}
	stale := h.enrolment(phoneNamed("phone"))
	h.enrol(owner{}, phoneNamed("new"))
	if _, err := h.Enrol(ctx, h.owner(""), "", stale); !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
	// A policy that cannot be read may ask for one.
	h = newHarness(t, policy.Settings{ResetNeedsToken: &no})
	h.enrol(owner{}, phoneNamed("phone"))
	h.raw("posternPolicy", "{")
	if changed, err = h.Reset(ctx, operator, h.user); err != nil || changed.Token.Token.Empty() {
		t.Errorf("%+v, %v", changed.Token, err)
	}
}

// Who is left without factor and codes is helped by a token, not by the main password.
func TestEnrolTokenForTheStranded(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	phone := h.enrol(owner{}, Enrolment{Record: account.Record{Name: "phone"}, Backup: backupCodes(t).Body})
	if _, err := h.RemoveFactor(ctx, operator, h.user, phone.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := h.NewEnrolToken(ctx, operator, h.user); !errors.Is(err, ErrNothing) {
		t.Errorf("with codes left: %v", err)
	}
	a := h.account()
	was, err := a.Record(account.KindBackup, factor.BackupID)
	if err != nil {
		t.Fatal(err)
	}
	body, err := factor.DecodeBackupCodes(was.Body)
	if err != nil {
		t.Fatal(err)
	}
	body.Used, body.Left = body.Left, nil
	used := was
	if used.Body, err = account.Encode(body); err != nil {
		t.Fatal(err)
	}
	if err := h.store.Apply(ctx, a, account.Edit{Was: &was, Now: &used}); err != nil {
		t.Fatal(err)
	}
	before := h.account().State.Epoch
	token, err := h.NewEnrolToken(ctx, operator, h.user)
	if err != nil {
		t.Fatal(err)
	}
	a = h.account()
	if a.State.Enrolled || !a.State.MustEnrol || !a.TwoFactor() || a.State.Epoch <= before || len(a.Values(account.KindBackup)) != 0 {
		t.Errorf("%+v", a.State)
	}
	h.enrol(owner{}, Enrolment{Record: account.Record{Name: "new"}, Token: token.Token})
}

// Whoever owns an account changes that one, by whatever name they ask, and only as
// policy lets; a thief of the password who got as far as enrolment, not at all.
func TestOwnersChangeTheirOwnAccount(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	victim := newUser(t, nil)
	h.enrol(owner{}, phoneNamed("phone"))
	if _, err := h.AddTOTP(ctx, operator, victim, NewTOTP{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.DisableTwoFactor(ctx, h.owner(""), victim); err != nil {
		t.Fatal(err)
	}
	other, err := h.store.Find(ctx, victim)
	if err != nil || !other.TwoFactor() || h.account().TwoFactor() {
		t.Errorf("the other account was changed: %v", err)
	}
	gone := Actor{Name: "owner", Owner: &account.Account{ID: "00000000-0000-0000-0000-000000000000", DN: h.account().DN, Name: h.user}}
	if _, err := h.EndAllSessions(ctx, gone, ""); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("an account that is not that one any more: %v", err)
	}
}

func TestA2_OwnersMayDisable(t *testing.T) {
	mandatory, no := policy.Mandatory, false
	for name, c := range map[string]struct {
		policy policy.Settings
		want   error
	}{"optional": {policy.Settings{}, nil}, "not by users": {policy.Settings{UserMayDisable: &no}, ErrForbidden},
		"mandatory": {policy.Settings{TwoFactor: &mandatory}, ErrForbidden}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, c.policy)
			h.enrol(owner{}, phoneNamed("phone"))
			h.events.lines()
			_, err := h.DisableTwoFactor(ctx, h.owner(""), "")
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("%v", err)
			}
			if c.want == nil {
				return
			}
			h.wantEvents(string(effect.TwoFactorOff) + " refused forbidden_by_policy")
			if _, err := h.DisableTwoFactor(ctx, operator, h.user); err != nil {
				t.Errorf("an administrator: %v", err)
			}
		})
	}
	h, _ := resetWithToken(t)
	if _, err := h.DisableTwoFactor(ctx, h.owner(""), ""); !errors.Is(err, ErrForbidden) || !h.account().TwoFactor() {
		t.Errorf("without a factor after a reset: %v", err)
	}
	h = newHarness(t, policy.Settings{})
	h.enrol(owner{}, phoneNamed("phone"))
	h.raw("posternPolicy", "{")
	if _, err := h.DisableTwoFactor(ctx, h.owner(""), ""); !errors.Is(err, ErrForbidden) {
		t.Errorf("a policy that cannot be read: %v", err)
	}
}
