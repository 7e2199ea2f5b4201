package login_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

// bypass opens one for the site's user.
func (w *site) bypass(life time.Duration, services ...account.Service) {
	w.t.Helper()
	n := desk.NewBypass{For: life, Reason: "lost phone", Services: services}
	if _, err := w.desk.Bypass(ctx, desk.Root("test"), w.user, n); err != nil {
		w.t.Fatal(err)
	}
}

// main tries the main password at a mail service.
func (w *site) main(s account.Service) login.Decision {
	w.t.Helper()
	return w.door(account.SecretString(mailtest.Password), s, "198.51.100.7")
}

// The net behind the passdbs lets in what a bypass opens, whoever found the password
// right, and nothing before, after or beside it.
func TestA17_SecondQuestionUnderABypass(t *testing.T) {
	for name, c := range map[string]struct {
		bypass account.Bypass
		want   login.Reason
	}{
		"open":            {account.Bypass{From: now.Add(-time.Minute), Until: now.Add(time.Hour)}, login.Bypassed},
		"for it":          {account.Bypass{From: now, Until: now.Add(time.Hour), Services: []account.Service{account.IMAP}}, login.Bypassed},
		"for another":     {account.Bypass{From: now, Until: now.Add(time.Hour), Services: []account.Service{account.POP3}}, login.AppPasswordRequired},
		"over":            {account.Bypass{From: now.Add(-time.Hour), Until: now}, login.AppPasswordRequired},
		"not yet":         {account.Bypass{From: now.Add(time.Second), Until: now.Add(time.Hour)}, login.AppPasswordRequired},
		"longer than any": {account.Bypass{From: now.Add(-time.Hour), Until: now.Add(account.MaxBypass)}, login.AppPasswordRequired},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.state.Enrolled, p.state.Bypass = true, &c.bypass
			w := settled(t, p, login.Settings{})
			a := imap("alice@example.test", "the other passdb's password")
			w.expectPermit(t, question(a, ""), "")
			if got := w.allow(question(a, "")); got.Reason != c.want || got.Refuse != (c.want != login.Bypassed) {
				t.Errorf("%+v, want %s", got, c.want)
			}
		})
	}
}

// A refusal that is remembered of before does not outlast the bypass being granted.
func TestA17_BypassForgetsARememberedRefusal(t *testing.T) {
	w := enrolled(t, login.Settings{})
	a := imap("alice@example.test", mainPassword)
	w.login(t, a)
	p := newPerson(t)
	p.state.Enrolled, p.state.Bypass = true, &account.Bypass{From: now, Until: now.Add(time.Hour)}
	w.dir.set(p.build(t), nil)
	a.Session = "s2"
	w.expectPermit(t, question(a, ""), "")
}

// Each service is opened by name, webmail among them.
func TestA17_ServicesOfABypass(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	for _, granted := range desk.BypassServices {
		w.bypass(time.Hour, granted)
		for _, s := range account.MailServices {
			want := login.AppPasswordRequired
			if s == granted {
				want = login.Bypassed
			}
			wantReason(t, string(s)+" under a bypass of "+string(granted), w.main(s).Reason, want)
		}
		if in := w.begin().Live != nil; in != (granted == login.Webmail) {
			t.Errorf("webmail under a bypass of %s: in is %v", granted, in)
		}
	}
	none := desk.NewBypass{For: time.Hour, Reason: "x", Services: []account.Service{"pigeon"}}
	if _, err := w.desk.Bypass(ctx, desk.Root("test"), w.user, none); !errors.Is(err, desk.ErrInvalid) {
		t.Errorf("for a service that is none: %v", err)
	}
}

// An account that the directory closes is closed, bypass or not.
func TestA17_BypassOfADisabledAccount(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	w.bypass(time.Hour)
	live := w.begin().Live
	wantReason(t, "before", w.main(account.IMAP).Reason, login.Bypassed)
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	if err := directory.SetAttr(w.user, "objectClass", "inetOrgPerson", "shadowAccount", "posternAccount"); err != nil {
		t.Fatal(err)
	}
	if err := directory.SetAttr(w.user, "shadowExpire", "1"); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "IMAP", w.main(account.IMAP).Reason, login.AccountDisabled)
	wantReason(t, "webmail", w.begin().Reason, login.AccountDisabled)
	if w.account().Bypassed(account.IMAP, w.clock()) {
		t.Error("the account counts as bypassed")
	}
	if d := w.door(live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome == account.Granted {
		t.Error("the ticket of its session opens mail")
	}
	if r := w.Renew(ctx, "roundcube", live.Grant); r.Outcome != account.Denied {
		t.Errorf("its session goes on: %+v", r)
	}
	if _, err := w.desk.Bypass(ctx, desk.Root("test"), w.user, desk.NewBypass{For: time.Hour, Reason: "x"}); !errors.Is(err, desk.ErrInvalid) {
		t.Errorf("a bypass of a closed account: %v", err)
	}
}

