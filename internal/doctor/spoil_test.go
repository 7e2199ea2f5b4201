package doctor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/doctor"
	"postern/internal/mailtest"
)

// spoilt is one thing made wrong: old becomes new in a file; without old, new is added
// at its end.
type spoilt struct {
	name, file, old, new string
	id                   string
	status               doctor.Status
}

var spoilt23 = []spoilt{
	{"a forgotten PAM behind", "dovecot.conf", "", "passdb {\n  driver = pam\n}\n", "passdb-other", doctor.Wrong},
	{"a forgotten PAM before", "dovecot.conf", "!include", "passdb {\n  driver = pam\n}\n!include", "passdb-other", doctor.Wrong},
	{"a passdb of one protocol", "dovecot.conf", "", "protocol imap {\n  passdb {\n    driver = static\n    args = password=x\n  }\n}\n", "passdb-other", doctor.Wrong},
	{"a master passdb", "dovecot.conf", "", "passdb {\n  driver = passwd-file\n  args = /etc/dovecot/master\n  master = yes\n}\n", "passdb-master", doctor.Wrong},
	{"a refusal that is not final", "door.conf", "result_failure = return-fail", "result_failure = continue", "passdb-result", doctor.Wrong},
	{"an outage that is not final", "door.conf", "result_internalfail = return-fail", "result_internalfail = continue", "passdb-result", doctor.Wrong},
	{"no passdb of Postern's", "door.conf", "driver = lua", "driver = pam", "passdb-missing", doctor.Wrong},
	{"CRAM-MD5", "dovecot.conf", "", "auth_mechanisms = plain login cram-md5\n", "mechanism-weak", doctor.Wrong},
	{"SCRAM", "dovecot.conf", "", "auth_mechanisms = plain scram-sha-256\n", "mechanism-weak", doctor.Wrong},
	{"GSSAPI, not declared", "dovecot.conf", "", "auth_mechanisms = plain gssapi\n", "mechanism-declared", doctor.Warning},
	{"a cache", "dovecot.conf", "", "auth_cache_size = 10M\n", "auth-cache", doctor.Wrong},
	{"a cache key", "door.conf", "blocking=yes", "blocking=yes cache_key=%u", "auth-cache", doctor.Wrong},
	{"a script that was changed", "postern.lua", "function script_init", "-- x\nfunction script_init", "lua-script", doctor.Wrong},
	{"a cache key in the script", "postern.lua", "function script_init", "function auth_passdb_get_cache_key() return \"%u\" end\nfunction script_init", "auth-cache", doctor.Wrong},
	{"no cred_id", "policy.conf", "cred_id=%{passdb:cred_id}", "", "policy-cred-id", doctor.Wrong},
	{"another nonce", "policy.conf", "auth_policy_hash_nonce = ", "auth_policy_hash_nonce = x", "policy-nonce", doctor.Wrong},
	{"a short hash", "policy.conf", "auth_policy_hash_truncate = 32", "auth_policy_hash_truncate = 12", "policy-hash", doctor.Wrong},
	{"another API key", "policy.conf", "X-API-Key: ", "X-API-Key: x", "policy-key", doctor.Wrong},
	{"refusal without an answer", "policy.conf", "auth_policy_reject_on_fail = no", "auth_policy_reject_on_fail = yes", "policy-times", doctor.Warning},
	{"no auth policy", "policy.conf", "auth_policy_server_url = ", "#", "policy", doctor.Warning},
	{"Exim on the auth socket", "dovecot.conf", "", "service auth {\n  unix_listener auth-client {\n    mode = 0660\n    user = Debian-exim\n  }\n}\n", "sasl-client", doctor.Warning},
	{"Sieve with an auth socket of its own", "dovecot.conf", "", "service managesieve-login {\n  executable = managesieve-login director\n}\n", "auth-socket", doctor.Warning},
}

var spoilt24 = []spoilt{
	{"a forgotten PAM behind", "dovecot.conf", "", "passdb pam {\n}\n", "passdb-other", doctor.Wrong},
	{"a master passdb", "dovecot.conf", "", "passdb passwd-file {\n  passwd_file_path = /etc/dovecot/master\n  master = yes\n}\n", "passdb-master", doctor.Wrong},
	{"a refusal that is not final", "door.conf", "result_failure = return-fail", "result_failure = continue", "passdb-result", doctor.Wrong},
	{"SCRAM", "dovecot.conf", "", "auth_mechanisms = plain scram-sha-256\n", "mechanism-weak", doctor.Wrong},
	{"no cred_id", "policy.conf", "cred_id = %{passdb:cred_id}", "", "policy-cred-id", doctor.Wrong},
	{"another nonce", "policy.conf", "auth_policy_hash_nonce = ", "auth_policy_hash_nonce = x", "policy-nonce", doctor.Wrong},
}

var spoiltPostfix = []spoilt{
	{"Cyrus SASL", "main.cf", "smtpd_sasl_type = dovecot", "smtpd_sasl_type = cyrus", "postfix-sasl", doctor.Wrong},
	{"another server's socket", "main.cf", "smtpd_sasl_path = private/auth", "smtpd_sasl_path = private/other", "postfix-sasl", doctor.Wrong},
	{"an override in master.cf", "master.cf", "-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=cyrus", "postfix-sasl", doctor.Wrong},
}

// TestA13_SpoiltSite: each thing that is made wrong is named, by real doveconf and
// postconf, on a site of which nothing is said before.
func TestA13_SpoiltSite(t *testing.T) {
	mailtest.Long(t)
	for _, v := range []mailtest.Version{mailtest.V23, mailtest.V24} {
		s := mailtest.Shared(t, "green "+string(v), green(v))
		rows := map[mailtest.Version][]spoilt{mailtest.V23: spoilt23, mailtest.V24: spoilt24}[v]
		for _, row := range rows {
			t.Run(string(v)+" "+row.name, func(t *testing.T) { spoil(t, s, s.Dovecot.Dir, row) })
		}
	}
	s := mailtest.Shared(t, "green 2.3", green(mailtest.V23))
	for _, row := range spoiltPostfix {
		t.Run("Postfix "+row.name, func(t *testing.T) { spoil(t, s, s.Postfix.Dir, row) })
	}
}

// spoil changes a file, looks, and puts it back. Dovecot and Postfix go on as they are.
func spoil(t *testing.T, s *mailtest.Site, dir string, row spoilt) {
	t.Helper()
	path := filepath.Join(dir, row.file)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(path, before, 0o644) })
	text := strings.Replace(string(before), row.old, row.new, 1)
	if row.old == "" {
		text = string(before) + "\n" + row.new
	}
	if text == string(before) {
		t.Fatalf("%s has no %q", row.file, row.old)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	o := options(t, s)
	o.Skip = []string{"replica"}
	r, complaints := examine(t, o)
	if !has(r, row.id, row.status) {
		t.Errorf("no %s %s in:\n%s", row.status, row.id, complaints)
	}
}
