package ldapstore

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// TestAttack23_StatusTable judges every attribute at one moment.
func TestAttack23_StatusTable(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	day := now.Unix() / 86400
	filetime := func(t time.Time) string { return fmt.Sprint((t.Unix() + 11644473600) * 1e7) }
	for _, row := range []struct {
		attribute, value string
		want             account.Status
	}{
		{"nsAccountLock", "TRUE", account.Disabled},
		{"nsaccountlock", "true", account.Disabled},
		{"nsAccountLock", "yes", account.Disabled},
		{"nsAccountLock", "FALSE", account.Active},
		{"pwdAccountLockedTime", "000001010000Z", account.Disabled},
		{"pwdAccountLockedTime", "20260601115900Z", account.BindLocked},
		{"pwdStartTime", "20260601115900Z", account.Active},
		{"pwdStartTime", "20260601120100Z", account.Disabled},
		{"pwdEndTime", "20260601115900Z", account.Disabled},
		{"pwdEndTime", "20260601120100Z", account.Active},
		{"pwdEndTime", "20260601120000Z", account.Disabled},
		{"pwdEndTime", "soon", account.Disabled},
		{"shadowExpire", fmt.Sprint(day), account.Disabled},
		{"shadowExpire", fmt.Sprint(day - 1), account.Disabled},
		{"shadowExpire", fmt.Sprint(day + 1), account.Active},
		{"shadowExpire", "0", account.Disabled},
		{"shadowExpire", "1", account.Disabled},
		{"shadowExpire", "-1", account.Active},
		{"shadowExpire", "x", account.Disabled},
		{"userAccountControl", "512", account.Active},
		{"userAccountControl", "514", account.Disabled},
		{"userAccountControl", "66050", account.Disabled},
		{"userAccountControl", "x", account.Disabled},
		{"accountExpires", "0", account.Active},
		{"accountExpires", "9223372036854775807", account.Active},
		{"accountExpires", filetime(now.Add(-time.Second)), account.Disabled},
		{"accountExpires", filetime(now.Add(time.Second)), account.Active},
		{"lockoutTime", "0", account.Active},
		{"lockoutTime", filetime(now), account.BindLocked},
		{"accountUnlockTime", "20260601130000Z", account.BindLocked},
		{"accountUnlockTime", "20260601110000Z", account.Active},
		{"accountUnlockTime", "19700101000000Z", account.BindLocked},
		{"description", "TRUE", account.Active},
	} {
		t.Run(row.attribute+"="+row.value, func(t *testing.T) {
			e := ldap.NewEntry("cn=x", map[string][]string{row.attribute: {row.value}})
			got, cause := status(e, now)
			if got != row.want || (cause == "") != (got == account.Active) {
				t.Errorf("got %v (%s), want %v", got, cause, row.want)
			}
		})
	}
	worst := ldap.NewEntry("cn=x", map[string][]string{"pwdAccountLockedTime": {"20260601115900Z"}, "nsAccountLock": {"TRUE"}})
	if got, _ := status(worst, now); got != account.Disabled {
		t.Errorf("the worst of two is %v", got)
	}
}

// TestAttack23_Directory: what a real directory holds is asked for by name and seen.
func TestAttack23_Directory(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{Lockout: true})
	if err := slapd.Configure(context.Background(), nsAccountLockSchema); err != nil {
		t.Fatal(err)
	}
	for _, layout := range []string{LayoutEntry, LayoutSubtree} {
		t.Run(layout, func(t *testing.T) {
			h := newHarness(t, slapd, func(c *Config) { c.Layout = layout })
			mail := h.user(t, map[string][]string{"objectClass": {"shadowAccount", "testLockable"}})
			want := func(what string, st account.Status) {
				t.Helper()
				if a := h.find(t, mail); a.Status != st {
					t.Errorf("%s: status %v (%s), want %v", what, a.Status, a.Cause, st)
				}
			}
			set := func(attribute string, values ...string) {
				t.Helper()
				if err := slapd.SetAttr(mail, attribute, values...); err != nil {
					t.Fatal(err)
				}
			}
			want("fresh", account.Active)
			set("shadowExpire", "1")
			want("shadowExpire", account.Disabled)
			set("shadowExpire")
			set("nsAccountLock", "TRUE")
			want("nsAccountLock", account.Disabled)
			set("nsAccountLock")
			for range 5 {
				wantErr(t, h.Bind(context.Background(), h.find(t, mail), account.SecretString("wrong")), account.ErrWrong)
			}
			want("five wrong binds", account.BindLocked)
			// The lock-out is the server's answer to the right password, too.
			wantErr(t, h.Bind(context.Background(), h.find(t, mail), account.SecretString("secret of "+mail)), account.ErrWrong)
			// BindLocked outlives the lock: only a bind tells whether it is over.
			if err := slapd.SetAttr("cn=lockout,"+mailtest.Base, "pwdLockoutDuration", "1"); err != nil {
				t.Fatal(err)
			}
			set("pwdAccountLockedTime", "20200101000000Z")
			want("a lock that is over", account.BindLocked)
			if err := h.Bind(context.Background(), h.find(t, mail), account.SecretString("secret of "+mail)); err != nil {
				t.Errorf("a lock that is over: %v", err)
			}
			want("after the right password", account.Active)
			if err := slapd.SetAttr("cn=lockout,"+mailtest.Base, "pwdLockoutDuration"); err != nil {
				t.Fatal(err)
			}
			set("pwdAccountLockedTime", "000001010000Z")
			want("administrator", account.Disabled)
		})
	}
}

// nsAccountLockSchema stands in for 389-ds's own attribute.
const nsAccountLockSchema = `dn: cn=testlock,cn=schema,cn=config
objectClass: olcSchemaConfig
cn: testlock
olcAttributeTypes: ( 2.25.1.1 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
olcObjectClasses: ( 2.25.1.2 NAME 'testLockable' AUXILIARY MAY nsAccountLock )
`

func TestAttack23_StatusFilter(t *testing.T) {
	layouts(t, func(t *testing.T, base *harness) {
		h := &harness{openStore(t, base.slapd, base.ring, func(c *Config) {
			c.Layout, c.StatusFilter = base.cfg.Layout, "(employeeType=retired)"
		}), base.slapd, base.ring}
		active, retired := h.user(t, nil), h.user(t, map[string][]string{"employeeType": {"Retired"}})
		if a := h.find(t, active); a.Status != account.Active {
			t.Errorf("%+v", a)
		}
		a := h.find(t, retired)
		if a.Status != account.Disabled || !strings.Contains(a.Cause, "status_filter") {
			t.Errorf("status %v, cause %q", a.Status, a.Cause)
		}
		if a, err := h.Read(context.Background(), a); err != nil || a.Status != account.Disabled {
			t.Errorf("read: %v, %v", a, err)
		}
	})
}
