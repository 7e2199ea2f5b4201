// Package ds389 tests docs/guides/389-ds.md.
package ds389

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/mailtest"
)

// careless is a rule of the site's own that the guide's have to stand against.
const careless = `dn: dc=example,dc=test
changetype: modify
add: aci
aci: (targetattr = "*")(version 3.0; acl "self"; allow (all) userdn = "ldap:///self";)
aci: (targetattr = "*")(version 3.0; acl "everybody"; allow (read, search, compare) userdn = "ldap:///anyone";)
aci: (targetattr = "*")(version 3.0; acl "provisioning"; allow (all) userdn = "ldap:///uid=admin,ou=people,dc=example,dc=test";)
`

// TestGuide389: the server takes the guide's LDIF, and then lets Postern's account
// write records, but neither their owner nor anybody else see or touch them.
func TestGuide389(t *testing.T) {
	mailtest.Long(t)
	d := mailtest.New389(t)
	text, err := os.ReadFile("../../docs/guides/389-ds.md")
	if err != nil {
		t.Fatal(err)
	}
	load(t, d, careless)
	blocks := regexp.MustCompile("(?ms)^```ldif\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, b := range blocks {
		load(t, d, b[1])
	}
	alice := mailtest.UserDN("alice@example.test")
	service, owner := dial(t, d, mailtest.ServiceDN), dial(t, d, alice)
	if err := write(service, alice, true, "sealed"); err != nil {
		t.Errorf("Postern cannot write: %v", err)
	}
	if err := write(owner, alice, false, "forged"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
		t.Errorf("the owner writes: %v", err)
	}
	if err := owner.Modify(described(alice)); err != nil {
		t.Errorf("the careless rule does not hold: %v", err)
	}
	for who, c := range map[string]*ldap.Conn{"the owner": owner, "Postern": service, "bob": dial(t, d, mailtest.UserDN("bob@example.test"))} {
		state, password := seen(t, c, alice)
		if want := who == "Postern"; state != want {
			t.Errorf("%s sees the state: %v", who, state)
		}
		if who == "Postern" && password {
			t.Error("Postern sees password hashes")
		}
	}
	if err := write(service, alice, false, "sealed"); err != nil {
		t.Errorf("Postern cannot write again: %v", err)
	}
	if err := provisioned(dial(t, d, mailtest.UserDN("admin@example.test"))); err != nil {
		t.Errorf("provisioning is in the way of: %v", err)
	}
	site := ldap.NewAddRequest("cn=site,"+mailtest.PosternBase, nil)
	site.Attribute("objectClass", []string{"posternSite"})
	site.Attribute("posternKeyCheck", []string{"x"})
	if err := service.Add(site); err != nil {
		t.Errorf("Postern's own subtree: %v", err)
	}
	if entries := find(t, owner, mailtest.PosternBase, "(posternKeyCheck=*)"); len(entries) != 0 {
		t.Error("the owner finds check values")
	}
}

func load(t *testing.T, d *mailtest.DS389, ldif string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.ldif")
	if err := os.WriteFile(file, []byte(ldif), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ldapmodify", "-x", "-H", d.URI(), "-D", mailtest.RootDN, "-w", mailtest.Password, "-f", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, strings.SplitAfterN(ldif, "\n", 2)[0])
	}
}

func dial(t *testing.T, d *mailtest.DS389, dn string) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL(d.URI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Bind(dn, mailtest.Password); err != nil {
		t.Fatalf("%s: %v", dn, err)
	}
	return c
}

func write(c *ldap.Conn, dn string, first bool, value string) error {
	req := ldap.NewModifyRequest(dn, nil)
	if first {
		req.Add("objectClass", []string{"posternAccount"})
	}
	req.Replace("posternState", []string{value})
	return c.Modify(req)
}

func described(dn string) *ldap.ModifyRequest {
	req := ldap.NewModifyRequest(dn, nil)
	req.Replace("description", []string{"mine"})
	return req
}

// provisioned adds and deletes an entry, as the site's own programs do.
func provisioned(c *ldap.Conn) error {
	req := ldap.NewAddRequest("uid=new,"+mailtest.People, nil)
	req.Attribute("objectClass", []string{"inetOrgPerson"})
	for _, attr := range []string{"cn", "sn", "uid"} {
		req.Attribute(attr, []string{"new"})
	}
	if err := c.Add(req); err != nil {
		return err
	}
	return c.Del(ldap.NewDelRequest(req.DN, nil))
}

func find(t *testing.T, c *ldap.Conn, base, filter string) []*ldap.Entry {
	t.Helper()
	r, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"*"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return r.Entries
}

// seen says whether somebody finds or reads an entry's state, and its password hash.
func seen(t *testing.T, c *ldap.Conn, dn string) (state, password bool) {
	t.Helper()
	entries := find(t, c, dn, "(objectClass=*)")
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	state = len(entries[0].GetRawAttributeValues("posternState")) > 0 || len(find(t, c, dn, "(posternState=*)")) > 0
	return state, len(entries[0].GetRawAttributeValues("userPassword")) > 0
}
