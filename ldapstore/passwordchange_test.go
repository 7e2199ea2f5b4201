package ldapstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// TestAttack36_ChangeTable reads every attribute that tells of a change. All values
// are about noon on 1 June 2026, each as exactly as its kind can.
func TestAttack36_ChangeTable(t *testing.T) {
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	second := noon.Add(time.Second - time.Microsecond)
	filetime := (noon.Unix() + 11644473600) * 1e7
	for _, row := range []struct {
		attribute, value string
		want             time.Time
	}{
		{"pwdChangedTime", "20260601120000Z", second},
		{"pwdChangedTime", "20260601120000.25Z", second},
		{"pwdchangedtime", "20260601140000+0200", second},
		{"pwdUpdateTime", "20260601120000Z", second},
		{"krbLastPwdChange", "20260601120000Z", second},
		{"exampleSince", "20260601120000Z", second},
		{"shadowLastChange", fmt.Sprint(noon.Unix() / 86400), noon.Add(12*time.Hour - time.Microsecond)},
		{"pwdLastSet", fmt.Sprint(filetime), noon},
		{"PWDLASTSET", fmt.Sprint(filetime + 5_000_000), noon.Add(500 * time.Millisecond)},
		{"sambaPwdLastSet", fmt.Sprint(noon.Unix()), second},
		// There was a change, or is to be one, and nobody can say when.
		{"shadowLastChange", "0", account.Sometime()},
		{"pwdLastSet", "0", account.Sometime()},
		{"pwdLastSet", "-1", account.Sometime()},
		{"sambaPwdLastSet", "0", account.Sometime()},
		{"pwdChangedTime", "", account.Sometime()},
		{"pwdChangedTime", "20605", account.Sometime()},
		{"shadowLastChange", "20260601120000Z", account.Sometime()},
		{"shadowLastChange", "", account.Sometime()},
		{"pwdLastSet", "yesterday", account.Sometime()},
		{"sambaPwdLastSet", "9223372036854775807", account.Sometime()},
	} {
		e := ldap.NewEntry("cn=x", map[string][]string{row.attribute: {row.value}})
		if got := passwordChanged(e, row.attribute); !got.Equal(row.want) {
			t.Errorf("%s: %q is %v, want %v", row.attribute, row.value, got, row.want)
		}
		if got := passwordChanged(ldap.NewEntry("cn=x", nil), row.attribute); !got.IsZero() {
			t.Errorf("without %s: %v", row.attribute, got)
		}
	}
	two := ldap.NewEntry("cn=x", map[string][]string{"pwdChangedTime": {"20260601120000Z", "20250601120000Z"}})
	if got := passwordChanged(two, "pwdChangedTime"); !got.Equal(second) {
		t.Errorf("of two values: %v", got)
	}
}

// TestAttack36_PasswordChanged: slapd's ppolicy notes when a password is changed, by
// whomever, and a session that began before ends with it: in both layouts.
func TestAttack36_PasswordChanged(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{Lockout: true})
	watching := func(c *Config) { c.PasswordChanged = "pwdChangedTime" }
	forLayouts(t, slapd, watching, func(t *testing.T, h *harness) {
		mail := h.user(t, nil)
		// Nobody knows of a change within the second of the last: see account.Epoch.
		backdate(t, slapd, mail, "20260101000000Z")
		before := h.find(t, mail)
		session := &account.Record{Kind: account.KindSession, Created: time.Now()}
		if before.Void(session, before.Epoch()) {
			t.Error("a session is void at once")
		}
		began := time.Now().Truncate(time.Second)
		if err := slapd.SetAttr(mail, "userPassword", mailtest.SSHA("the help desk's")); err != nil {
			t.Fatal(err)
		}
		a := h.find(t, mail)
		if a.PasswordChanged.Before(began) || a.PasswordChanged.After(time.Now().Add(time.Second)) {
			t.Errorf("changed %v, not about %v", a.PasswordChanged, began)
		}
		if fresh, err := h.Read(context.Background(), before); err != nil || !fresh.PasswordChanged.Equal(a.PasswordChanged) {
			t.Errorf("from the write server: %v, %v", fresh, err)
		}
		if !a.Void(session, before.Epoch()) {
			t.Error("a session outlives the password that it began with")
		}
		session.Created = time.Now() // within the second of the change
		if a.Void(session, a.Epoch()) {
			t.Error("a session that began with the new password is void")
		}
		wantErr(t, h.Bind(context.Background(), a, account.SecretString("secret of "+mail)), account.ErrWrong)
	})
}

// TestAttack36_WholeDays: shadowLastChange, where there is no password policy.
func TestAttack36_WholeDays(t *testing.T) {
	layouts(t, func(t *testing.T, base *harness) {
		h := &harness{openStore(t, base.slapd, base.ring, func(c *Config) {
			c.Layout, c.PasswordChanged = base.cfg.Layout, "shadowLastChange"
		}), base.slapd, base.ring}
		today := time.Now().Unix() / 86400
		mail := h.user(t, map[string][]string{"objectClass": {"shadowAccount"}, "shadowLastChange": {fmt.Sprint(today - 30)}})
		before := h.find(t, mail)
		if want := time.Unix((today-29)*86400, 0); !before.PasswordChanged.Before(want) || before.PasswordChanged.Before(want.Add(-time.Minute)) {
			t.Errorf("changed %v", before.PasswordChanged)
		}
		if err := h.slapd.SetAttr(mail, "shadowLastChange", fmt.Sprint(today)); err != nil {
			t.Fatal(err)
		}
		a := h.find(t, mail)
		session := &account.Record{Kind: account.KindSession, Created: time.Now()}
		if !a.Void(session, before.Epoch()) {
			t.Error("a session from earlier on the day of the change goes on")
		}
		if a.Void(session, a.Epoch()) {
			t.Error("a session from later on that day is void")
		}
		if ignorant := base.find(t, mail); !ignorant.PasswordChanged.IsZero() {
			t.Errorf("nobody asked, and still: %v", ignorant.PasswordChanged)
		}
	})
}

// backdate sets what only slapd itself may set, but for the control of
// draft-zeilenga-ldap-relax-03.
func backdate(t *testing.T, s *mailtest.Slapd, mail, at string) {
	t.Helper()
	c, err := s.Root()
	if err != nil {
		t.Fatal(err)
	}
	req := ldap.NewModifyRequest(mailtest.UserDN(mail), []ldap.Control{ldap.NewControlString("1.3.6.1.4.1.4203.666.5.12", true, "")})
	req.Replace("pwdChangedTime", []string{at})
	if err := c.Modify(req); err != nil {
		t.Fatal(err)
	}
}
