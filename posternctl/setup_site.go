package main

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the form of userPassword that every directory takes
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"postern/contrib"
	"postern/internal/secretfile"
	"postern/ldapstore"
)

// Names of the files below setup/.
const (
	fileSchema  = "1-schema.ldif"
	fileBase    = "2-entries.ldif"
	fileACL     = "3-access.ldif"
	fileIndex   = "4-index.ldif"
	fileDovecot = "dovecot.conf"
	fileMainCF  = "main.cf"
	fileMaster  = "master.cf"
	fileScript  = "postern.lua"
)

// site is what setup makes of the answers.
type site struct {
	answers
	dir    string // of the configuration
	config string // what was written
	wrote  string // Dovecot's lines, on demand

	password, key, nonce string
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// secrets makes the files that are missing, each one random line.
func (s *site) secrets(c *ctl) error {
	list := []struct {
		name string
		into *string
	}{{"policyserver.key", &s.key}, {"hash.nonce", &s.nonce}}
	if !s.External {
		list = append(list, struct {
			name string
			into *string
		}{"ldap.password", &s.password})
	}
	var hook string
	if s.PublicURL != "" {
		list = append(list, struct {
			name string
			into *string
		}{"hook.key", &hook})
	}
	for _, l := range list {
		if !exists(s.path(l.name)) {
			if err := c.writeFile(s.path(l.name), strings.ToLower(rand.Text()+rand.Text())+"\n", 0o640); err != nil {
				return err
			}
		}
		b, err := secretfile.ReadLine(s.path(l.name))
		if err != nil {
			return err
		}
		*l.into = string(b)
	}
	if s.Door == "lua" && s.Dovecot == "2.3" {
		return s.luaSettings(c)
	}
	return nil
}

// luaSettings is what Dovecot 2.3's Lua door reads, as Dovecot's group.
func (s *site) luaSettings(c *ctl) error {
	path := s.path("lua.conf")
	if err := c.writeFile(path, "url = "+s.verifyURL()+"\nkey = "+s.key+"\n", 0o640); err != nil {
		return err
	}
	g, err := user.LookupGroup("dovecot")
	if err != nil || os.Geteuid() != 0 {
		c.warn("%s must belong to group dovecot", path)
		return nil //nolint:nilerr // said, and an administrator's to do
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, 0, gid)
}

const listen = "127.0.0.1:9786"

func (s *site) verifyURL() string { return "http://" + listen + "/verify" }

// packagedLogs is where the package has the audit log, and rotates it.
const packagedLogs = "/var/log/postern"

// directoryKeys are the settings that differ between directories.
var directoryKeys = map[string][]string{
	ldapstore.OpenLDAP: {`user_filter = "(&(objectClass=inetOrgPerson)(mail=%u))"`},
	ldapstore.DS389: {`user_filter = "(&(objectClass=inetOrgPerson)(mail=%u))"`, `id_attribute = "nsUniqueId"`,
		`password_changed_attribute = "pwdUpdateTime"`},
	ldapstore.ActiveDirectory: {`user_filter = "(&(objectClass=user)(mail=%u))"`, `id_attribute = "objectGUID"`,
		`password_changed_attribute = "pwdLastSet"`},
}

// toml is the configuration: what differs from the defaults.
func (s *site) toml() string {
	var b strings.Builder
	q := strconv.Quote
	b.WriteString("# Made by posternctl setup. Every other setting: posternctl config reference\n\n[directory]\n")
	fmt.Fprintf(&b, "read_uris = [%s]\n", q(s.URI))
	if strings.HasPrefix(s.URI, "ldap://") && !strings.Contains(s.URI, "127.0.0.1") && !strings.Contains(s.URI, "localhost") {
		b.WriteString("starttls = true\n")
	}
	if s.External {
		b.WriteString("sasl_external = true\n")
	} else {
		fmt.Fprintf(&b, "bind_dn = %s\nbind_password_file = %s\n", q(s.BindDN), q(s.path("ldap.password")))
	}
	fmt.Fprintf(&b, "base = %s\npostern_base = %s\nlayout = %s\n", q(s.Base), q(s.PosternBase), q(s.Layout))
	b.WriteString("# Finds one entry for a login name: copy what Dovecot's filter says.\n")
	b.WriteString(strings.Join(directoryKeys[s.Kind], "\n"))
	fmt.Fprintf(&b, "\n\n[keys]\ndirectory = %s\n", q(s.path("keys")))
	fmt.Fprintf(&b, "\n[policyserver]\nlisten = %s\napi_key_file = %s\nhash_nonce_file = %s\n", q(listen), q(s.path("policyserver.key")), q(s.path("hash.nonce")))
	if s.PublicURL != "" {
		fmt.Fprintf(&b, "\n[webhook]\npublic_url = %s\n\n[webhook.clients.webmail]\nkey_file = %s\nreturn_urls = [%s]\ntitle = \"Webmail\"\n",
			q(s.PublicURL), q(s.path("hook.key")), q(s.webmail()))
		fmt.Fprintf(&b, "\n[login]\nhelp_url = %s\n", q(strings.TrimSuffix(s.webmail(), "/")))
	}
	if exists(packagedLogs) { // else standard error, which is the journal's
		fmt.Fprintf(&b, "\n[audit]\nfile = %s\n", q(packagedLogs+"/audit.jsonl"))
	}
	return b.String()
}

// webmail is where browsers are sent back to.
func (s *site) webmail() string {
	if s.WebmailURL != "" {
		return s.WebmailURL
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return s.PublicURL
	}
	return u.Scheme + "://" + u.Host + "/"
}

// texts are contrib's files, filled in.
func (s *site) texts() (map[string]string, error) {
	all := map[string]string{}
	var err error
	add := func(name, from string, pairs ...string) {
		if err == nil {
			all[name], err = contrib.Filled(from, pairs...)
		}
	}
	names := []string{"cn=postern,ou=services,dc=example,dc=test", s.serviceDN(), "ou=postern,dc=example,dc=test", s.PosternBase, "dc=example,dc=test", s.Base}
	switch s.Kind {
	case ldapstore.OpenLDAP:
		add(fileSchema, "slapd/postern.ldif")
		add(fileBase, "slapd/postern-base.ldif", append(names[:4:4], "{SSHA}replace-this-by-the-output-of-slappasswd", ssha(s.password))...)
		add(fileACL, "slapd/postern-acl.ldif", names...)
		add(fileIndex, "slapd/postern-index.ldif")
	case ldapstore.DS389:
		add(fileSchema, "389ds/99postern.ldif")
		add(fileBase, "slapd/postern-base.ldif", append(names[:4:4], "{SSHA}replace-this-by-the-output-of-slappasswd", ssha(s.password))...)
		all[fileACL] = s.aci()
	}
	add(fileMainCF, "postfix/main.cf.snippet")
	add(fileMaster, "postfix/master.cf.snippet")
	if s.Door == "lua" && s.script() == ownScript {
		add(fileScript, "dovecot/postern.lua")
	}
	if s.Dovecot != "" && err == nil {
		all[fileDovecot], err = s.dovecotConf()
	}
	return all, err
}

func (s *site) serviceDN() string {
	if s.External {
		return "cn=postern," + s.Base
	}
	return s.BindDN
}

// dovecotConf is one door, the auth policy with its secrets, and Postfix's socket.
func (s *site) dovecotConf() (string, error) {
	var parts, door []string
	if s.Door == "lua" {
		door = []string{ownScript, s.script()}
	}
	for _, p := range []struct {
		name  string
		pairs []string
	}{
		{"dovecot/" + s.Dovecot + "-" + s.Door + ".conf", door},
		{"dovecot/" + s.Dovecot + "-policy.conf", []string{"http://127.0.0.1:9786/", "http://" + listen + "/",
			"PASTE-POLICYSERVER-KEY", s.key, "PASTE-HASH-NONCE", s.nonce}},
		{"postfix/dovecot-sasl.conf", nil},
	} {
		text, err := contrib.Filled(p.name, p.pairs...)
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "\n"), nil
}

// aci are 389-ds's access rules: nobody but Postern's account reads or changes what
// Postern keeps. To deny "all" would keep provisioning from adding entries, too.
func (s *site) aci() string {
	names := "posternState || posternTotp || posternPasskey || posternBackupCodes || posternPluginFactor || posternAppPassword || " +
		"posternTrustedDevice || posternPolicy || posternClass || posternHolderOf || posternSession || posternKeyCheck"
	dn := "\"ldap:///" + s.serviceDN() + "\";)\n"
	rule := func(attrs, name, right, who string) string {
		return "aci: (targetattr " + attrs + ")(version 3.0; acl \"Postern: " + name + "\"; " + right + " userdn " + who + " " + dn
	}
	return "dn: " + s.Base + "\nchangetype: modify\nadd: aci\n" +
		rule("= \""+names+"\"", "nobody else", "deny (read, search, compare, write, selfwrite)", "!=") +
		rule("= \"objectClass || "+names+"\"", "its records", "allow (read, search, compare, write)", "=") +
		rule("= \"userPassword\"", "no hashes", "deny (read, search, compare, write)", "=") +
		rule("!= \"userPassword\"", "finds accounts", "allow (read, search, compare)", "=") +
		"\ndn: " + s.PosternBase + "\nchangetype: modify\nadd: aci\n" +
		rule("= \"*\"", "its own subtree", "allow (all)", "=")
}

// instructions are what is left to do, in order: commands as they are to be typed, and
// what cannot be a command.
func (s *site) instructions() []string {
	lines := append([]string{"", "1. The directory (" + s.Kind + "):"}, s.forDirectory()...)
	lines = append(lines, "   then:", "     posternctl --config "+s.config+" keys register",
		"     policyserver -check -config "+s.config, "     systemctl enable --now postern-policyserver.socket postern-policyserver.service", "2. Dovecot:")
	lines = append(lines, s.forDovecot()...)
	return append(lines, "3. Postfix, unless it asks Dovecot already:",
		"     cat "+s.made(fileMainCF)+" >> /etc/postfix/main.cf",
		"     cat "+s.made(fileMaster)+" >> /etc/postfix/master.cf",
		"     postfix reload",
		"4. Look at it all, and try the doors:",
		"     posternctl --config "+s.config+" doctor --canary-base "+s.Base+" --admin-dn cn=admin,"+s.Base+" --admin-password-file FILE")
}

// made is the path of a file below setup/.
func (s *site) made(name string) string { return s.path(filepath.Join("setup", name)) }

func (s *site) forDirectory() []string {
	switch s.Kind {
	case ldapstore.OpenLDAP:
		return []string{"     ldapadd    -Y EXTERNAL -H ldapi:/// -f " + s.made(fileSchema),
			"     ldapadd    -x -D cn=admin," + s.Base + " -W -f " + s.made(fileBase),
			"     ldapmodify -Y EXTERNAL -H ldapi:/// -f " + s.made(fileACL) + "   # {1}mdb is the database; rules stand before yours",
			"     ldapmodify -Y EXTERNAL -H ldapi:/// -c -f " + s.made(fileIndex) + `   # "Type or value exists": you have that index already`}
	case ldapstore.DS389:
		return []string{"     cp " + s.made(fileSchema) + " /etc/dirsrv/slapd-INSTANCE/schema/99postern.ldif && dsconf INSTANCE schema reload",
			"     ldapadd    -x -D 'cn=Directory Manager' -W -f " + s.made(fileBase),
			"     ldapmodify -x -D 'cn=Directory Manager' -W -f " + s.made(fileACL)}
	default:
		return []string{"     Postern's records need entries of their own with its schema. Keep them in an OpenLDAP beside it, or load the",
			"     attributes of contrib/slapd/postern.schema; the service account must read users and write " + s.PosternBase}
	}
}

func (s *site) forDovecot() []string {
	if s.Dovecot == "" {
		return []string{"     run this again with --dovecot 2.3 or 2.4"}
	}
	var lines []string
	if s.Door == "lua" && s.script() == ownScript {
		lines = append(lines, "     install -m 644 "+s.made(fileScript)+" "+ownScript)
	}
	lines = append(lines, "     Remove every other passdb: in Debian the auth-*.conf.ext line of 10-auth.conf. A userdb that stood there stays.")
	if s.wrote == "" {
		lines = append(lines, "     Include "+s.made(fileDovecot)+" from /etc/dovecot/local.conf; secret: mode 0600.")
	} else {
		lines = append(lines, "     "+s.wrote+" is written.")
	}
	return append(lines, "     doveadm reload")
}

// Where Dovecot's Lua door is: that of the package, which is upgraded with Postern, or
// a copy.
const (
	packagedScript = "/usr/share/postern/dovecot/postern.lua"
	ownScript      = "/etc/dovecot/postern.lua"
)

func (s *site) script() string {
	if exists(packagedScript) {
		return packagedScript
	}
	return ownScript
}

// ssha is a password as OpenLDAP and 389-ds take it. The password is a random one, which
// needs no salt; this one is derived, so that setup gives the same file again.
func ssha(password string) string {
	salt := sha256.Sum256([]byte("postern setup\x00" + password))
	sum := sha1.Sum(append([]byte(password), salt[:8]...)) //nolint:gosec // see the import
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt[:8]...))
}

// runProgram is what a program prints.
func runProgram(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err
}
