package desk

import (
	"errors"
	"slices"
	"testing"

	"postern/internal/account"
	"postern/internal/policy"
)

// raw replaces an attribute's values behind Postern's back.
func (h *harness) raw(attribute string, values ...string) {
	h.t.Helper()
	if err := directory.SetAttr(h.user, attribute, values...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) stored(attribute string) []string {
	h.t.Helper()
	all, err := directory.Dump(h.user)
	if err != nil {
		h.t.Fatal(err)
	}
	var values []string
	for _, v := range all[attribute] {
		values = append(values, string(v))
	}
	return values
}

// damages are what somebody with too many rights in the directory might do.
var damages = map[string]func(h *harness){
	"authenticator removed": func(h *harness) { h.raw("posternTotp") },
	"State removed":         func(h *harness) { h.raw("posternState") },
	"State edited":          func(h *harness) { h.raw("posternState", "nonsense") },
	"app password edited": func(h *harness) {
		v := []byte(h.stored("posternAppPassword")[0])
		v[len(v)-1] ^= 1
		h.raw("posternAppPassword", string(v))
	},
	"app password copied in": func(h *harness) {
		h.raw("posternAppPassword", append(h.stored("posternAppPassword"), "\x01short")...)
	},
	"record of the same id": func(h *harness) {
		v := h.stored("posternAppPassword")[0]
		h.raw("posternAppPassword", v, v[:len(v)-1]+string(v[len(v)-1]^1))
	},
}

// Damage is never turned into "no second factor": changes are refused, and only a
// reset, which leaves the main password refused, starts the account anew.
func TestAttack22_DamageIsOnlyMendedByReset(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, policy.Settings{})
			h.totp()
			h.app("phone")
			damage(h)
			refused := map[string]error{}
			if name != "app password edited" { // its id is there: nothing but using it notices
				_, refused["add"] = h.AddTOTP(ctx, operator, h.user, NewTOTP{})
				_, refused["create"] = h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "x"})
				_, refused["disable"] = h.DisableTwoFactor(ctx, operator, h.user)
			}
			for what, err := range refused {
				if !errors.Is(err, account.ErrDamaged) {
					t.Errorf("%s: %v", what, err)
				}
			}
			before := h.stored("posternAppPassword")
			if _, err := h.RevokeAll(ctx, operator, h.user); err == nil {
				for _, v := range h.stored("posternAppPassword") {
					if slices.Contains(before, v) {
						t.Errorf("left by revoke-all: %x", v)
					}
				}
			} else if !errors.Is(err, account.ErrDamaged) {
				t.Errorf("revoke all: %v", err)
			}
			if _, err := h.Reset(ctx, operator, h.user); err != nil {
				t.Fatalf("reset: %v", err)
			}
			a := h.account() // fails on damage
			if !a.State.MustEnrol || !a.TwoFactor() || liveApps(a, h.now) != 0 || len(a.Values(account.KindTOTP)) != 0 {
				t.Errorf("after the reset: %+v", a.State)
			}
			h.totp()
			h.account()
		})
	}
}

// An app password that cannot be read can still be revoked: it is removed.
func TestRevokeUnreadableAppPassword(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	phone := h.app("phone")
	damages["app password edited"](h)
	if n := liveApps(h.account(), h.now); n != 1 {
		t.Errorf("an unreadable app password counts %d against the maximum", n)
	}
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, phone.ID); err != nil {
		t.Fatal(err)
	}
	if n := len(h.account().Values(account.KindApp)); n != 0 {
		t.Errorf("%d are left", n)
	}
}
