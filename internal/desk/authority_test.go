package desk

import (
	"errors"
	"slices"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/mailtest"
	"postern/internal/policy"
	"postern/ldapstore"
)

// hall is a directory with administrators of every kind.
type hall struct {
	*harness
	slapd *mailtest.Slapd
	roles *admin.Roles
}

const (
	groups   = "ou=groups," + mailtest.Base
	siteBase = "cn=site," + groups
	helpBase = "cn=help," + groups
)

func group(t testing.TB, s *mailtest.Slapd, dn string, members ...string) {
	t.Helper()
	if err := s.Add(dn, map[string][]string{"objectClass": {"groupOfNames"}, "member": members}); err != nil {
		t.Fatal(err)
	}
}

func newHall(t testing.TB) *hall {
	t.Helper()
	s := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	for _, u := range []string{"site@example.test", "site2@example.test", "dom@example.test", "dom2@example.test", "both@example.test",
		"help@example.test", "user@example.test", "user@other.test"} {
		if err := s.AddUser(u, mailtest.Password, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, ou := range []string{"groups", "mailadmins"} {
		if err := s.Add("ou="+ou+","+mailtest.Base, map[string][]string{"objectClass": {"organizationalUnit"}}); err != nil {
			t.Fatal(err)
		}
	}
	dn := mailtest.UserDN
	group(t, s, siteBase, dn("site@example.test"), dn("site2@example.test"))
	group(t, s, helpBase, dn("help@example.test"))
	group(t, s, "cn=example.test,ou=mailadmins,"+mailtest.Base, "UID=dom, "+mailtest.People, dn("dom2@example.test"), dn("both@example.test"))
	group(t, s, "cn=other.test,ou=mailadmins,"+mailtest.Base, dn("both@example.test"))
	h := &harness{t: t, events: &recorder{}, now: time.Unix(1_790_000_000, 0).UTC(), user: "user@example.test"}
	h.store = openWith(t, s, ldapstore.Administrators{SiteGroup: siteBase, HelpDeskGroup: helpBase,
		DomainGroup: "cn=%d,ou=mailadmins," + mailtest.Base})
	h.Desk = &Desk{Store: h.store, Recorder: h.events, Now: func() time.Time { return h.now }}
	return &hall{h, s, &admin.Roles{Directory: h.store, Now: func() time.Time { return h.now }}}
}

func openWith(t testing.TB, s *mailtest.Slapd, who ldapstore.Administrators) *ldapstore.Store {
	t.Helper()
	store, err := ldapstore.Open(ldapstore.Config{ReadURIs: []string{s.URI()}, BindDN: mailtest.ServiceDN,
		BindPassword: account.SecretString(mailtest.Password), Base: mailtest.Base, UserFilter: "(|(mail=%u)(uid=%u))", LoginAttribute: "mail",
		PosternBase: mailtest.PosternBase, Timeout: 5 * time.Second, Administrators: who}, newRing(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func (h *hall) authority(name string) admin.Authority {
	h.t.Helper()
	a, err := h.store.Find(ctx, name)
	if err != nil {
		h.t.Fatal(err)
	}
	who, err := h.roles.Of(ctx, a)
	if err != nil {
		h.t.Fatal(err)
	}
	return who
}

func (h *hall) actor(name string) Actor { who := h.authority(name); return Administrator(&who) }

// tries are changes that change nothing where they are allowed.
func (h *hall) tries(who Actor, user string) map[string]error {
	_, look := h.Look(ctx, who, user)
	_, reset := h.Reset(ctx, who, user)
	_, revoke := h.RevokeAppPassword(ctx, who, user, "aaaa")
	_, code := h.Code(ctx, who, user, WantedCode{Reason: "lost telephone"})
	_, set := Policies{h.Desk, h.store}.UnsetAll(ctx, who, policy.Level{Kind: policy.LevelAccount, Name: user})
	return map[string]error{"look": look, "reset": reset, "revoke": revoke, "code": code, "policy": set}
}

// TestAttack27_Matrix: role, right and target; what is refused is audited with its author.
func TestAttack27_Matrix(t *testing.T) {
	h := newHall(t)
	all := []string{"look", "reset", "revoke", "code", "policy"}
	own := []string{"look", "revoke"}
	if err := h.slapd.SetAttr("user@other.test", "cn", "user@example.test"); err != nil {
		t.Fatal(err)
	}
	if err := h.slapd.SetAttr("user@other.test", "uid", "user", "looks@example.test"); err != nil { // an alias of the other domain
		t.Fatal(err)
	}
	for who, targets := range map[string]map[string][]string{
		"site@example.test": {"user@example.test": all, "user@other.test": all, "dom@example.test": all, "site2@example.test": all, "site@example.test": own},
		"dom@example.test": {"user@example.test": all, "user@other.test": nil, "looks@example.test": nil, "site@example.test": {"look"},
			"both@example.test": {"look"}, "dom2@example.test": all, "help@example.test": {"look"}, "dom@example.test": own},
		"both@example.test": {"user@example.test": all, "user@other.test": all, "dom@example.test": all, "site@example.test": {"look"}},
		"help@example.test": {"user@example.test": {"look", "reset"}, "user@other.test": {"look", "reset"}, "dom@example.test": {"look"},
			"site@example.test": {"look"}, "help@example.test": {"look"}},
		"user@example.test": {"user@example.test": nil, "user@other.test": nil, "dom@example.test": nil},
	} {
		for target, allowed := range targets {
			h.events.lines()
			refused := 0
			for right, err := range h.tries(h.actor(who), target) {
				if forbidden := errors.Is(err, admin.ErrForbidden); forbidden == slices.Contains(allowed, right) {
					t.Errorf("%s: %s of %s: %v", who, right, target, err)
				} else if forbidden {
					refused++
				}
			}
			got := 0
			for _, line := range h.events.lines() {
				if line == "reset refused forbidden" || line == "account_viewed refused forbidden" || line == "app_password_revoked refused forbidden" ||
					line == "totp_code_shown refused forbidden" || line == "policy_changed refused forbidden" {
					got++
				}
			}
			if got != refused {
				t.Errorf("%s, %s: %d were refused, %d audited", who, target, refused, got)
			}
		}
	}
}

// ATTACKS 27: levels of policies.
func TestAttack27_Levels(t *testing.T) {
	h := newHall(t)
	p := Policies{h.Desk, h.store}
	for who, allowed := range map[string][]string{"site@example.test": {"domain example.test", "domain other.test", "class students"},
		"dom@example.test": {"domain example.test"}, "help@example.test": nil, "user@example.test": nil} {
		for _, level := range []string{"domain example.test", "domain other.test", "class students"} {
			l, err := policy.ParseLevel(level)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.UnsetAll(ctx, h.actor(who), l)
			if errors.Is(err, admin.ErrForbidden) == slices.Contains(allowed, level) {
				t.Errorf("%s, %s: %v", who, level, err)
			}
		}
	}
	if _, err := p.SetClass(ctx, h.actor("dom@example.test"), "user@other.test", "x"); !errors.Is(err, admin.ErrForbidden) {
		t.Error(err)
	}
}

// ATTACKS 27: who is nobody may nothing: neither the zero Actor nor an owner's name.
func TestAttack27_Nobody(t *testing.T) {
	h := newHall(t)
	for right, err := range h.tries(Actor{Name: "site@example.test"}, h.user) {
		if !errors.Is(err, admin.ErrForbidden) {
			t.Errorf("%s: %v", right, err)
		}
	}
	if _, err := h.List(ctx, Actor{}, h.store, Query{}); !errors.Is(err, admin.ErrForbidden) {
		t.Error(err)
	}
}

// ATTACKS 27: who is taken out of the group loses the right in time; what cannot be
// looked up is neither an administrator nor none.
func TestAttack27_Changes(t *testing.T) {
	h := newHall(t)
	if h.authority("help@example.test").Role != admin.HelpDesk || h.authority("dom@example.test").Role != admin.Domain {
		t.Fatal("not to begin with")
	}
	if err := h.slapd.SetAttr("cn=example.test,ou=mailadmins,"+mailtest.Base, "member", mailtest.UserDN("dom2@example.test")); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(admin.MaxAge)
	if got := h.authority("dom@example.test"); got.Role != admin.None {
		t.Errorf("still %+v", got)
	}
	// A name that looks like an administrator's is none.
	if err := h.slapd.SetAttr("user@example.test", "cn", "dom2", "site"); err != nil {
		t.Fatal(err)
	}
	if err := h.slapd.SetAttr("user@other.test", "mail", "site@example.test.other.test", "dom2@other.test"); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(admin.MaxAge)
	if got := h.authority("user@example.test"); got.Role != admin.None {
		t.Errorf("%+v", got)
	}
	if got := h.authority("dom2@other.test"); got.Role != admin.None {
		t.Errorf("%+v", got)
	}
	a, err := h.store.Find(ctx, "site@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.slapd.Delete(helpBase); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(admin.MaxAge)
	if who, err := h.roles.Of(ctx, a); !errors.Is(err, account.ErrUnavailable) || who.Role != admin.None {
		t.Errorf("with a group that is not there: %v, %v", who.Role, err)
	}
	h.slapd.Stop()
	if who, err := h.roles.Of(ctx, a); !errors.Is(err, account.ErrUnavailable) || who.Role != admin.None {
		t.Errorf("without a directory: %v, %v", who.Role, err)
	}
}

// FEATURES A18, A5: lists are of one's own domains.
func TestA18_Lists(t *testing.T) {
	h := newHall(t)
	list := func(name, domain string) Page {
		p, err := h.List(ctx, h.actor(name), h.store, Query{Domain: domain})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := list("dom@example.test", ""); p.Found < 7 || slices.ContainsFunc(p.Accounts, func(s Summary) bool { return s.Domain != "example.test" }) {
		t.Errorf("%d: %+v", p.Found, p.Accounts)
	}
	if p := list("help@example.test", "other.test"); p.Found != 2 || p.Accounts[1].Name != "user@other.test" {
		t.Errorf("%+v", p)
	}
	dom := h.actor("dom@example.test")
	h.events.lines()
	if _, err := h.List(ctx, dom, h.store, Query{Domain: "other.test"}); !errors.Is(err, admin.ErrForbidden) {
		t.Error(err)
	}
	if e := h.events.list; len(e) != 1 || e[0].Reason != "forbidden" || e[0].Domain != "other.test" {
		t.Errorf("recorded %+v", e)
	}
}

// FEATURES E6: a panel makes no credential of an account with two-factor login, and
// switches it off for nobody.
func TestE6_PanelMakesNoWayIn(t *testing.T) {
	h := newHall(t)
	who := h.roles.Panel("panel", admin.Site, "*")
	panel := Administrator(&who)
	if _, err := h.AddTOTP(ctx, panel, h.user, NewTOTP{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.AddTOTP(ctx, panel, h.user, NewTOTP{}); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := h.CreateAppPassword(ctx, panel, h.user, NewAppPassword{Name: "x"}); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("an app password: %v", err)
	}
	if _, err := h.DisableTwoFactor(ctx, panel, h.user); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("disable: %v", err)
	}
	if _, err := h.Reset(ctx, panel, h.user); err != nil {
		t.Fatal(err)
	}
	if _, err := h.AddTOTP(ctx, panel, h.user, NewTOTP{}); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("after a reset: %v", err)
	}
	if _, err := h.CreateAppPassword(ctx, panel, h.user, NewAppPassword{Name: "x"}); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("an app password after a reset: %v", err)
	}
}
