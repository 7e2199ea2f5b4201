package desk

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
)

// TestA5_NoAddressAnywhere: what a help desk is shown of an account has no address and no
// program in it, of whatever kind of credential; services and times stay.
func TestA5_NoAddressAnywhere(t *testing.T) {
	use := account.Use{At: time.Unix(1_790_000_000, 0).UTC(), Service: account.IMAP, From: netip.MustParseAddr("203.0.113.77"), Agent: "Thunderbird-77"}
	network := netip.MustParsePrefix("198.51.100.0/28")
	for name, o := range map[string]Overview{
		"last use":       {Summary: Summary{LastUse: use}},
		"main password":  {Summary: Summary{MainUses: []account.MainUse{{Use: use, Count: 2}}}},
		"factor":         {Factors: []Factor{{Used: use}}},
		"authenticator":  {TOTP: []Authenticator{{Used: use}}},
		"trusted device": {Devices: []Device{{Used: use}}},
		"session":        {Sessions: []Session{{Used: use}}},
		"app password":   {AppPasswords: []AppPassword{{Used: use, Networks: []netip.Prefix{network}}}},
	} {
		before := asJSON(t, &o)
		if !strings.Contains(before, "203.0.113.77") {
			t.Fatalf("%s: %s", name, before)
		}
		o.hideAddresses()
		after := asJSON(t, &o)
		if strings.Contains(after, "203.0.113") || strings.Contains(after, "198.51.100") || strings.Contains(after, "Thunderbird") {
			t.Errorf("%s: %s", name, after)
		}
		if !strings.Contains(after, "imap") {
			t.Errorf("%s: the service is gone: %s", name, after)
		}
	}
}

func asJSON(t *testing.T, o *Overview) string {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAttack27_EraseAndExport: neither owners, nor help desks, nor administrators of
// another domain have an account forgotten or written out.
func TestAttack27_EraseAndExport(t *testing.T) {
	h := newHall(t)
	const user = "user@other.test"
	if _, err := h.AddTOTP(ctx, operator, user, NewTOTP{}); err != nil {
		t.Fatal(err)
	}
	a, err := h.store.Find(ctx, user)
	if err != nil {
		t.Fatal(err)
	}
	for name, who := range map[string]Actor{"help desk": h.actor("help@example.test"), "another domain's": h.actor("dom@example.test"),
		"nobody": {Name: "nobody"}, "user": h.actor("user@example.test")} {
		if _, err := h.Erase(ctx, who, user, "because"); !errors.Is(err, admin.ErrForbidden) {
			t.Errorf("%s erases: %v", name, err)
		}
		if _, err := h.Export(ctx, who, user); !errors.Is(err, admin.ErrForbidden) {
			t.Errorf("%s exports: %v", name, err)
		}
	}
	if _, err := h.Erase(ctx, Actor{Name: "owner", Owner: a}, user, "because"); !errors.Is(err, ErrForbidden) {
		t.Errorf("the owner erases: %v", err)
	}
	if a, err = h.store.Find(ctx, user); err != nil || !a.HasFactor() {
		t.Errorf("it is gone all the same: %v", err)
	}
}
