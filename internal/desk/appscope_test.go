package desk

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/policy"
)

// policy sets the account's own policy.
func (h *harness) policy(text string) {
	h.t.Helper()
	a := h.account()
	was := ""
	if n := len(a.Policy); n > 0 && a.Policy[n-1].Origin == "account" {
		was = a.Policy[n-1].Text
	}
	if err := h.store.ApplyPolicy(ctx, a, was, text); err != nil {
		h.t.Fatal(err)
	}
}

// What expired for want of use is listed so, makes room for another, and goes for good 90
// days later; each use counts anew.
func TestP3_UnusedInLists(t *testing.T) {
	most, days := 1, 7
	h := newHarness(t, policy.Settings{AppPasswordMax: &most, AppPasswordUnusedDays: &days})
	week := 7 * 24 * time.Hour
	state := func(i int) string {
		t.Helper()
		list, err := h.ListAppPasswords(ctx, h.user)
		if err != nil || len(list) <= i {
			t.Fatalf("%+v, %v", list, err)
		}
		slices.SortFunc(list, func(a, b AppPassword) int { return a.Created.Compare(b.Created) })
		return list[i].State(h.now)
	}
	phone := h.app("phone")
	if want := h.now.Add(week); !phone.Unused.Equal(want) {
		t.Errorf("expires unused at %v, want %v", phone.Unused, want)
	}
	h.now = h.now.Add(24 * time.Hour)
	a := h.account()
	was, err := a.Record(account.KindApp, phone.ID)
	if err != nil {
		t.Fatal(err)
	}
	now := was
	now.Used = account.Use{At: h.now, Service: account.IMAP}
	if err := h.store.Apply(ctx, a, account.Edit{Was: &was, Now: &now}); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(week - time.Second)
	if got := state(0); got != "active" {
		t.Errorf("a second before: %s", got)
	}
	if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "second"}); !errors.Is(err, ErrMaximum) {
		t.Errorf("beside one in use: %v", err)
	}
	h.now = h.now.Add(time.Second)
	if got := state(0); got != "unused" {
		t.Errorf("unused for a week: %s", got)
	}
	if s := Summarize(h.account(), h.now); s.AppPasswords != 0 {
		t.Errorf("%d count as in use", s.AppPasswords)
	}
	h.app("second")
	if got := state(1); got != "active" {
		t.Errorf("the new one: %s", got)
	}
	h.now = h.now.Add(account.KeepEndedApp - time.Second)
	h.app("third")
	if n := len(h.account().Values(account.KindApp)); n != 3 {
		t.Errorf("%d are stored a second before, want 3", n)
	}
	h.policy(`{"app_password_max":5}`)
	h.now = h.now.Add(time.Second)
	h.app("fourth")
	if n := len(h.account().Values(account.KindApp)); n != 3 {
		t.Errorf("%d are stored after 90 days, want 3", n)
	}
}

func TestA2_ServicesOfAppPasswords(t *testing.T) {
	h := newHall(t)
	h.policy(`{"app_password_services":["imap","smtp"]}`)
	panel := h.roles.Panel("panel", admin.Site, "*")
	for name, who := range map[string]Actor{
		"owner": h.owner(""), "root": operator, "panel": Administrator(&panel),
	} {
		_, err := h.CreateAppPassword(ctx, who, h.user, NewAppPassword{Name: "phone", Services: []account.Service{account.IMAP, account.DAV}})
		if !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "dav") || !strings.Contains(err.Error(), "account") {
			t.Errorf("%s: %v", name, err)
		}
		made, err := h.CreateAppPassword(ctx, who, h.user, NewAppPassword{Name: "phone"})
		if err != nil || !slices.Equal(made.Services, []account.Service{account.IMAP, account.SMTP}) {
			t.Errorf("%s, none named: %v, %v", name, made.Services, err)
		}
	}
	h.policy(`{"app_password_services":["dav"]}`)
	if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "phone"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("none named where no mail is allowed: %v", err)
	}
}

func TestA19_AppPasswordsOfServiceAccounts(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.policy(`{"service_account":true}`)
	smtp, office := []account.Service{account.SMTP}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for name, c := range map[string]struct {
		services []account.Service
		networks []netip.Prefix
		text     string
	}{
		"no service named": {nil, office, "exactly one service"},
		"two services":     {[]account.Service{account.SMTP, account.IMAP}, office, "exactly one service"},
		"no network":       {smtp, nil, "networks"},
		"all of IPv4":      {smtp, []netip.Prefix{office[0], netip.MustParsePrefix("0.0.0.0/0")}, "everywhere"},
		"all of IPv6":      {smtp, []netip.Prefix{netip.MustParsePrefix("::/0")}, "everywhere"},
	} {
		_, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "scanner", Services: c.services, Networks: c.networks})
		if !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	made, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "scanner", Services: smtp, Networks: office})
	if err != nil || made.Alone {
		t.Errorf("%+v, %v", made.AppPassword, err)
	}
}

// Nobody enrols a service account, and no list waits for it to.
func TestA19_NobodyEnrols(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.policy(`{"service_account":true,"twofactor":"mandatory"}`)
	if _, err := h.AddTOTP(ctx, operator, h.user, NewTOTP{}); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "service account") {
		t.Errorf("an authenticator: %v", err)
	}
	s := Summarize(h.account(), h.now)
	if s.TwoFactor != TwoFactorOff {
		t.Errorf("two-factor login is %s", s.TwoFactor)
	}
	h.wantEvents(string(effect.TOTPAdded) + " refused forbidden_by_policy")
}
