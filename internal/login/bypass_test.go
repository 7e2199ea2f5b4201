package login_test

import (
	"errors"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

// A bypass opens what it was granted for, until it is over, and no setting.
func TestA17_Bypass(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	main := func(s account.Service) login.Decision {
		return w.door(account.SecretString(mailtest.Password), s, "198.51.100.7")
	}
	who := desk.Root("test")
	grant := func(services ...account.Service) {
		t.Helper()
		if _, err := w.desk.Bypass(ctx, who, w.user, desk.NewBypass{For: time.Hour, Reason: "lost phone", Services: services}); err != nil {
			t.Fatal(err)
		}
	}
	wantReason(t, "before", main(account.IMAP).Reason, login.AppPasswordRequired)
	grant(account.IMAP)
	if d := main(account.IMAP); d.Outcome != account.Granted || d.Reason != login.Bypassed {
		t.Errorf("IMAP: %v %s", d.Outcome, d.Reason)
	}
	wantReason(t, "another service", main(account.SMTP).Reason, login.AppPasswordRequired)
	w.toFactor()
	if d := w.door(account.SecretString("wrong"), account.IMAP, "198.51.100.7"); d.Outcome != account.Denied {
		t.Errorf("a wrong password: %v", d.Outcome)
	}

	grant()
	live := w.begin().Live
	if live == nil || live.Via != "bypass" {
		t.Fatalf("webmail: %+v", live)
	}
	if d := w.door(live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Granted || d.Reason != login.Bypassed {
		t.Errorf("ticket: %v %s", d.Outcome, d.Reason)
	}
	o := w.owner(live.Grant)
	if a := w.ConfirmPassword(ctx, o, account.SecretString(mailtest.Password)); a.Outcome == account.Granted {
		t.Error("the settings took the password for a proof")
	}
	if _, err := w.desk.Bypass(ctx, o.Actor(), w.user, desk.NewBypass{For: time.Hour, Reason: "x"}); !errors.Is(err, desk.ErrForbidden) {
		t.Errorf("by its owner: %v", err)
	}
	w.pass(time.Hour)
	wantReason(t, "after", main(account.IMAP).Reason, login.AppPasswordRequired)
	if r := w.Renew(ctx, "roundcube", live.Grant); r.Outcome != account.Denied {
		t.Errorf("renewed after its end: %+v", r)
	}
	w.toFactor()
}

// Ended before its time, it takes along what it let in, and a new one does not bring it back.
func TestA17_BypassEnded(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	n := desk.NewBypass{For: time.Hour, Reason: "lost phone"}
	if _, err := w.desk.Bypass(ctx, desk.Root("test"), w.user, n); err != nil {
		t.Fatal(err)
	}
	live := w.begin().Live
	w.pass(time.Minute)
	if _, err := w.desk.EndBypass(ctx, desk.Root("test"), w.user); err != nil {
		t.Fatal(err)
	}
	w.toFactor()
	if _, err := w.desk.Bypass(ctx, desk.Root("test"), w.user, n); err != nil {
		t.Fatal(err)
	}
	if r := w.Renew(ctx, "roundcube", live.Grant); r.Outcome != account.Denied {
		t.Errorf("renewed: %+v", r)
	}
}
