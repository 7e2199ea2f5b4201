package mailtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// TestSlapdDoors asks the directory over each of its addresses.
func TestSlapdDoors(t *testing.T) {
	s := NewSlapd(t, SlapdOptions{})
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("CA file: %v", err)
	}
	trust := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	for name, login := range map[string]func() (*ldap.Conn, error){
		"ldap": func() (*ldap.Conn, error) { return s.Dial(UserDN("plain@example.test"), Password) },
		"starttls": func() (*ldap.Conn, error) {
			c, err := ldap.DialURL(s.URI())
			if err != nil {
				return nil, err
			}
			return c, c.StartTLS(trust)
		},
		"ldaps": func() (*ldap.Conn, error) { return ldap.DialURL(s.TLSURI(), ldap.DialWithTLSConfig(trust)) },
		"ldapi": func() (*ldap.Conn, error) {
			c, err := net.Dial("unix", s.Socket())
			if err != nil {
				return nil, err
			}
			conn := ldap.NewConn(c, false)
			conn.Start()
			return conn, conn.ExternalBind()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := login()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			who, err := c.WhoAmI(nil)
			if err != nil {
				t.Fatal(err)
			}
			if name == "ldapi" && who.AuthzID != "dn:"+ServiceDN {
				t.Errorf("ldapi is %q, want the service", who.AuthzID)
			}
		})
	}
}

// TestSlapdAccess proves contrib's access rules: the service writes records,
// nobody else reads, changes or plants them.
func TestSlapdAccess(t *testing.T) {
	s := NewSlapd(t, SlapdOptions{})
	alice := UserDN("alice@example.test")
	service := dial(t, s, ServiceDN)
	add := ldap.NewModifyRequest(alice, nil)
	add.Add("objectClass", []string{"posternAccount"})
	add.Add("posternState", []string{"sealed\x00state"})
	add.Add("posternPolicy", []string{"{}"})
	if err := service.Modify(add); err != nil {
		t.Fatalf("service: %v", err)
	}
	if got := readAttr(t, service, alice, "posternState"); !slices.Equal(got, []string{"sealed\x00state"}) {
		t.Errorf("service reads %q", got)
	}
	for _, dn := range []string{alice, DomainAdminDN, OtherServiceDN} {
		t.Run(dn, func(t *testing.T) { refuseRecords(t, dial(t, s, dn), alice) })
	}
	t.Run("service limits", func(t *testing.T) {
		for attr, value := range map[string]string{"userPassword": "x", "objectClass": "posixAccount", "mail": "x@y.z"} {
			req := ldap.NewModifyRequest(alice, nil)
			req.Add(attr, []string{value})
			wantCode(t, service.Modify(req), ldap.LDAPResultInsufficientAccessRights)
		}
		if got := readAttr(t, service, alice, "userPassword"); got != nil {
			t.Errorf("service reads password hashes: %q", got)
		}
	})
}

// refuseRecords tries what somebody who may write a user's entry would try.
func refuseRecords(t *testing.T, c *ldap.Conn, user string) {
	t.Helper()
	if got := readAttr(t, c, user, "posternState"); got != nil {
		t.Errorf("reads %q", got)
	}
	for _, filter := range []string{"(posternState=*)", "(posternPolicy={})"} {
		res, err := c.Search(ldap.NewSearchRequest(Base, ldap.ScopeWholeSubtree, 0, 0, 0, false, filter, []string{"1.1"}, nil))
		if err != nil || len(res.Entries) > 0 {
			t.Errorf("%s finds %v, %v", filter, res, err)
		}
	}
	if ok, err := c.Compare(user, "posternPolicy", "{}"); ok || err == nil {
		t.Errorf("compare: %v, %v", ok, err)
	}
	for _, attr := range []string{"posternState", "posternPolicy", "posternClass", "posternAppPassword"} {
		req := ldap.NewModifyRequest(user, nil)
		req.Replace(attr, []string{"x"})
		wantCode(t, c.Modify(req), ldap.LDAPResultInsufficientAccessRights)
		req = ldap.NewModifyRequest(user, nil)
		req.Replace(attr, nil)
		wantCode(t, c.Modify(req), ldap.LDAPResultInsufficientAccessRights)
	}
	wantCode(t, c.Add(plantedUser()), ldap.LDAPResultInsufficientAccessRights)
	req := ldap.NewModifyRequest(user, nil)
	req.Add("description", []string{"of no concern"})
	if err := c.Modify(req); err != nil {
		t.Errorf("an attribute of its own: %v", err)
	}
	undo := ldap.NewModifyRequest(user, nil)
	undo.Delete("description", nil)
	if err := c.Modify(undo); err != nil {
		t.Error(err)
	}
}

// plantedUser asks for a new user that comes with a policy.
func plantedUser() *ldap.AddRequest {
	req := ldap.NewAddRequest(UserDN("planted@example.test"), nil)
	for a, v := range map[string]string{"uid": "planted", "cn": "planted", "sn": "planted", "posternPolicy": "{}"} {
		req.Attribute(a, []string{v})
	}
	req.Attribute("objectClass", []string{"inetOrgPerson", "posternAccount"})
	return req
}

