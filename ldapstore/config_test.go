package ldapstore

import (
	"strings"
	"testing"
	"time"

	"postern/internal/account"
)

func TestValidate(t *testing.T) {
	good := func() Config {
		return Config{ReadURIs: []string{"ldaps://a.test"}, BindDN: "cn=x", BindPassword: account.SecretString("p"),
			Base: "dc=test", UserFilter: "(mail=%u)", PosternBase: "ou=postern,dc=test"}
	}
	for _, row := range []struct {
		change func(*Config)
		want   string // "": valid
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.ReadURIs = nil }, "directory.read_uris names no server"},
		{func(c *Config) { c.ReadURIs = []string{"http://a"} }, "scheme must be"},
		{func(c *Config) { c.ReadURIs = []string{"ldap://"} }, "directory.read_uris"},
		{func(c *Config) { c.ReadURIs = []string{"ldaps://a/dc=test"} }, "not of the form"},
		{func(c *Config) { c.ReadURIs = []string{"ldaps://me:secret@a"} }, "not of the form"},
		{func(c *Config) { c.ReadURIs = []string{"ldap://a.test"} }, "in the clear"},
		{func(c *Config) { c.ReadURIs, c.StartTLS = []string{"ldap://a.test"}, true }, ""},
		{func(c *Config) { c.ReadURIs, c.Plaintext = []string{"ldap://a.test"}, true }, ""},
		{func(c *Config) { c.ReadURIs = []string{"ldap://localhost", "ldap://[::1]:99", "ldap://127.0.0.9"} }, ""},
		{func(c *Config) { c.ReadURIs = []string{"ldap://localhost.evil.test"} }, "in the clear"},
		{func(c *Config) { c.ReadURIs = []string{"ldapi:///", "ldapi://%2Frun%2Fx"} }, ""},
		{func(c *Config) { c.ReadURIs = []string{"ldapi://run"} }, "absolute path"},
		{func(c *Config) { c.ReadURIs = []string{"ldapi://%zz"} }, "directory.read_uris"},
		{func(c *Config) { c.WriteURI = "ldap://b.test" }, "directory.write_uri"},
		{func(c *Config) { c.BindDN = "" }, "directory.bind_dn is missing"},
		{func(c *Config) { c.BindDN = "me" }, "directory.bind_dn"},
		{func(c *Config) { c.BindPassword = account.Secret{} }, "directory.bind_password_file"},
		{func(c *Config) { c.SASLExternal = true }, "excludes"},
		{func(c *Config) { c.SASLExternal, c.BindDN, c.BindPassword = true, "", account.Secret{} }, "ldapi:// only"},
		{func(c *Config) {
			c.SASLExternal, c.BindDN, c.BindPassword, c.ReadURIs = true, "", account.Secret{}, []string{"ldapi:///"}
		}, ""},
		{func(c *Config) { c.Base = "" }, "directory.base is missing"},
		{func(c *Config) { c.Base = "nonsense" }, "directory.base"},
		{func(c *Config) { c.PosternBase = "" }, "directory.postern_base is missing"},
		{func(c *Config) { c.UserFilter = "" }, "directory.user_filter"},
		{func(c *Config) { c.UserFilter = "(mail=alice)" }, "same entry for every name"},
		{func(c *Config) { c.UserFilter = "(mail=%x)" }, "does not know %x"},
		{func(c *Config) { c.UserFilter = "(mail=%u" }, "not an LDAP filter"},
		{func(c *Config) { c.UserFilter = "(mail=%u)%" }, "lone %"},
		{func(c *Config) { c.UserFilter = "(&(mail=%u)(title=100%%))" }, ""},
		{func(c *Config) { c.StatusFilter = "x=(" }, "directory.status_filter"},
		{func(c *Config) { c.Layout = "tree" }, "directory.layout"},
		{func(c *Config) { c.IDAttribute = "*" }, "directory.id_attribute"},
		{func(c *Config) { c.LoginAttribute = "mail;lang-de" }, "directory.login_attribute"},
		{func(c *Config) { c.Fields = map[string]string{"x": "+"} }, "login.fields.x"},
		{func(c *Config) { c.Timeout = 5 }, "directory.timeout"},
		{func(c *Config) { c.Timeout = time.Hour }, "directory.timeout"},
		{func(c *Config) { c.PoolSize = -1 }, "directory.pool_size"},
	} {
		c := good()
		row.change(&c)
		err := c.Validate()
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("want %q, got %v", row.want, err)
		}
	}
	err := Config{Layout: "x", PoolSize: -1}.Validate()
	if n := strings.Count(err.Error(), "\n"); n < 6 {
		t.Errorf("all problems at once, got %d: %v", n+1, err)
	}
}

func TestTemplate(t *testing.T) {
	for _, row := range []struct{ filter, name, want string }{
		{"(mail=%u)", "a@b", "(mail=a@b)"},
		{"(&(uid=%n)(o=%d))", "a@b@c", "(&(uid=a@b)(o=c))"},
		{"(&(uid=%n)(o=%d))", "a", "(&(uid=a)(o=))"},
		{"(|(uid=%u)(mail=%u))%%", "*", `(|(uid=\2a)(mail=\2a))%`},
		{"(x=%u)", "%n\x00()\\é", `(x=%n\00\28\29\5c\c3\a9)`},
	} {
		tmpl, err := parseTemplate(row.filter)
		if err != nil {
			t.Fatal(err)
		}
		if got := tmpl.expand(row.name); got != row.want {
			t.Errorf("%s with %q: %s", row.filter, row.name, got)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	tmpl, err := parseTemplate("(&(uid=%n)(o=%d)(mail=%u))")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a@b")
	f.Add("*)(|(x=*")
	f.Fuzz(func(t *testing.T, name string) {
		got := tmpl.expand(name)
		if strings.Count(got, "(") != 4 || strings.Count(got, ")") != 4 || strings.ContainsAny(got, "*\x00") {
			t.Errorf("%q breaks out: %s", name, got)
		}
	})
}
