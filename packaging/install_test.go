package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/mailclient"
)

// installed is an administrator's day on a Debian with slapd, Dovecot and Postfix: install,
// follow the guide, see who gets in, upgrade, remove, purge. No systemd runs there, as
// when an image is built; the daemons are started as their units say.
func installed(t *testing.T, dir, suite string) {
	t.Parallel()
	m := newMachine(t, suite)
	deb := m.give(one(t, dir, "postern_*.deb"))
	fresh(t, m, deb)
	m.directory()
	m.mail()
	m.follow()
	indexed(t, m)
	m.servers()
	m.letsIn(t)
	upgrade(t, m, deb)
	m.run("dpkg --remove postern; test -s /etc/postern/postern.toml; test ! -e /usr/sbin/policyserver; test -s /etc/logrotate.d/postern")
	note := m.run("dpkg --purge postern")
	left := m.run("find /etc /usr /var ! -type d -newer /root/installed -path '*postern*' ! -path '/var/lib/dpkg/*' ! -path '/etc/dovecot/*' ! -path '/var/lib/ldap/*' ! -path '/etc/ldap/*' ! -path '/var/spool/postfix/*' ! -path '/var/vmail/*' ! -path '/var/mail/*' | sort")
	if want := "/etc/postern/keys/door.key\n/etc/postern/keys/factor.key\n/etc/postern/keys/ticket.key\n/etc/postern/keys/ticket.pub\n"; left != want || !strings.Contains(note, "/etc/postern/keys was left") {
		t.Errorf("after purge there is\n%ssaying %s", left, note)
	}
}

// fresh installs the package: everything is there, belongs to whom it should, and
// nothing starts.
func fresh(t *testing.T, m *machine, deb string) {
	t.Helper()
	m.run("touch /root/installed; dpkg -i " + deb)
	for path, want := range map[string]string{
		"/etc/postern":                       "750 root postern",
		"/etc/postern/keys":                  "700 postern postern",
		"/var/lib/postern":                   "750 postern postern",
		"/var/log/postern":                   "750 postern postern",
		"/usr/lib/postern/checkpassword":     "755 root root",
		"/etc/apparmor.d/postern-webhook":    "644 root root",
		"/usr/share/man/man8/webhook.8.gz":   "644 root root",
		"/usr/share/postern/postern.toml":    "644 root root",
		"/usr/lib/sysusers.d/postern.conf":   "644 root root",
		"/etc/logrotate.d/postern":           "644 root root",
		"/usr/share/doc/postern/licences.gz": "644 root root",
	} {
		if got := strings.TrimSpace(m.run("stat -c '%a %U %G' " + path)); got != want {
			t.Errorf("%s is %s, not %s", path, got, want)
		}
	}
	for program, want := range map[string]string{"posternctl": "posternctl 1.0.0\n", "policyserver": "policyserver 1.0.0\n", "webhook": "webhook 1.0.0\n", "/usr/lib/postern/checkpassword": "checkpassword 1.0.0\n"} {
		if got := m.run(program + " -version"); got != want {
			t.Errorf("%s says %q", program, got)
		}
	}
	// Without a configuration there is nothing to start with, and the units know.
	if out, err := m.try("policyserver"); err == nil || !strings.Contains(out, "/etc/postern/postern.toml") {
		t.Errorf("policyserver without a configuration: %v: %s", err, out)
	}
	if got := m.run("grep -l ConditionPathExists=/etc/postern/postern.toml /usr/lib/systemd/system/postern-* | wc -l"); got != "4\n" {
		t.Errorf("units that wait for a configuration: %s", got)
	}
	if out, err := m.try("systemctl is-enabled postern-policyserver.service"); err == nil {
		t.Errorf("a unit is enabled: %s", out)
	}
}

// directory makes the site that was there before: a directory with one user.
func (m *machine) directory() {
	m.t.Helper()
	m.run(`
		debconf-set-selections <<-EOF
			slapd slapd/domain string example.test
			slapd shared/organization string Example
			slapd slapd/password1 password secret
			slapd slapd/password2 password secret
			slapd slapd/move_old_database boolean true
			slapd slapd/purge_database boolean true
		EOF
		dpkg-reconfigure slapd
		install -d -o openldap -g openldap /run/slapd
		slapd -h 'ldap:/// ldapi:///' -u openldap -g openldap -F /etc/ldap/slapd.d`)
	m.until("ldapsearch -Q -Y EXTERNAL -H ldapi:/// -s base -b cn=config dn")
	m.run(`ldapadd -x -D cn=admin,dc=example,dc=test -w secret <<EOF
dn: ou=people,dc=example,dc=test
objectClass: organizationalUnit
ou: people

dn: ou=services,dc=example,dc=test
objectClass: organizationalUnit
ou: services

dn: uid=alice,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Alice
mail: alice@example.test
userPassword: main password of alice
EOF
		useradd --system --create-home --home-dir /var/vmail vmail`)
}

// step is the blocks of a language in one numbered step of the guide to OpenLDAP,
// Dovecot and Postfix.
func step(t *testing.T, number, language string) string {
	t.Helper()
	return blocks(t, "openldap", number, language)
}