// What an administrator or the owner does about a compromise also closes the bypass.
func TestA17_ChangesCloseABypass(t *testing.T) {
	type change = func(*desk.Desk, string) (desk.Changed, error)
	root := desk.Root("test")
	for name, c := range map[string]struct {
		change change
		after  login.Reason
	}{
		"reset":   {func(d *desk.Desk, u string) (desk.Changed, error) { return d.Reset(ctx, root, u) }, login.AppPasswordRequired},
		"revoke":  {func(d *desk.Desk, u string) (desk.Changed, error) { return d.RevokeAll(ctx, root, u) }, login.AppPasswordRequired},
		"disable": {func(d *desk.Desk, u string) (desk.Changed, error) { return d.DisableTwoFactor(ctx, root, u) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t, policy.Settings{})
			w.enrol()
			w.bypass(time.Hour)
			live := w.begin().Live
			wantReason(t, "before", w.main(account.IMAP).Reason, login.Bypassed)
			if _, err := c.change(w.desk, w.user); err != nil {
				t.Fatal(err)
			}
			wantReason(t, "after", w.main(account.IMAP).Reason, c.after)
			if b := w.account().State.Bypass; b != nil {
				t.Errorf("still there: %+v", b)
			}
			if _, n := w.last(effect.BypassEnded); n != 1 {
				t.Errorf("its end is told %d times", n)
			}
			if r := w.Renew(ctx, "roundcube", live.Grant); r.Outcome != account.Denied {
				t.Errorf("its session goes on: %+v", r)
			}
			if _, err := w.desk.EndBypass(ctx, root, w.user); !errors.Is(err, desk.ErrNothing) {
				t.Errorf("ended again: %v", err)
			}
		})
	}
}

// The settings pages take no password for a proof under a bypass, offer the factor as
// ever, and are no administrator's.
func TestA17_SettingsUnderABypassAskForAFactor(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	w.bypass(time.Hour)
	o := w.owner(w.begin().Live.Grant)
	wantReason(t, "the password", w.ConfirmPassword(ctx, o, account.SecretString(mailtest.Password)).Reason, login.FactorMissing)
	if o.Confirmed(w.clock()) || o.Proved() || o.Strong() || o.Enrolee(w.clock()) != nil {
		t.Error("the password counts as a proof")
	}
	if usable, _ := w.ConfirmMethods(o); !slices.Contains(usable, "totp") {
		t.Errorf("asked for: %v", usable)
	}
	a := w.Confirm(ctx, o, login.Reply{Method: "totp", Input: map[string]string{"code": w.code(totp)}})
	if a.Outcome != account.Granted || !o.Confirmed(w.clock()) {
		t.Errorf("the factor: %+v", a)
	}
	if o.Strong() {
		t.Error("a session begun with a password alone counts as strong")
	}
}

// A session that a bypass let in is made for no longer than it, ticket and record.
func TestA17_SessionEndsWithTheBypass(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	w.bypass(5 * time.Minute) // shorter than a ticket
	until := w.clock().Add(5 * time.Minute)
	live := w.begin().Live
	if live == nil || live.Expires.After(until) {
		t.Fatalf("the ticket outlives the bypass: %+v", live)
	}
	sessions, err := w.account().Records(account.KindSession)
	if err != nil || len(sessions) != 1 || sessions[0].Expires.After(until) {
		t.Fatalf("the session outlives the bypass: %+v, %v", sessions, err)
	}
	w.pass(4 * time.Minute)
	wantReason(t, "under it", w.door(live.Ticket, account.IMAP, "127.0.0.1").Reason, login.Bypassed)
	w.pass(time.Minute)
	if d := w.door(live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Denied {
		t.Errorf("the ticket after it: %v", d.Outcome)
	}
}
