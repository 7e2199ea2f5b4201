package mailtest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// UserDN is the entry of a user, by address.
func UserDN(mail string) string {
	name, domain, _ := strings.Cut(mail, "@")
	if domain == "other.test" {
		return "uid=" + ldap.EscapeDN(name) + ",ou=other," + Base
	}
	return "uid=" + ldap.EscapeDN(name) + "," + People
}

// Root is a connection as RootDN, to which no access rule applies. It is shared
// and lives until the server is stopped.
func (s *Slapd) Root() (*ldap.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin != nil && !s.admin.IsClosing() {
		return s.admin, nil
	}
	c, err := s.Dial(RootDN, Password)
	if err != nil {
		return nil, err
	}
	s.admin = c
	return c, nil
}

// Dial is a connection as anybody.
func (s *Slapd) Dial(dn, password string) (*ldap.Conn, error) {
	c, err := ldap.DialURL(s.URI())
	if err != nil {
		return nil, err
	}
	if err := c.Bind(dn, password); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// AddUser makes a user with an address as name. The password is stored hashed,
// or as it is when it begins with a scheme like {ARGON2}. The attributes come on
// top; an objectClass among them is added to inetOrgPerson.
func (s *Slapd) AddUser(mail, password string, attrs map[string][]string) error {
	name, _, _ := strings.Cut(mail, "@")
	if !strings.HasPrefix(password, "{") {
		password = SSHA(password)
	}
	all := map[string][]string{
		"uid": {name}, "cn": {name}, "sn": {name}, "mail": {mail}, "userPassword": {password},
	}
	maps.Copy(all, attrs)
	all["objectClass"] = append([]string{"inetOrgPerson"}, attrs["objectClass"]...)
	return s.Add(UserDN(mail), all)
}

// Add makes an entry.
func (s *Slapd) Add(dn string, attrs map[string][]string) error {
	c, err := s.Root()
	if err != nil {
		return err
	}
	req := ldap.NewAddRequest(dn, nil)
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		req.Attribute(name, attrs[name])
	}
	return c.Add(req)
}

// SetAttr replaces the values of an attribute; without values it removes it.
// The name may also be that of a user.
func (s *Slapd) SetAttr(dn, attr string, values ...string) error {
	c, err := s.Root()
	if err != nil {
		return err
	}
	req := ldap.NewModifyRequest(entryDN(dn), nil)
	req.Replace(attr, values)
	return c.Modify(req)
}

// Delete removes an entry, or a user by address.
func (s *Slapd) Delete(dn string) error {
	c, err := s.Root()
	if err != nil {
		return err
	}
	return c.Del(ldap.NewDelRequest(entryDN(dn), nil))
}

// Dump is all that an entry, or a user's by address, holds: also what slapd
// itself keeps there, such as entryUUID.
func (s *Slapd) Dump(dn string) (map[string][][]byte, error) {
	c, err := s.Root()
	if err != nil {
		return nil, err
	}
	res, err := c.Search(ldap.NewSearchRequest(entryDN(dn), ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		0, 0, false, "(objectClass=*)", []string{"*", "+"}, nil))
	if err != nil {
		return nil, err
	}
	if len(res.Entries) != 1 {
		return nil, fmt.Errorf("mailtest: %d entries at %s", len(res.Entries), dn)
	}
	all := map[string][][]byte{}
	for _, a := range res.Entries[0].Attributes {
		all[a.Name] = a.ByteValues
	}
	return all, nil
}

// entryDN is the entry of a user for an address, and its argument otherwise.
func entryDN(dn string) string {
	if strings.Contains(dn, "=") {
		return dn
	}
	return UserDN(dn)
}

// LogNow is slapd's log up to now: what it did is in it before LogNow returns, however
// late slapd's lines arrive. It needs SlapdOptions.Log.
func (s *Slapd) LogNow(t testing.TB) string {
	t.Helper()
	root, err := s.Root()
	if err != nil {
		t.Fatal(err)
	}
	mark := "now-" + strings.ToLower(rand.Text())
	question := ldap.NewSearchRequest(Base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(cn="+mark+")", []string{"1.1"}, nil)
	if _, err := root.Search(question); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "slapd's log is up to date", func() bool { return strings.Contains(s.Log(), mark) })
	return s.Log()
}
