package ldapstore

import (
	"context"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// TestAttack20_ACL: with contrib's rules nobody but the service touches what it
// keeps: not the owner, not a domain administrator, not another service of the
// directory, not somebody without a name.
func TestAttack20_ACL(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		mail, a := h.enrolled(t)
		for who, dn := range map[string]string{
			"owner": a.DN, "domain administrator": mailtest.DomainAdminDN, "another service": mailtest.OtherServiceDN, "nobody": "",
		} {
			t.Run(who, func(t *testing.T) {
				c := h.as(t, dn, mail)
				h.cannotRead(t, c, a)
				h.cannotWrite(t, c, a)
			})
		}
		sound(t, h.find(t, mail))
	})
}

// as connects as somebody.
func (h *harness) as(t *testing.T, dn, mail string) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL(h.slapd.URI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	switch dn {
	case "":
	case mailtest.UserDN(mail):
		err = c.Bind(dn, "secret of "+mail)
	default:
		err = c.Bind(dn, mailtest.Password)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *harness) cannotRead(t *testing.T, c *ldap.Conn, a *account.Account) {
	t.Helper()
	for _, k := range []account.Kind{account.KindState, account.KindTOTP, account.KindApp} {
		attribute, v := k.Attribute(), string(a.Values(k)[0].Stored)
		for _, filter := range []string{anything, "(" + attribute + "=*)", "(" + attribute + "=" + ldap.EscapeFilter(v) + ")", "(!(" + attribute + "=*))"} {
			res, err := c.Search(&ldap.SearchRequest{BaseDN: a.Holder, Scope: ldap.ScopeBaseObject, Filter: filter, Attributes: []string{"*", "+", attribute}})
			if err == nil && len(res.Entries) > 0 && (filter != anything || values(res.Entries[0], attribute) != nil) {
				t.Errorf("%s: found by %.30q with %d values", attribute, filter, len(values(res.Entries[0], attribute)))
			}
		}
		if ok, err := c.Compare(a.Holder, attribute, v); ok || err == nil {
			t.Errorf("%s: compare says %v", attribute, ok)
		}
	}
}

func (h *harness) cannotWrite(t *testing.T, c *ldap.Conn, a *account.Account) {
	t.Helper()
	app := account.KindApp.Attribute()
	for what, change := range map[string]func(*ldap.ModifyRequest){
		"delete State":        func(r *ldap.ModifyRequest) { r.Delete("posternState", nil) },
		"delete one value":    func(r *ldap.ModifyRequest) { r.Delete(app, []string{string(a.Values(account.KindApp)[0].Stored)}) },
		"replace by nothing":  func(r *ldap.ModifyRequest) { r.Replace(app, nil) },
		"add a value":         func(r *ldap.ModifyRequest) { r.Add(app, []string{"x"}) },
		"relax the policy":    func(r *ldap.ModifyRequest) { r.Add("posternPolicy", []string{`{"twofactor":"off"}`}) },
		"change the class":    func(r *ldap.ModifyRequest) { r.Add("posternClass", []string{"lax"}) },
		"remove object class": func(r *ldap.ModifyRequest) { r.Delete("objectClass", []string{classAccount}) },
	} {
		req := ldap.NewModifyRequest(a.Holder, nil)
		change(req)
		if err := c.Modify(req); err == nil {
			t.Errorf("can %s", what)
		}
	}
	if h.cfg.Layout == LayoutEntry {
		return
	}
	if c.Del(ldap.NewDelRequest(a.Holder, nil)) == nil {
		t.Error("can delete the holder")
	}
	if c.ModifyDN(ldap.NewModifyDNRequest(a.Holder, "posternHolderOf=x", true, "")) == nil {
		t.Error("can rename the holder")
	}
	add := ldap.NewAddRequest("posternHolderOf=planted,"+mailtest.PosternBase, nil)
	add.Attribute("objectClass", []string{classHolder})
	add.Attribute("posternHolderOf", []string{"planted"})
	if c.Add(add) == nil {
		t.Error("can add a holder")
	}
}

// TestAttack20_ServiceIsNarrow: the service account itself can neither read
// password hashes nor write anything else.
func TestAttack20_ServiceIsNarrow(t *testing.T) {
	h := newHarness(t, directory, nil)
	mail, a := h.enrolled(t)
	c := h.as(t, mailtest.ServiceDN, mail)
	e, err := baseSearch(c, a.DN, "userPassword")
	if err != nil || e == nil || values(e, "userPassword") != nil {
		t.Errorf("password hashes: %v, %v", e, err)
	}
	for attribute, v := range map[string]string{"userPassword": "x", "mail": "x@example.test", "objectClass": "posixAccount", "uid": "y"} {
		req := ldap.NewModifyRequest(a.DN, nil)
		req.Add(attribute, []string{v})
		if c.Modify(req) == nil {
			t.Errorf("can write %s", attribute)
		}
	}
	if err := h.Apply(context.Background(), a, account.Edit{Now: record(account.KindSession, "s")}); err != nil {
		t.Error(err)
	}
}