// TestSlapdPauseRestart freezes and restarts the server.
func TestSlapdPauseRestart(t *testing.T) {
	s := NewSlapd(t, SlapdOptions{})
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	c, err := ldap.DialURL(s.URI())
	if err != nil {
		t.Fatal(err)
	}
	c.SetTimeout(50 * time.Millisecond)
	if err := c.Bind(UserDN("bob@example.test"), Password); err == nil {
		t.Error("a paused server answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := s.AddUser("new@example.test", "pw", map[string][]string{"description": {"x"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dial(UserDN("new@example.test"), "pw"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if d, err := s.Dump("new@example.test"); err != nil || len(d["entryUUID"]) != 1 {
		t.Errorf("dump: %v, %v", d, err)
	}
}

// TestSlapdLockout locks an account by wrong binds.
func TestSlapdLockout(t *testing.T) {
	s := NewSlapd(t, SlapdOptions{Lockout: true})
	for range 5 {
		_, err := s.Dial(UserDN("bob@example.test"), "wrong")
		wantCode(t, err, ldap.LDAPResultInvalidCredentials)
	}
	if d, err := s.Dump("bob@example.test"); err != nil || len(d["pwdAccountLockedTime"]) != 1 {
		t.Errorf("not locked: %v", err)
	}
}

// TestSlapdHashes binds with the hashes that a site may hold.
func TestSlapdHashes(t *testing.T) {
	s := NewSlapd(t, SlapdOptions{})
	argon, err := run(context.Background(), "slappasswd", "-o", "module-path=/usr/lib/ldap",
		"-o", "module-load=argon2", "-h", "{ARGON2}", "-s", "password")
	if err != nil {
		t.Fatal(err)
	}
	for user, hash := range map[string]string{
		"argon@example.test": strings.TrimSpace(argon),
		"crypt@example.test": "{CRYPT}$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
	} {
		if err := s.AddUser(user, hash, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Dial(UserDN(user), "password"); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// TestSlapdBulk loads generated users.
func TestSlapdBulk(t *testing.T) {
	s := NewSlapd(t, SlapdOptions{Bulk: 1000})
	if _, err := s.Dial(UserDN(BulkUser(999)), Password); err != nil {
		t.Error(err)
	}
}

// TestSchemaForms loads the .schema form by slaptest and compares what it makes
// of it with the .ldif form.
func TestSchemaForms(t *testing.T) {
	root, err := sourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "slapd.conf")
	text := "include " + schemaDir + "/core.schema\ninclude " + root + "/contrib/slapd/postern.schema\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "d")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	// slaptest complains that there is no database to open, after it has written.
	_, _ = run(context.Background(), "/usr/sbin/slaptest", "-f", conf, "-F", out)
	made, err := os.ReadFile(filepath.Join(out, "cn=config/cn=schema/cn={1}postern.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	ldif, err := os.ReadFile(filepath.Join(root, "contrib/slapd/postern.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	expand := strings.NewReplacer("posternAttr:", schemaOID+".1.", "posternClassId:", schemaOID+".2.")
	got, want := definitions(expand.Replace(string(made))), definitions(string(ldif))
	if len(want) != 16 || !slices.Equal(got, want) {
		t.Errorf("postern.schema gives\n%s\npostern.ldif\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	ds, err := os.ReadFile(filepath.Join(root, "contrib/389ds/99postern.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	if got := definitions(strings.ReplaceAll(string(ds), " X-ORIGIN 'Postern'", "")); !slices.Equal(got, want) {
		t.Errorf("99postern.ldif gives\n%s", strings.Join(got, "\n"))
	}
}

const schemaOID = "2.25.169411638204357444223050146564922781809"

// definitions are the schema definitions of an LDIF text, unfolded, without
// their numbers in the server, and with single blanks.
func definitions(ldif string) []string {
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(ldif, "\r", ""), "\n ", "")) {
		if _, def, ok := strings.Cut(line, ": "); ok && strings.Contains(def, "NAME 'postern") {
			def = def[strings.Index(def, "("):]
			def = strings.ReplaceAll(strings.Join(strings.Fields(def), " "), "X-ORIGIN 'Postern' ", "")
			all = append(all, def)
		}
	}
	return all
}

// dial is a connection as somebody, closed at the end of the test.
func dial(t *testing.T, s *Slapd, dn string) *ldap.Conn {
	t.Helper()
	c, err := s.Dial(dn, Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// readAttr are the values of an attribute that a connection may see.
func readAttr(t *testing.T, c *ldap.Conn, dn, attr string) []string {
	t.Helper()
	res, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{attr}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Entries) == 0 || len(res.Entries[0].Attributes) == 0 {
		return nil
	}
	return res.Entries[0].GetAttributeValues(attr)
}

// wantCode wants an LDAP operation to have failed with a code.
func wantCode(t *testing.T, err error, code uint16) {
	t.Helper()
	if !ldap.IsErrorWithCode(err, code) {
		t.Errorf("got %v, want code %d", err, code)
	}
}
