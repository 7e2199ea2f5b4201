// Package doctortest lists what administrators get wrong, with what doctor must say to
// it: for the tests of doctor itself, and for those of an installed package.
package doctortest

import (
	"strings"

	"postern/internal/doctor"
)

// Files that rows change, by what is in them: a site says where it has them.
const (
	Dovecot  = "dovecot.conf" // what the site has of its own, and the !include of the door
	Door     = "door.conf"    // of contrib/dovecot: 2.3-lua.conf, 2.4-lua.conf
	Policy   = "policy.conf"  // of contrib/dovecot: 2.3-policy.conf, 2.4-policy.conf
	Script   = "postern.lua"
	MainCF   = "main.cf"
	MasterCF = "master.cf"
)

// Spoilt is one thing made wrong: Old becomes New in a file; without Old, New is added
// at its end. Doctor then has a finding of that ID and Status.
type Spoilt struct {
	Name, File, Old, New string
	ID                   string
	Status               doctor.Status
}

// In is the file's text with the thing made wrong, in its first line with Old that is no
// comment. It is the same text if the file has no such line.
func (s *Spoilt) In(text string) string {
	if s.Old == "" {
		return text + "\n" + s.New
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if strings.Contains(line, s.Old) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines[i] = strings.Replace(line, s.Old, s.New, 1)
			break
		}
	}
	return strings.Join(lines, "")
}

// OfDovecot are the things to get wrong in Dovecot "2.3" or "2.4", with its Lua door.
func OfDovecot(version string) []Spoilt {
	if version == "2.3" {
		return dovecot23()
	}
	return dovecot24()
}

func dovecot23() []Spoilt {
	return []Spoilt{
		{"a forgotten PAM behind", Dovecot, "", "passdb {\n  driver = pam\n}\n", "passdb-other", doctor.Wrong},
		{"a forgotten PAM before", Dovecot, "!include", "passdb {\n  driver = pam\n}\n!include", "passdb-other", doctor.Wrong},
		{"a passdb of one protocol", Dovecot, "", "protocol imap {\n  passdb {\n    driver = static\n    args = password=x\n  }\n}\n", "passdb-other", doctor.Wrong},
		{"a master passdb", Dovecot, "", "passdb {\n  driver = passwd-file\n  args = /etc/dovecot/master\n  master = yes\n}\n", "passdb-master", doctor.Wrong},
		{"a refusal that is not final", Door, "result_failure = return-fail", "result_failure = continue", "passdb-result", doctor.Wrong},
		{"an outage that is not final", Door, "result_internalfail = return-fail", "result_internalfail = continue", "passdb-result", doctor.Wrong},
		{"no passdb of Postern's", Door, "driver = lua", "driver = pam", "passdb-missing", doctor.Wrong},
		{"CRAM-MD5", Dovecot, "", "auth_mechanisms = plain login cram-md5\n", "mechanism-weak", doctor.Wrong},
		{"SCRAM", Dovecot, "", "auth_mechanisms = plain scram-sha-256\n", "mechanism-weak", doctor.Wrong},
		{"GSSAPI, not declared", Dovecot, "", "auth_mechanisms = plain gssapi\n", "mechanism-declared", doctor.Warning},
		{"a cache", Dovecot, "", "auth_cache_size = 10M\n", "auth-cache", doctor.Wrong},
		{"a cache key", Door, "blocking=yes", "blocking=yes cache_key=%u", "auth-cache", doctor.Wrong},
		{"a script that was changed", Script, "function script_init", "-- x\nfunction script_init", "lua-script", doctor.Wrong},
		{"a cache key in the script", Script, "function script_init", "function auth_passdb_get_cache_key() return \"%u\" end\nfunction script_init", "auth-cache", doctor.Wrong},
		{"no cred_id", Policy, "cred_id=%{passdb:cred_id}", "", "policy-cred-id", doctor.Wrong},
		{"another nonce", Policy, "auth_policy_hash_nonce = ", "auth_policy_hash_nonce = x", "policy-nonce", doctor.Wrong},
		{"a short hash", Policy, "auth_policy_hash_truncate = 32", "auth_policy_hash_truncate = 12", "policy-hash", doctor.Wrong},
		{"another API key", Policy, "X-API-Key: ", "X-API-Key: x", "policy-key", doctor.Wrong},
		{"refusal without an answer", Policy, "auth_policy_reject_on_fail = no", "auth_policy_reject_on_fail = yes", "policy-times", doctor.Warning},
		{"no auth policy", Policy, "auth_policy_server_url = ", "#", "policy", doctor.Warning},
		{"Exim on the auth socket", Dovecot, "", "service auth {\n  unix_listener auth-client {\n    mode = 0660\n    user = Debian-exim\n  }\n}\n", "sasl-client", doctor.Warning},
		{"Sieve with an auth socket of its own", Dovecot, "", "service managesieve-login {\n  executable = managesieve-login director\n}\n", "auth-socket", doctor.Warning},
	}
}

func dovecot24() []Spoilt {
	return []Spoilt{
		{"a forgotten PAM behind", Dovecot, "", "passdb pam {\n}\n", "passdb-other", doctor.Wrong},
		{"a master passdb", Dovecot, "", "passdb passwd-file {\n  passwd_file_path = /etc/dovecot/master\n  master = yes\n}\n", "passdb-master", doctor.Wrong},
		{"a refusal that is not final", Door, "result_failure = return-fail", "result_failure = continue", "passdb-result", doctor.Wrong},
		{"an outage that is not final", Door, "result_internalfail = return-fail", "result_internalfail = continue", "passdb-result", doctor.Wrong},
		{"CRAM-MD5", Dovecot, "", "auth_mechanisms = plain login cram-md5\n", "mechanism-weak", doctor.Wrong},
		{"SCRAM", Dovecot, "", "auth_mechanisms = plain scram-sha-256\n", "mechanism-weak", doctor.Wrong},
		{"a script that was changed", Script, "function script_init", "-- x\nfunction script_init", "lua-script", doctor.Wrong},
		{"a cache key in the script", Script, "function script_init", "function auth_passdb_get_cache_key() return \"%u\" end\nfunction script_init", "auth-cache", doctor.Wrong},
		{"no cred_id", Policy, "cred_id = %{passdb:cred_id}", "", "policy-cred-id", doctor.Wrong},
		{"another nonce", Policy, "auth_policy_hash_nonce = ", "auth_policy_hash_nonce = x", "policy-nonce", doctor.Wrong},
		{"a short hash", Policy, "auth_policy_hash_truncate = 32", "auth_policy_hash_truncate = 12", "policy-hash", doctor.Wrong},
		{"another API key", Policy, "X-API-Key: ", "X-API-Key: x", "policy-key", doctor.Wrong},
	}
}

// OfPostfix are those in a Postfix with contrib/postfix.
func OfPostfix() []Spoilt {
	return []Spoilt{
		{"Cyrus SASL", MainCF, "smtpd_sasl_type = dovecot", "smtpd_sasl_type = cyrus", "postfix-sasl", doctor.Wrong},
		{"another server's socket", MainCF, "smtpd_sasl_path = private/auth", "smtpd_sasl_path = private/other", "postfix-sasl", doctor.Wrong},
		{"an override in master.cf", MasterCF, "-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=cyrus", "postfix-sasl", doctor.Wrong},
	}
}
