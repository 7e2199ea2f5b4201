package ldapstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

// twoValues are two different values of every setting.
var twoValues = map[string][2]string{
	"twofactor": {"mandatory", "off"}, "grace": {"14d", "1h"}, "grace_start": {"2027-01-31", "2028-02-01T12:00:00Z"},
	"methods": {"totp,plugin:radius", "passkey"}, "totp_tolerance": {"0", "3"}, "backup_codes": {"false", "true"},
	"trusted_device_days": {"0", "90"}, "session_life": {"1d", "30d"}, "session_idle": {"2h", "3h"}, "passwordless": {"false", "true"},
	"app_passwords": {"false", "true"}, "app_password_max": {"3", "50"}, "app_password_services": {"imap", "imap,smtp"},
	"app_password_unused_days": {"90", "7"}, "known_device_days": {"14", "90"}, "user_may_disable": {"false", "true"}, "reset_needs_token": {"false", "true"},
	"recommend": {"false", "true"}, "service_account": {"true", "false"},
}

// policySlapd is a directory of one's own: policies of a domain would meet every
// other test.
func policySlapd(t testing.TB) *mailtest.Slapd {
	t.Helper()
	return mailtest.NewSlapd(t, mailtest.SlapdOptions{})
}

func levelNamed(t testing.TB, text string) policy.Level {
	t.Helper()
	l, err := policy.ParseLevel(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// setPolicy makes the text the policy of a domain or class, whatever it was.
func (h *harness) setPolicy(t testing.TB, level, text string) {
	t.Helper()
	site, err := h.Policies(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	l := levelNamed(t, level)
	was, _ := site.Layer(l)
	if err := h.WritePolicy(context.Background(), l, was.Text, text); err != nil {
		t.Fatalf("%s: %v", level, err)
	}
}

func (h *harness) resolve(t testing.TB, name string) policy.Effective {
	t.Helper()
	e, err := h.find(t, name).Policy.Resolve()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

var matrixLevels = []string{"default", "domain example.test", "class students", "account"}

// TestA1_Matrix sets every field at every level: the nearest wins, and says so.
// Each round moves every field to another level, with other fields on all others.
func TestA1_Matrix(t *testing.T) {
	slapd := policySlapd(t)
	forLayouts(t, slapd, nil, func(t *testing.T, base *harness) {
		mail := base.user(t, nil)
		must(t, base.ApplyClass(context.Background(), base.find(t, mail), "", "Students"))
		for round := range matrixLevels {
			settings := make([]policy.Settings, len(matrixLevels))
			for i, f := range policy.Fields() {
				at := (i + round) % len(matrixLevels)
				must(t, settings[at].Set(f.Key, twoValues[f.Key][0]))
				for farther := range at {
					must(t, settings[farther].Set(f.Key, twoValues[f.Key][1]))
				}
			}
			h := base.with(t, func(c *Config) { c.DefaultPolicy.Settings = settings[0] })
			h.setPolicy(t, matrixLevels[1], settings[1].JSON())
			h.setPolicy(t, matrixLevels[2], settings[2].JSON())
			h.setOwn(t, mail, settings[3].JSON())
			e := h.resolve(t, mail)
			for i, f := range policy.Fields() {
				var want policy.Settings
				must(t, want.Set(f.Key, twoValues[f.Key][0]))
				at := matrixLevels[(i+round)%len(matrixLevels)]
				if policy.Text(e.Get(f.Key)) != policy.Text(want.Get(f.Key)) || e.Origin[f.Key] != at {
					t.Errorf("%s set at %s: %s from %s", f.Key, at, policy.Text(e.Get(f.Key)), e.Origin[f.Key])
				}
			}
			other := h.resolve(t, "dave@other.test")
			if text := policy.Text(other.Get("twofactor")); strings.HasPrefix(other.Origin["twofactor"], "domain") {
				t.Errorf("dave has %s from %s", text, other.Origin["twofactor"])
			}
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// with is the same directory and keys, configured otherwise.
func (h *harness) with(t testing.TB, change func(*Config)) *harness {
	t.Helper()
	return &harness{openStore(t, h.slapd, h.ring, func(c *Config) {
		c.Layout = h.cfg.Layout
		change(c)
	}), h.slapd, h.ring}
}

// setOwn makes the text the account's own policy, whatever it was; "" is none.
func (h *harness) setOwn(t testing.TB, mail, text string) {
	t.Helper()
	a := h.find(t, mail)
	was := ""
	if own := a.Policy[len(a.Policy)-1]; own.Origin == "account" {
		was = own.Text
	}
	must(t, h.ApplyPolicy(context.Background(), a, was, text))
	sound(t, h.find(t, mail))
}

// TestA1_UnreadablePolicy: a level that cannot be read is nobody's "not set". It
// concerns its own accounts and no others, and is found by Diagnose.
func TestA1_UnreadablePolicy(t *testing.T) {
	h := newHarness(t, policySlapd(t), nil)
	must(t, h.RegisterKeyChecks(context.Background(), h.ring.CheckValues()))
	mail := h.user(t, nil)
	must(t, h.ApplyClass(context.Background(), h.find(t, mail), "", "students"))
	h.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"}`)
	h.setPolicy(t, "class students", `{}`)
	spoil := map[string]func(){
		"policy of domain example.test": func() { h.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"`) },
		"policy of class students":      func() { h.setPolicy(t, "class students", `{"two":"factors"}`) },
		"policy of account":             func() { h.setOwn(t, mail, `null`) },
		"shows no posternPolicy": func() {
			must(t, h.slapd.SetAttr("cn=domain example.test,"+mailtest.PosternBase, "posternPolicy"))
		},
	}
	mend := func() {
		must(t, h.slapd.SetAttr("cn=domain example.test,"+mailtest.PosternBase, "posternPolicy", `{"twofactor":"mandatory"}`))
		h.setPolicy(t, "class students", `{}`)
		h.setOwn(t, mail, "")
	}
	for want, f := range spoil {
		f()
		h.policies.forget()
		if _, err := h.find(t, mail).Policy.Resolve(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		h.resolve(t, "dave@other.test")
		if err := h.Diagnose(context.Background()); want != "policy of account" && (err == nil || !strings.Contains(err.Error(), "cannot be read")) {
			t.Errorf("%s: diagnosis: %v", want, err)
		}
		mend()
		h.policies.forget()
		if e := h.resolve(t, mail); e.TwoFactor != policy.Mandatory {
			t.Errorf("%s: mended: %s", want, e.TwoFactor)
		}
	}
	must(t, h.Diagnose(context.Background()))

	// A value that was taken away can be set again.
	must(t, h.slapd.SetAttr("cn=domain example.test,"+mailtest.PosternBase, "posternPolicy"))
	h.setPolicy(t, "domain example.test", `{"twofactor":"off"}`)
	if e := h.resolve(t, mail); e.TwoFactor != policy.Off {
		t.Errorf("%s", e.TwoFactor)
	}
}

// TestPolicyDiagnosis: two entries for one domain are unreadable, an entry that is
// nobody's policy is named, and so is what contradicts itself.
func TestPolicyDiagnosis(t *testing.T) {
	h := newHarness(t, policySlapd(t), nil)
	h.setPolicy(t, "domain bücher.test", `{"twofactor":"mandatory","session_life":"60d"}`)
	add := func(name string) {
		must(t, h.slapd.Add("cn="+name+","+mailtest.PosternBase, map[string][]string{
			"objectClass": {"posternSite", "posternPolicyHolder"}, "cn": {name}, "posternPolicy": {`{"twofactor":"off"}`},
		}))
	}
	add("domain bücher.test")
	add("example.test")
	h.policies.forget()
	if err := h.addAndResolve(t, "anna@xn--bcher-kva.test"); err == nil || !strings.Contains(err.Error(), "another entry is the policy") {
		t.Errorf("two policies of one domain: %v", err)
	}
	h.resolve(t, "alice@example.test")
	wantSetup(t, h.Diagnose(context.Background()), "another entry is the policy of domain xn--bcher-kva.test", "cn=example.test,", "is nobody's policy")
	must(t, h.slapd.Delete("cn=domain bücher.test,"+mailtest.PosternBase))
	wantSetup(t, h.Diagnose(context.Background()), "must exceed session_life (60d, domain xn--bcher-kva.test)")
}

// addAndResolve makes a user of another domain and resolves its policy.
func (h *harness) addAndResolve(t testing.TB, mail string) error {
	t.Helper()
	name, _, _ := strings.Cut(mail, "@")
	must(t, h.slapd.Add("uid="+name+",ou=other,"+mailtest.Base, map[string][]string{
		"objectClass": {"inetOrgPerson"}, "uid": {name}, "cn": {name}, "sn": {name}, "mail": {mail},
	}))
	_, err := h.find(t, mail).Policy.Resolve()
	return err
}

// TestAttack39_PolicyFollowsTheEntry: the domain is the entry's, not that of the
// alias or the spelling that was typed.
func TestAttack39_PolicyFollowsTheEntry(t *testing.T) {
	h := newHarness(t, policySlapd(t), func(c *Config) { c.UserFilter = "(|(mail=%u)(uid=%u)(description=%u))" })
	must(t, h.slapd.AddUser("strict@example.test", "x", map[string][]string{"description": {"strict@lax.test", "strict"}}))
	h.setPolicy(t, "domain example.test", `{"twofactor":"mandatory","app_passwords":false}`)
	h.setPolicy(t, "domain lax.test", `{"twofactor":"off","app_passwords":true}`)
	for _, typed := range []string{"strict@example.test", "strict@lax.test", "STRICT@LAX.test", " strict@lax.test ", "strict", "Strict@EXAMPLE.test"} {
		e := h.resolve(t, typed)
		if e.TwoFactor != policy.Mandatory || e.AppPasswords || e.Origin["twofactor"] != "domain example.test" {
			t.Errorf("%q: %s from %s", typed, e.TwoFactor, e.Origin["twofactor"])
		}
	}
}

// TestAttack20_PoliciesAreClosed: with contrib's rules nobody but the service reads
// or changes what levels set, nor to which class an account belongs.
func TestAttack20_PoliciesAreClosed(t *testing.T) {
	forLayouts(t, policySlapd(t), nil, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		h.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"}`)
		must(t, h.ApplyClass(context.Background(), a, "", "students"))
		h.setOwn(t, mail, `{"app_password_max":3}`)
		dn := h.policyDN(levelNamed(t, "domain example.test"))
		for who, as := range map[string]string{
			"owner": a.DN, "domain administrator": mailtest.DomainAdminDN, "another service": mailtest.OtherServiceDN, "nobody": "",
		} {
			c := h.as(t, as, mail)
			for what, req := range policyChanges(dn, a.Holder) {
				if c.Modify(req) == nil {
					t.Errorf("%s can %s", who, what)
				}
			}
			add := ldap.NewAddRequest("cn=class lax,"+mailtest.PosternBase, nil)
			add.Attribute("objectClass", []string{classSite, classPolicy})
			add.Attribute("cn", []string{"class lax"})
			add.Attribute(attrPolicy, []string{`{"twofactor":"off"}`})
			if c.Add(add) == nil {
				t.Errorf("%s can add a policy", who)
			}
			if c.Del(ldap.NewDelRequest(dn, nil)) == nil {
				t.Errorf("%s can delete a policy", who)
			}
			for _, at := range []string{dn, a.Holder} {
				if e, err := baseSearch(c, at, attrPolicy, attrClass); err == nil && e != nil && len(e.Attributes) > 0 {
					t.Errorf("%s can read policies of %s", who, at)
				}
			}
		}
		h.policies.forget()
		e := h.resolve(t, mail)
		if e.TwoFactor != policy.Mandatory || e.AppPasswordMax != 3 || h.find(t, mail).Class != "students" {
			t.Errorf("%+v", e)
		}
	})
}

func policyChanges(level, holder string) map[string]*ldap.ModifyRequest {
	relax := ldap.NewModifyRequest(level, nil)
	relax.Replace(attrPolicy, []string{`{"twofactor":"off"}`})
	remove := ldap.NewModifyRequest(level, nil)
	remove.Delete(attrPolicy, nil)
	own := ldap.NewModifyRequest(holder, nil)
	own.Replace(attrPolicy, []string{`{"twofactor":"off"}`})
	class := ldap.NewModifyRequest(holder, nil)
	class.Replace(attrClass, []string{"lax"})
	leave := ldap.NewModifyRequest(holder, nil)
	leave.Delete(attrClass, nil)
	return map[string]*ldap.ModifyRequest{"relax a domain": relax, "remove a policy": remove, "relax an account": own, "change a class": class, "leave a class": leave}
}

// TestPolicySwap: of many who change what they read, one wins; and of first changes
// of an account too, which get a State with it.
func TestPolicySwap(t *testing.T) {
	slapd := policySlapd(t)
	forLayouts(t, slapd, nil, func(t *testing.T, h *harness) {
		stores, ctx := twoStores(t, h), context.Background()
		l := levelNamed(t, "class "+h.cfg.Layout)
		for _, was := range []string{"", `{"app_password_max":0}`} {
			n := race(t, stores, func(s *Store, i int) error {
				return s.WritePolicy(ctx, l, was, fmt.Sprintf(`{"app_password_max":%d}`, i+1))
			})
			if n != 1 {
				t.Errorf("%d winners of %q", n, was)
			}
			h.setPolicy(t, l.String(), `{"app_password_max":0}`)
		}
		mail := h.user(t, nil)
		fresh := h.find(t, mail)
		n := race(t, stores, func(s *Store, i int) error {
			a := *fresh
			switch i % 3 {
			case 0:
				return s.ApplyPolicy(ctx, &a, "", fmt.Sprintf(`{"app_password_max":%d}`, i))
			case 1:
				return s.ApplyClass(ctx, &a, "", fmt.Sprint("class", i))
			default:
				return s.Apply(ctx, &a, account.Edit{Now: record(account.KindTOTP, "t")})
			}
		})
		if n != 1 {
			t.Errorf("%d winners of the first change of an account", n)
		}
		sound(t, h.find(t, mail))
		h.swapOwn(t, stores, h.user(t, nil))
	})
}

// swapOwn races for an account that has records already.
func (h *harness) swapOwn(t *testing.T, stores [2]*Store, mail string) {
	t.Helper()
	h.apply(t, h.find(t, mail), account.Edit{Now: record(account.KindTOTP, "t")})
	for _, was := range []string{"", `{"app_password_max":0}`} {
		a := h.find(t, mail)
		n := race(t, stores, func(s *Store, i int) error {
			mine := *a
			return s.ApplyPolicy(context.Background(), &mine, was, fmt.Sprintf(`{"app_password_max":%d}`, i+1))
		})
		if n != 1 {
			t.Errorf("%d winners of %q", n, was)
		}
		h.setOwn(t, mail, `{"app_password_max":0}`)
	}
	h.setOwn(t, mail, "")
	if b := h.find(t, mail); b.Policy[len(b.Policy)-1].Origin == "account" {
		t.Error("the policy is still there")
	}
	sound(t, h.find(t, mail))
}

// TestPolicyKeepsDamage: a change of policy does not make an account sound again
// whose State somebody has taken away.
func TestPolicyKeepsDamage(t *testing.T) {
	h := newHarness(t, policySlapd(t), nil)
	mail, a := h.enrolled(t)
	h.set(t, a, account.KindState)
	b := h.find(t, mail)
	wantErr(t, h.ApplyPolicy(context.Background(), b, "", `{}`), account.ErrDamaged)
	wantErr(t, h.ApplyClass(context.Background(), b, "", "x"), account.ErrDamaged)
	wantDamage(t, h.find(t, mail))
}

// TestManyPolicies: all of them are read, however many a server returns at once.
func TestManyPolicies(t *testing.T) {
	h := newHarness(t, policySlapd(t), nil)
	for i := range 2*pageSize + 3 {
		must(t, h.WritePolicy(context.Background(), levelNamed(t, fmt.Sprintf("domain d%d.test", i)), "", `{"twofactor":"mandatory"}`))
	}
	site, err := h.Policies(context.Background())
	if err != nil || len(site.Domains) != 2*pageSize+3 {
		t.Fatalf("%d, %v", len(site.Domains), err)
	}
	err = h.slapd.Configure(context.Background(), `dn: olcDatabase={1}mdb,cn=config
changetype: modify
replace: olcLimits
olcLimits: dn.exact="`+mailtest.ServiceDN+`" size.soft=100 size.hard=100 size.pr=50 size.prtotal=100
`)
	must(t, err)
	// What a server does not return in whole is not known, rather than not set.
	h.policies.forget()
	_, err = h.Find(context.Background(), "alice@example.test")
	wantErr(t, err, account.ErrUnavailable)
}

// TestEachHasPolicies: listed accounts have the policies of their level, too.
func TestEachHasPolicies(t *testing.T) {
	forLayouts(t, policySlapd(t), nil, func(t *testing.T, h *harness) {
		mail, _ := h.enrolled(t)
		h.setPolicy(t, "domain example.test", `{"twofactor":"mandatory"}`)
		var got []string
		must(t, h.Each(context.Background(), func(a *account.Account) error {
			e, err := a.Policy.Resolve()
			if a.Name == mail {
				got = append(got, e.Origin["twofactor"])
			}
			return err
		}))
		if !slices.Equal(got, []string{"domain example.test"}) {
			t.Error(got)
		}
		a := h.find(t, mail)
		at, err := h.At(context.Background(), h.slapd.URI(), a.ID)
		if err != nil || len(at.Policy) != 2 {
			t.Errorf("%+v, %v", at, err)
		}
	})
}
