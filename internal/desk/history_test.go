package desk

import (
	"net/netip"
	"slices"
	"testing"

	"postern/internal/account"
	"postern/internal/policy"
)

// What an owner does from a browser says where from; what an administrator does says
// by whom; and a change that nobody is told of is not in the history.
func TestA11_ChangesAreInTheHistory(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.totp()
	a := h.account()
	owner := Actor{Name: "owner, by roundcube", Owner: a, Addr: netip.MustParseAddr("192.0.2.7"), Agent: "Firefox"}
	made, err := h.CreateAppPassword(t.Context(), owner, h.user, NewAppPassword{Name: "phone"})
	if err == nil {
		err = h.Rename(t.Context(), owner, h.user, NewName{Ref{account.KindApp, made.ID}, "telephone"})
	}
	if err == nil {
		_, err = h.RevokeAppPassword(t.Context(), Root("help desk"), h.user, made.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	state := h.account().State
	list := state.Happenings()
	var topics []string
	for _, e := range list {
		topics = append(topics, e.Topic)
	}
	if want := []string{"method_added", "two_factor_on", "app_created", "app_revoked"}; !slices.Equal(topics, want) {
		t.Fatalf("%v, want %v", topics, want)
	}
	if e := list[2]; e.By != "" || e.Name != "phone" || e.From != owner.Addr || e.Agent != "Firefox" {
		t.Errorf("%+v", e)
	}
	if e := list[3]; e.By != "help desk" || e.Name != "telephone" || e.From.IsValid() {
		t.Errorf("%+v", e)
	}
}

// ATTACKS 20: the history is no reason to write a State anew that does not match its
// records: that would seal the damage.
func TestAttack20_HistorySealsNoDamage(t *testing.T) {
	for name, damage := range damages {
		h := newHarness(t, policy.Settings{})
		h.totp()
		id := h.app("phone").ID
		damage(h)
		read := func() *account.Account {
			a, err := h.store.Find(t.Context(), h.user)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		damaged := read().Damage() != nil
		_, _ = h.RevokeAppPassword(t.Context(), Root("help desk"), h.user, id)
		a := read()
		for _, e := range a.State.Happenings() {
			if damaged && e.Topic == "app_revoked" {
				t.Errorf("%s: written into a State that does not match", name)
			}
		}
		if damaged && a.Damage() == nil && len(a.State.Happenings()) == 1 {
			t.Errorf("%s: a new State", name)
		}
	}
}
