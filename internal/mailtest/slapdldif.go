package mailtest

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// schemaDir holds the schemas that come with Debian's slapd.
const schemaDir = "/etc/ldap/schema"

// configLDIF is slapd's configuration before Postern's files are loaded: an
// ordinary site, with access rules that let users, the domain administrator and
// another service write people's entries.
func (s *Slapd) configLDIF() (string, error) {
	schemas, err := debianSchemas("core", "cosine", "nis", "inetorgperson")
	if err != nil {
		return "", err
	}
	modules, overlay := "back_mdb", ""
	if s.options.Lockout {
		modules, overlay = modules+" ppolicy", overlayPpolicy
	}
	text := strings.NewReplacer(
		"@SCHEMAS@", schemas,
		"@MODULES@", ldifValues("olcModuleLoad", strings.Fields(modules+" argon2 pw-sha2 pw-pbkdf2")),
		"@DIR@", s.Dir, "@CA@", s.certs.CA, "@CERT@", s.certs.Cert, "@KEY@", s.certs.Key,
		"@UID@", fmt.Sprint(os.Getuid()), "@GID@", fmt.Sprint(os.Getgid()),
		"@PASSWORD@", SSHA(Password),
	).Replace(siteConfig + overlay)
	return namesReplacer.Replace(text), nil
}

// debianSchemas are some of Debian's schemas as cn=config entries.
func debianSchemas(names ...string) (string, error) {
	var all strings.Builder
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(schemaDir, n+".ldif"))
		if err != nil {
			return "", err
		}
		all.Write(b)
		all.WriteString("\n\n")
	}
	return all.String(), nil
}

// ldifValues is one line for each value of an attribute.
func ldifValues(attr string, values []string) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "%s: %s\n", attr, v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// namesReplacer fills the names of the accounts into the texts below.
var namesReplacer = strings.NewReplacer("@BASE@", Base, "@PEOPLE@", People, "@ROOT@", RootDN, "@CONFIG@", ConfigDN,
	"@SERVICE@", ServiceDN, "@OTHER@", OtherServiceDN, "@DOMADMIN@", DomainAdminDN)

const siteConfig = `dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: @DIR@/slapd.pid
olcTLSCACertificateFile: @CA@
olcTLSCertificateFile: @CERT@
olcTLSCertificateKeyFile: @KEY@
olcAuthzRegexp: {0}gidNumber=@GID@\+uidNumber=@UID@,cn=peercred,cn=external,cn=auth @SERVICE@

dn: cn=module{0},cn=config
objectClass: olcModuleList
cn: module{0}
olcModulePath: /usr/lib/ldap
@MODULES@

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

@SCHEMAS@
dn: olcDatabase={-1}frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: {-1}frontend

dn: olcDatabase={0}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {0}config
olcRootDN: @CONFIG@
olcRootPW: @PASSWORD@
olcAccess: to * by dn.exact=@ROOT@ read

dn: olcDatabase={1}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {1}mdb
olcSuffix: @BASE@
olcRootDN: @ROOT@
olcRootPW: @PASSWORD@
olcDbDirectory: @DIR@/data
olcDbMaxSize: 4294967296
olcDbNoSync: TRUE
olcDbIndex: uid eq
olcAccess: to attrs=userPassword by self write by dn.exact=@DOMADMIN@ write
  by anonymous auth by * none
olcAccess: to dn.subtree=@PEOPLE@ by self write by dn.exact=@DOMADMIN@ write
  by dn.exact=@OTHER@ write by * read
olcAccess: to * by * read
`

const overlayPpolicy = `
dn: olcOverlay={0}ppolicy,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: {0}ppolicy
olcPPolicyDefault: cn=lockout,@BASE@
`

const entries = `dn: @BASE@
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: @PEOPLE@
objectClass: organizationalUnit
ou: people

dn: ou=other,@BASE@
objectClass: organizationalUnit
ou: other

dn: ou=services,@BASE@
objectClass: organizationalUnit
ou: services

dn: @OTHER@
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: nextcloud
userPassword: @PASSWORD@

`

const lockoutPolicy = `dn: cn=lockout,@BASE@
objectClass: device
objectClass: pwdPolicy
cn: lockout
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 5

`

// entriesLDIF are the entries which every directory starts with, contrib's for
// Postern among them.
func entriesLDIF(o SlapdOptions) (string, error) {
	text := entries
	if o.Lockout {
		text += lockoutPolicy
	}
	for _, name := range []string{"plain", "alice", "bob", "carol", "admin", "domadmin"} {
		text += personLDIF("uid="+name+","+People, name+"@example.test")
	}
	text += personLDIF("uid=dave,ou=other,"+Base, "dave@other.test")
	postern, err := contrib("slapd/postern-base.ldif", "cn=postern,ou=services,dc=example,dc=test", ServiceDN,
		"ou=postern,dc=example,dc=test", PosternBase,
		"{SSHA}replace-this-by-the-output-of-slappasswd", SSHA(Password))
	text = namesReplacer.Replace(strings.ReplaceAll(text, "@PASSWORD@", SSHA(Password)))
	return text + withoutComments(postern) + "\n", err
}

// withoutComments removes the lines which begin with a hash.
func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// personLDIF is a user's entry; its password is filled in later.
func personLDIF(dn, mail string) string {
	name, _, _ := strings.Cut(mail, "@")
	return fmt.Sprintf("dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %[2]s\nsn: %[2]s\nmail: %s\nuserPassword: @PASSWORD@\n\n",
		dn, name, mail)
}

// bulkLDIF are n generated users, all with the same password.
func bulkLDIF(n int) string {
	var b strings.Builder
	hash := SSHA(Password)
	for i := range n {
		mail := BulkUser(i)
		b.WriteString(strings.Replace(personLDIF("uid="+mail[:len(mail)-len("@example.test")]+","+People, mail), "@PASSWORD@", hash, 1))
	}
	return b.String()
}

// BulkUser is the address of the user with number i of SlapdOptions.Bulk.
func BulkUser(i int) string { return fmt.Sprintf("u%06d@example.test", i) }

// SSHA is a password in the salted form which OpenLDAP makes by default.
func SSHA(password string) string {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt) // never fails
	sum := sha1.Sum(append([]byte(password), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
