package packaging

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/doctor"
	"postern/internal/doctor/doctortest"
	"postern/internal/mailclient"
)

// bySetup is the other way to set up: posternctl setup's questions answered on a
// terminal, and what it prints done as it stands. Then the doctor finds nothing wrong;
// things are made wrong one by one, and it names each.
func bySetup(t *testing.T, dir, suite string) {
	t.Parallel()
	m := newMachine(t, suite)
	m.run("dpkg -i " + m.give(one(t, dir, "postern_*.deb")))
	m.directory()
	m.mail()
	said := m.run(typed[suite])
	m.run(answered(printed(said, "1. ", "\n2. ")))
	indexed(t, m)
	m.run("sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf\n" + printed(said, "\n2. ", "\n3. "))
	m.run(printed(said, "\n3. ", "\n4. "))
	m.knock(t, "alice@example.test", "main password of alice", mailclient.OK)
	m.knock(t, "alice@example.test", "another password", mailclient.Refused)
	m.write("/root/admin", "secret\n", "root:root", "600")
	if out, err := m.try(strings.Replace(printed(said, "\n4. ", "\n5. "), "FILE", "/root/admin", 1)); err != nil || !strings.Contains(out, "smtp at 127.0.0.1:587: ") {
		t.Errorf("the doctor: %v: %s", err, out)
	}
	spoilAll(t, m)
	withPlugins(t, m, dir)
}

// typed starts posternctl setup on a terminal, and answers what it asks. In Debian 12,
// Dovecot's lines are then included by hand; in Debian 13, setup writes them.
var typed = map[string]string{
	"bookworm": `printf '\n\ncn=postern,ou=services,dc=example,dc=test\n' | script -qec 'posternctl setup' /dev/null
		sed -i '1i !include /etc/postern/setup/dovecot.conf' /etc/dovecot/local.conf`,
	"trixie": `printf '\n\ncn=postern,ou=services,dc=example,dc=test\n' | script -qec 'posternctl setup --write-dovecot /etc/dovecot/conf.d' /dev/null`,
}

// printed is the commands of one part of what setup prints: they begin with a small
// letter, other lines do not.
func printed(said, from, to string) string {
	_, part, _ := strings.Cut(strings.ReplaceAll(said, "\r\n", "\n"), from)
	part, _, _ = strings.Cut(part, to)
	commands := ""
	for line := range strings.Lines(part) {
		if c, ok := strings.CutPrefix(line, "     "); ok && c[0] >= 'a' && c[0] <= 'z' {
			commands += c
		}
	}
	return commands
}

// noDelay leaves out Dovecot's two seconds for a wrong password.
const noDelay = "auth_failure_delay = 0\n"

// mail is the Dovecot and Postfix that the site has: as Debian installs them, with
// mailboxes for everybody.
func (m *machine) mail() {
	m.t.Helper()
	m.write("/etc/dovecot/local.conf", m.userdb+noDelay, "root:root", "644")
	// Dovecot's submission server is there for other tests, and has nothing to relay to.
	m.run(`rm -f /usr/share/dovecot/protocols.d/submissiond.protocol
		postconf -e inet_protocols=ipv4 maillog_file=/var/log/mail.log
		postfix start >/root/postfix.log 2>&1 || { cat /root/postfix.log; exit 1; }
		dovecot </dev/null >/root/dovecot.log 2>&1 || { cat /root/dovecot.log; exit 1; }`)
}

// indexed: of the indices that were asked for, slapd has those that it had not, and the
// one that Debian's has from the start, once.
func indexed(t *testing.T, m *machine) {
	t.Helper()
	has := m.run("ldapsearch -LLL -Q -Y EXTERNAL -H ldapi:/// -s base -b 'olcDatabase={1}mdb,cn=config' olcDbIndex")
	for _, name := range []string{"objectClass", "entryUUID", "mail", "posternHolderOf"} {
		if strings.Count(has, "olcDbIndex: "+name+" eq\n") != 1 {
			t.Errorf("no index of %s: %s", name, has)
		}
	}
}

