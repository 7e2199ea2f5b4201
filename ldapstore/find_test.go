package ldapstore

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/mailtest"
)

func TestFindIdentity(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail := h.user(t, nil)
		a := h.find(t, mail)
		dump, err := h.slapd.Dump(mail)
		if err != nil {
			t.Fatal(err)
		}
		if string(a.ID) != string(dump["entryUUID"][0]) || a.Name != mail || a.Domain != "example.test" || a.DN != mailtest.UserDN(mail) {
			t.Errorf("identity: %+v", a)
		}
		if a.Status != account.Active || len(a.Policy) != 1 || a.Policy[0].Origin != "default" {
			t.Errorf("status %v, policy %+v", a.Status, a.Policy)
		}
	})
}

func TestFindUnknownAndAmbiguous(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		_, err := h.Find(context.Background(), "nobody@example.test")
		wantErr(t, err, account.ErrUnknown)
		shared := "shared" + h.user(t, nil)
		for _, n := range []int{2, 3} {
			h.user(t, map[string][]string{"mail": {h.user(t, nil) + ".x", shared}})
			if n == 2 {
				h.find(t, shared)
				h.user(t, map[string][]string{"mail": {shared}})
			}
			_, err = h.Find(context.Background(), shared)
			wantErr(t, err, account.ErrAmbiguous)
		}
	})
}

// TestAttack11_Injection: what is typed stays one value of the filter.
func TestAttack11_Injection(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail := h.user(t, nil)
		for _, name := range []string{
			"*", "t*", "*@example.test", mail + "*", "*)(mail=" + mail, mail + ")(objectClass=*", "x)(|(mail=*",
			"(mail=" + mail + ")", `\2a`, `\`, mail + "\x00", "\x00", "a\tb", "a\nb", "\xff\xfe", "",
			"x)(uid=*))(|(uid=*", strings.Repeat("a", 10<<10), strings.Repeat("*", 10<<10), mail + ",dc=test", "%u", "%",
		} {
			a, err := h.Find(context.Background(), name)
			if a != nil {
				t.Errorf("%.40q finds %s", name, a.DN)
			}
			wantErr(t, err, account.ErrUnknown)
		}
	})
}

// TestAttack11_LookAlikes: a directory matches more loosely than strings do. What
// is found is keyed on the entry all the same.
func TestAttack11_LookAlikes(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		h2 := &harness{openStore(t, h.slapd, h.ring, func(c *Config) {
			c.Layout, c.UserFilter = h.cfg.Layout, "(|(uid=%n)(mail=%u))"
		}), h.slapd, h.ring}
		mail := h.user(t, nil)
		want := h2.find(t, mail)
		local, _, _ := strings.Cut(mail, "@")
		for _, name := range []string{
			strings.ToUpper(mail), " " + mail + " ", strings.Replace(mail, "t", "ｔ", 1), // full-width t
			local + "@elsewhere.test", local, " " + strings.ToUpper(local) + "  ", strings.Replace(local, "t", "ｔ", 1),
		} {
			a := h2.find(t, name)
			if a.ID != want.ID || a.Name != mail || a.Domain != "example.test" || a.Holder != want.Holder {
				t.Errorf("%q: %+v", name, a)
			}
		}
	})
}

// TestAttack39_Alias: name, domain and key follow the entry, whichever of its
// addresses was typed.
func TestAttack39_Alias(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail := h.user(t, nil)
		alias, third := "zz-"+mail, "b-"+strings.Replace(mail, "example.test", "Lax.Example", 1)
		for _, order := range [][]string{{mail, alias, third}, {third, alias, mail}, {alias, third, mail}} {
			if err := h.slapd.SetAttr(mail, "mail", order...); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, typed := range append(order, strings.ToUpper(alias), strings.ToUpper(third)) {
				a := h.find(t, typed)
				names = append(names, a.Name+" "+a.Domain)
			}
			for _, n := range names {
				if n != third+" lax.example" {
					t.Errorf("order %v: %q", order, names)
				}
			}
		}
	})
}

func TestFindNeedsKeyAndName(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		by := func(change func(*Config)) *harness {
			return &harness{openStore(t, h.slapd, h.ring, func(c *Config) {
				c.Layout, c.UserFilter = h.cfg.Layout, "(uid=%n)"
				change(c)
			}), h.slapd, h.ring}
		}
		mail := h.user(t, map[string][]string{"description": {"one", "two"}})
		local, _, _ := strings.Cut(mail, "@")
		for what, h := range map[string]*harness{
			"no key":   by(func(c *Config) { c.IDAttribute = "employeeNumber" }),
			"two keys": by(func(c *Config) { c.IDAttribute = "description" }),
			"no login": by(func(c *Config) { c.LoginAttribute = "displayName" }),
		} {
			t.Run(what, func(t *testing.T) {
				_, err := h.Find(context.Background(), local)
				wantErr(t, err, account.ErrDamaged)
			})
		}
	})
}

// TestBinaryKey: keys such as objectGUID become hex, and are found again.
func TestBinaryKey(t *testing.T) {
	h := newHarness(t, directory, func(c *Config) { c.IDAttribute, c.Layout = "jpegPhoto", LayoutSubtree })
	guid := "\x00\xff\x10)(*\\\x80" + account.NewID()
	mail := h.user(t, map[string][]string{"jpegPhoto": {guid}})
	a := h.find(t, mail)
	if string(a.ID) != hex.EncodeToString([]byte(guid)) {
		t.Errorf("key %q", a.ID)
	}
	h.apply(t, a, account.Edit{Now: record(account.KindApp, "x")})
	sound(t, h.find(t, mail))
	if !binaryKey("objectguid") {
		t.Error("objectGUID is binary even when it looks like text")
	}
}

func TestFieldsAndPolicy(t *testing.T) {
	h := newHarness(t, directory, func(c *Config) {
		c.Fields = map[string]string{"userdb_home": "homeDirectory", "userdb_uid": "uidNumber", "quota": "roomNumber"}
	})
	mail := h.user(t, map[string][]string{
		"objectClass": {"posixAccount", "posternPolicyHolder"}, "homeDirectory": {"/srv/x"}, "uidNumber": {"1001"}, "gidNumber": {"1"},
		"posternPolicy": {`{"twofactor":"mandatory"}`}, "posternClass": {"staff"},
	})
	a := h.find(t, mail)
	if len(a.Fields) != 2 || a.Fields["userdb_home"] != "/srv/x" || a.Fields["userdb_uid"] != "1001" {
		t.Errorf("fields: %v", a.Fields)
	}
	e, err := a.Policy.Resolve()
	if err != nil || e.TwoFactor != "mandatory" || e.Origin["twofactor"] != "account" || a.Class != "staff" {
		t.Errorf("policy %+v, class %q, %v", e, a.Class, err)
	}
	if err := h.slapd.SetAttr(mail, "posternPolicy", `{"twofactor":"of`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.find(t, mail).Policy.Resolve(); err == nil {
		t.Error("a spoilt policy is no policy")
	}
}

func TestReadChecksIdentity(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail := h.user(t, nil)
		a := h.find(t, mail)
		if err := h.slapd.Delete(mail); err != nil {
			t.Fatal(err)
		}
		_, err := h.Read(context.Background(), a)
		wantErr(t, err, account.ErrUnknown)
		if err := h.slapd.AddUser(mail, "x", nil); err != nil { // the same DN, another account
			t.Fatal(err)
		}
		_, err = h.Read(context.Background(), a)
		wantErr(t, err, account.ErrUnknown)
	})
}
