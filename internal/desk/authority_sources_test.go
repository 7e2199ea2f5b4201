package desk

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/mailtest"
	"postern/ldapstore"
)

// TestA6_WhereAdministratorsAreNamed: groupOfUniqueNames, posixGroup and an attribute of
// their own entry, in a real directory; and who only looks like one is none (ATTACKS 27).
func TestA6_WhereAdministratorsAreNamed(t *testing.T) {
	h := newHall(t)
	unique, posix := "cn=unique,"+groups, "cn=posix,"+groups
	for dn, attrs := range map[string]map[string][]string{
		unique: {"objectClass": {"groupOfUniqueNames"}, "uniqueMember": {"UID=site2, " + mailtest.People}},
		posix:  {"objectClass": {"posixGroup"}, "gidNumber": {"4711"}, "memberUid": {"help", "alias", "nobody"}},
	} {
		if err := h.slapd.Add(dn, attrs); err != nil {
			t.Fatal(err)
		}
	}
	// An owner may give himself a further uid, which makes him no member.
	own, _, _ := strings.Cut(strings.TrimPrefix(mailtest.UserDN("user@other.test"), "uid="), ",")
	if err := h.slapd.SetAttr("user@other.test", "uid", own, "alias"); err != nil {
		t.Fatal(err)
	}
	if err := h.slapd.SetAttr("both@example.test", "departmentNumber", "Example.Test", "other.test"); err != nil {
		t.Fatal(err)
	}
	example, other := admin.Grant{Role: admin.Domain, Domain: "example.test"}, admin.Grant{Role: admin.Domain, Domain: "other.test"}
	for name, c := range map[string]struct {
		who  ldapstore.Administrators
		want map[string][]admin.Grant
	}{
		"uniqueMember": {ldapstore.Administrators{SiteGroup: unique}, map[string][]admin.Grant{
			"site2@example.test": {{Role: admin.Site, All: true}}, "site@example.test": nil}},
		"memberUid": {ldapstore.Administrators{HelpDeskGroup: posix, MemberUID: true}, map[string][]admin.Grant{
			"help@example.test": {{Role: admin.HelpDesk, All: true}}, "user@other.test": nil, "user@example.test": nil}},
		"attribute": {ldapstore.Administrators{DomainAttribute: "departmentNumber"}, map[string][]admin.Grant{
			"both@example.test": {example, other}, "dom@example.test": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			store := openWith(t, h.slapd, c.who)
			roles := &admin.Roles{Directory: store, Now: func() time.Time { return h.now }}
			for user, want := range c.want {
				a, err := store.Find(ctx, user)
				if err != nil {
					t.Fatal(err)
				}
				grants, err := roles.Grants(ctx, a)
				if err != nil {
					t.Fatal(err)
				}
				for i := range grants {
					grants[i].Source = ""
				}
				slices.SortFunc(grants, func(x, y admin.Grant) int { return len(y.Domain) - len(x.Domain) })
				if !slices.Equal(grants, want) {
					t.Errorf("%s: %+v, want %+v", user, grants, want)
				}
			}
		})
	}
	// memberUid counts only where it is asked for: whoever sets it need not be who sets groups.
	if _, err := openWith(t, h.slapd, ldapstore.Administrators{HelpDeskGroup: posix}).Members(ctx); err == nil {
		t.Error("a group that shows no members makes none, silently")
	}
}

// TestA5_ListWithTheSubtreeLayout: the list of mailboxes where records are in entries of
// Postern's own.
func TestA5_ListWithTheSubtreeLayout(t *testing.T) {
	h := newHall(t)
	store, err := ldapstore.Open(ldapstore.Config{ReadURIs: []string{h.slapd.URI()}, BindDN: mailtest.ServiceDN, Layout: ldapstore.LayoutSubtree,
		BindPassword: account.SecretString(mailtest.Password), Base: mailtest.Base, UserFilter: "(mail=%u)", LoginAttribute: "mail",
		PosternBase: mailtest.PosternBase, Timeout: 5 * time.Second}, newRing(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	d := &Desk{Store: store, Recorder: h.events, Now: func() time.Time { return h.now }}
	if _, err := d.AddTOTP(ctx, operator, "user@example.test", NewTOTP{Name: "phone"}); err != nil {
		t.Fatal(err)
	}
	page, err := d.List(ctx, operator, store, Query{Domain: "example.test"})
	if err != nil {
		t.Fatal(err)
	}
	on := 0
	for _, s := range page.Accounts {
		if (s.TwoFactor == TwoFactorOn) != (s.Name == "user@example.test") || s.Domain != "example.test" {
			t.Errorf("%s: %s", s.Name, s.TwoFactor)
		}
		if s.TwoFactor == TwoFactorOn {
			on += s.Authenticators
		}
	}
	if on != 1 || page.Counts.TwoFactor[TwoFactorOn] != 1 || len(page.Accounts) < 7 {
		t.Errorf("%d authenticators, %d accounts, %+v", on, len(page.Accounts), page.Counts)
	}
	if page, err = d.List(ctx, operator, store, Query{Domain: "example.test", TwoFactor: TwoFactorOn}); err != nil || page.Found != 1 {
		t.Errorf("%d found, %v", page.Found, err)
	}
}