// wrongs are spoilt by commands, where no file is to be changed.
var wrongs = []struct{ name, do, undo, id string }{
	{"a key that others read", "chmod 644 /etc/postern/keys/door.key", "chmod 600 /etc/postern/keys/door.key", "key-file"},
	{"a key that others may replace", "chmod 777 /etc/postern/keys", "chmod 700 /etc/postern/keys", "key-directory"},
	{"a password that others read", "chmod 644 /etc/postern/ldap.password", "chmod 640 /etc/postern/ldap.password", "secret-file"},
	{"no ticket.pub", "mv /etc/postern/keys/ticket.pub /root", "mv /root/ticket.pub /etc/postern/keys", "ticket-pub"},
	{"records for everybody", edit("add: olcAccess\nolcAccess: {0}to * by * read"), edit("delete: olcAccess\nolcAccess: {0}"), "acl-anonymous"},
	{"no index", edit("delete: olcDbIndex\nolcDbIndex: entryUUID eq"), edit("add: olcDbIndex\nolcDbIndex: entryUUID eq"), "index"},
	{"switched off", "posternctl off --for 1h --reason test", "posternctl on", "switch"},
}

// edit changes the database in slapd's configuration.
func edit(change string) string {
	return "ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<'EOF'\ndn: olcDatabase={1}mdb,cn=config\nchangetype: modify\n" + change + "\nEOF\n"
}

// spoilAll makes things wrong one by one, looks, and puts them right again.
func spoilAll(t *testing.T, m *machine) {
	t.Helper()
	lines := map[string]string{"2.3": "/etc/postern/setup/dovecot.conf", "2.4": "/etc/dovecot/conf.d/99-postern.conf"}[m.dovecot]
	files := map[string]string{doctortest.Dovecot: "/etc/dovecot/local.conf", doctortest.Door: lines, doctortest.Policy: lines,
		doctortest.Script: "/usr/share/postern/dovecot/postern.lua", doctortest.MainCF: "/etc/postfix/main.cf", doctortest.MasterCF: "/etc/postfix/master.cf"}
	rows := append(doctortest.OfDovecot(m.dovecot), doctortest.OfPostfix()...)
	green := m.findings()
	for _, row := range rows {
		path := filepath.Join(m.dir, files[row.File])
		before, err := os.ReadFile(path) //nolint:gosec // the machine's
		if err != nil {
			t.Fatal(err)
		}
		text := row.In(string(before))
		if text == string(before) {
			t.Fatalf("%s: %s has no %q", row.Name, path, row.Old)
		}
		m.overwrite(path, text)
		named(t, row.Name, green, m.findings(), row.ID)
		m.overwrite(path, string(before))
	}
	for _, w := range wrongs {
		m.run(w.do)
		named(t, w.name, green, m.findings(), w.id)
		m.run(w.undo)
	}
	if after := m.findings(); len(after) != len(green) {
		t.Errorf("not as it was: %v, before: %v", after, green)
	}
}

// overwrite leaves owner and mode as they are.
func (m *machine) overwrite(path, text string) {
	m.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		m.t.Fatal(err)
	}
}

// findings is what the doctor finds wrong, or warns of, without trying the doors.
func (m *machine) findings() map[string]doctor.Finding {
	m.t.Helper()
	var report struct{ Findings []doctor.Finding }
	out := m.run("posternctl doctor --json --no-login --skip replica 2>/dev/null || [ $? = 1 ]")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	found := map[string]doctor.Finding{}
	for _, f := range report.Findings {
		if f.Status == doctor.Wrong || f.Status == doctor.Warning {
			found[f.ID] = f
		}
	}
	return found
}

// named: that was found which was not there before, with a remedy.
func named(t *testing.T, name string, before, now map[string]doctor.Finding, id string) {
	t.Helper()
	if _, ok := before[id]; ok || now[id].Remedy == "" {
		t.Errorf("%s: no %s in %v", name, id, now)
	}
}
