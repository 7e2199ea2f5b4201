package desk

import (
	"slices"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/mailtest"
	"postern/internal/policy"
	"postern/ldapstore"
)

// TestAttack27_GroupsBesideThoseOfDomains: the groups of help desk and site in the very
// place of the domains' make nobody a domain's administrator.
func TestAttack27_GroupsBesideThoseOfDomains(t *testing.T) {
	h := newHall(t)
	const base = "ou=mailadmins," + mailtest.Base
	group(t, h.slapd, "cn=helpdesk,"+base, mailtest.UserDN("help@example.test"))
	store := openWith(t, h.slapd, ldapstore.Administrators{DomainGroup: "cn=%d," + base, HelpDeskGroup: "cn=helpdesk," + base})
	roles := &admin.Roles{Directory: store, Now: func() time.Time { return h.now }}
	for user, want := range map[string]admin.Grant{
		"help@example.test": {Role: admin.HelpDesk, All: true},
		"dom@example.test":  {Role: admin.Domain, Domain: "example.test"},
	} {
		a, err := store.Find(ctx, user)
		if err != nil {
			t.Fatal(err)
		}
		grants, err := roles.Grants(ctx, a)
		if err != nil || len(grants) != 1 || grants[0].Role != want.Role || grants[0].All != want.All || grants[0].Domain != want.Domain {
			t.Errorf("%s: %+v, %v, want %+v", user, grants, err, want)
		}
	}
}

// TestA2_ListByGrace: who must have a factor and still has time is found, and who has none.
func TestA2_ListByGrace(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	demanded := Summary{TwoFactor: TwoFactorRequired, Policy: policy.Effective{TwoFactor: policy.Mandatory, Grace: time.Hour}}
	for name, c := range map[string]struct {
		began time.Time
		s     Summary
		found []string
	}{
		"grace":    {now.Add(-time.Minute), demanded, []string{TwoFactorGrace, TwoFactorRequired}},
		"over":     {now.Add(-time.Hour), demanded, []string{TwoFactorRequired, "over"}},
		"with one": {now.Add(-time.Minute), Summary{TwoFactor: TwoFactorOn, Policy: demanded.Policy}, []string{TwoFactorOn}},
	} {
		a := &account.Account{State: account.State{GraceStart: c.began}}
		for _, state := range []string{TwoFactorGrace, TwoFactorRequired, TwoFactorOn, TwoFactorOff, "over"} {
			q := Query{TwoFactor: state}
			if state == "over" {
				q = Query{TwoFactor: TwoFactorRequired, GraceOver: true}
			}
			if got := q.ofState(a, &c.s, now); got != slices.Contains(c.found, state) {
				t.Errorf("%s listed by %s: %v", name, state, got)
			}
		}
	}
}
