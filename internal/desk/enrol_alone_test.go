package desk

import (
	"errors"
	"testing"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/policy"
)

// On the way in a factor is added to an account without any, not beside what somebody
// else was faster with; and one with two-factor login takes it from who has proved
// something, or with an administrator's token (ATTACKS 2).
func TestAttack02_EnrolmentOnTheWayIn(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	phone := h.enrol(owner{}, Enrolment{Record: account.Record{Name: "phone"}, Backup: backupCodes(t).Body})
	late := h.enrolment(Enrolment{Record: account.Record{Name: "late"}})
	late.Alone = true
	if _, err := h.Enrol(ctx, h.owner(""), "", late); !errors.Is(err, ErrChanged) {
		t.Errorf("beside another: %v", err)
	}
	if _, err := h.RemoveFactor(ctx, operator, h.user, phone.Ref); err != nil {
		t.Fatal(err)
	}
	e := h.enrolment(Enrolment{Record: account.Record{Name: "new"}})
	e.Alone, e.Proved = true, false
	if _, err := h.Enrol(ctx, h.owner(""), "", e); !errors.Is(err, factor.ErrEnrolToken) {
		t.Errorf("with nothing proved: %v", err)
	}
	e.Proved = true
	if _, err := h.Enrol(ctx, h.owner(""), "", e); err != nil {
		t.Errorf("after a backup code: %v", err)
	}
}