// blocks are those of a language in one numbered step of a guide in docs/guides.
func blocks(t *testing.T, guide, number, language string) string {
	t.Helper()
	all, err := os.ReadFile(filepath.Join("../docs/guides", guide+".md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(all), "\n## "+number+". ")
	text, _, _ = strings.Cut(text, "\n## ")
	found := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		t.Fatalf("%s: step %s has no block of %q", guide, number, language)
	}
	joined := ""
	for _, b := range found {
		joined += b[1]
	}
	return joined
}

// answered is a step's commands with what a person would type, and with the daemon
// started as its unit would.
func answered(commands string) string {
	return strings.NewReplacer(
		" -W -S ", " -w secret -s 'service password' ",
		"uid=you,ou=people,dc=example,dc=test -W", "uid=alice,ou=people,dc=example,dc=test -w 'main password of alice'",
		" -W ", " -w secret ",
		"-index.ldif", "-index.ldif || [ $? = 20 ]", // Debian's slapd has one of the indices
		"the password from step 2", "service password",
		"systemctl enable --now postern-policyserver.socket postern-policyserver.service", startDaemon,
	).Replace(commands)
}

const startDaemon = `install -d -o postern /run/postern
setsid runuser -u postern -- policyserver </dev/null >>/root/policyserver.log 2>&1 &
for i in $(seq 300); do [ ! -S /run/postern/verify.sock ] || break; sleep 0.1; done
`

// follow does steps 2 to 4 of the guide, as they stand there.
func (m *machine) follow() {
	m.t.Helper()
	if out := m.run(answered(step(m.t, "2", ""))); strings.Contains(out, "dn: uid=") {
		m.t.Errorf("a user finds what Postern keeps: %s", out)
	}
	m.run(answered(step(m.t, "3", "")))
	m.write("/etc/postern/postern.toml", step(m.t, "3", "toml"), "root:postern", "640")
	m.run(answered(step(m.t, "4", "")))
	m.run("runuser -u postern -- policyserver -check; runuser -u dovecot -- /usr/lib/postern/checkpassword -check")
}

func (m *machine) write(path, text, owner, mode string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, path), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.run("chown " + owner + " " + path + " && chmod " + mode + " " + path)
}

// servers is step 5: one door instead of Debian's passdb, the auth policy, and Postfix.
func (m *machine) servers() {
	m.t.Helper()
	r := m.release
	m.write("/etc/dovecot/local.conf", "!include /usr/share/postern/dovecot/"+r.door+"\n!include postern-policy.conf\n"+
		"!include /usr/share/postern/postfix/dovecot-sasl.conf\n"+r.userdb+noDelay, "root:root", "644")
	m.run(`sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf
		ln -s /usr/share/postern/dovecot/postern.lua /etc/dovecot/postern.lua
		install -m 600 /usr/share/postern/dovecot/` + r.dovecot + `-policy.conf /etc/dovecot/postern-policy.conf
		sed -i "s/PASTE-POLICYSERVER-KEY/$(cat /etc/postern/policyserver.key)/; s/PASTE-HASH-NONCE/$(cat /etc/postern/hash.nonce)/" /etc/dovecot/postern-policy.conf
		doveadm reload
		cat /usr/share/postern/postfix/main.cf.snippet >>/etc/postfix/main.cf
		cat /usr/share/postern/postfix/master.cf.snippet >>/etc/postfix/master.cf
		postfix reload`)
}

// letsIn: the user gets in by the main password as ever; with a second factor by an app
// password only; and the doctor finds nothing wrong.
func (m *machine) letsIn(t *testing.T) {
	t.Helper()
	m.knock(t, "alice@example.test", "main password of alice", mailclient.OK)
	password := strings.TrimSpace(m.run(`posternctl -q totp add alice@example.test --name phone >/dev/null
		posternctl -q app-password create alice@example.test --name "mail on my phone"`))
	m.knock(t, "alice@example.test", "main password of alice", mailclient.Refused)
	m.knock(t, "alice@example.test", password, mailclient.OK)
	m.write("/root/admin", "secret\n", "root:root", "600")
	out, err := m.try("posternctl doctor --canary-base ou=people,dc=example,dc=test --admin-dn cn=admin,dc=example,dc=test --admin-password-file /root/admin")
	if err != nil || !strings.Contains(out, "[door]") {
		t.Errorf("the doctor: %v: %s", err, out)
	}
}

// upgrade goes from a lower version to this one: the site's configuration stays, also
// where the package has another one by now, and so does what lets the user in.
func upgrade(t *testing.T, m *machine, deb string) {
	t.Helper()
	const state = "sha256sum /etc/postern/*.* /etc/postern/keys/*; find /var/lib/postern /var/log/postern /run/postern -printf '%p %m %u %g %i\n' | sort"
	before := m.run(state)
	m.run(`dpkg-deb -R ` + deb + ` /root/old
		sed -i 's/^Version: .*/Version: 0.9.0/' /root/old/DEBIAN/control
		sed -i 's/rotate 52/rotate 7/' /root/old/etc/logrotate.d/postern
		dpkg-deb -Znone -b /root/old /root/old.deb
		dpkg -i --force-downgrade --force-confnew /root/old.deb
		echo '# ours' >>/etc/logrotate.d/postern`)
	out := m.run("dpkg -i --force-confold " + deb + "; dpkg-query -W -f '${Version} ${Status}' postern")
	if !strings.Contains(out, "1.0.0 install ok installed") || strings.Contains(out, "to set up") {
		t.Errorf("upgraded: %s", out)
	}
	m.run("grep -q '^# ours' /etc/logrotate.d/postern; test -S /run/postern/verify.sock")
	if after := m.run(state); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	m.knock(t, "alice@example.test", "main password of alice", mailclient.Refused)
}
