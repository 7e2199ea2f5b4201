package doctor

// Entry is one thing that doctor looks at.
type Entry struct {
	ID     string
	Group  string
	About  string // what is looked at, for the reference
	Remedy string // what to do, unless the finding says more
}

const (
	groupFiles     = "Files of this host"
	groupDirectory = "Directory"
	groupDaemons   = "Daemons"
	groupDovecot   = "Dovecot"
	groupPolicy    = "Dovecot's auth policy"
	groupPostfix   = "Postfix"
	groupDoors     = "The doors, tried"
	groupSite      = "Site"
	groupHosts     = "Other hosts"
)

// Catalogue lists all that can be found, in the order of the report.
func Catalogue() []Entry {
	return []Entry{
		{"config", groupFiles, "`postern.toml` can be read, and every setting is right", "correct the line; every setting: posternctl config reference"},
		{"key-file", groupFiles, "each key file is whole, and nobody but its owner and group reads it", "chmod 0600, or copy the file from another host: posternctl keys new --help"},
		{"key-owner", groupFiles, "the keys belong to root, or to whom their directory belongs", "chown it to the daemons' user"},
		{"key-readers", groupFiles, "no user of this host but root and the daemons' can read a key, by its owner, group and mode, and those of the directories above", "chown postern: it and chmod 0600, or take the user out of the group"},
		{"key-directory", groupFiles, "nobody else reads or writes `keys.directory`", "chmod 0750 it, owned by the daemons' user"},
		{"ticket-pub", groupFiles, "`ticket.pub` is there, is the public half of `ticket.key`, and is this site's", "on the webhook's host: posternctl keys export > ticket.pub; copy it here, restart policyserver"},
		{"secret-file", groupFiles, "each file with a secret that `postern.toml` names is there, and others cannot read it", "chmod 0640, group of the daemons' user"},
		{"secret-readers", groupFiles, "no user of this host but root and the daemons' can read them", "chgrp postern it and chmod 0640, or take the user out of the group"},
		{"directory", groupDirectory, "each server answers; bases, schema and the service account's rights are there", "load contrib/slapd (or contrib/389ds), or correct [directory]"},
		{"key-check", groupDirectory, "the keys are those that the site's records are sealed with", "copy the right key files; a new site: posternctl keys register"},
		{"replica", groupDirectory, "a change on the write server is seen on every read server within 2 s (later: warning; 10 s: wrong)", "look at the replication; name the provider in directory.write_uri"},
		{"clock", groupDirectory, "the clocks of this host, the directory and the daemons go alike", "run NTP (chrony, systemd-timesyncd) on every host"},
		{"clock-kept", groupDirectory, "somebody keeps this host's clock right (the kernel's word, adjtimex)", "run NTP (chrony, systemd-timesyncd); if the hypervisor does it: --skip clock-kept"},
		{"acl-anonymous", groupDirectory, "on each server: who does not log in can neither read, compare, find nor write what Postern keeps", "load contrib/slapd/postern-acl.ldif before your own rules, on every server (389-ds: docs/guides/389-ds.md)"},
		{"acl-owner", groupDirectory, "on each server: who logs in as the canary can neither read, compare, find nor write records, policy and class, its own and another account's", "load contrib/slapd/postern-acl.ldif before your own rules, on every server (389-ds: docs/guides/389-ds.md)"},
		{"index", groupDirectory, "OpenLDAP has an index of what Postern searches by", "run doctor as root on the directory's host, or with --admin-dn of somebody who reads cn=config; the indices: contrib/slapd/postern-index.ldif; if you know better: --skip index"},
		{"daemon", groupDaemons, "policyserver and webhook answer, and are ready", "systemctl status; its log says why"},
		{"verify", groupDaemons, "a question on the verify socket is answered", "policyserver -check"},
		{"core-files", groupDaemons, "the daemons write no core files (LimitCORE=0)", "start them by the units of the package"},
		{"auth-question", groupDaemons, "Dovecot can be asked about main passwords, where `login.main_password` wants that", "include contrib/dovecot/*-main-password.conf"},
		{"dovecot", groupDovecot, "`doveconf -n -P` can be read, and is of a known version", "run doctor as root on the mail host, or give --doveconf"},
		{"dovecot-cleartext", groupDovecot, "passwords need TLS", "2.3: disable_plaintext_auth = yes; 2.4: auth_allow_cleartext = no"},
		{"dovecot-secrets", groupDovecot, "nobody but root and Dovecot reads the files of its configuration that hold the API key, the nonce and doveadm's key", "chmod 0600 the file, owned by root"},
		{"passdb-missing", groupDovecot, "Postern's passdb is there", "include one of contrib/dovecot's doors"},
		{"passdb-result", groupDovecot, "`result_failure`, `result_internalfail` and `result_success` of Postern's passdb make its answer final", "result_failure = return-fail and result_internalfail = return-fail, as in contrib/dovecot"},
		{"passdb-door", groupDovecot, "the door can do what `login.main_password` asks for", "use the Lua door"},
		{"lua-script", groupDovecot, "the Lua script is the one of this version", "copy contrib/dovecot/postern.lua over it; doveadm reload"},
		{"lua-settings", groupDovecot, "nobody but root and Dovecot reads the Lua script's settings (Dovecot 2.3), which hold the API key", "chmod 0640, owned by root, group dovecot"},
		{"vsz-limit", groupDovecot, "checkpassword starts within `vsz_limit` of service auth: it is started ten times", "service auth { vsz_limit = 2G }"},
		{"passdb-twice", groupDovecot, "Postern's passdb is there once", "remove one"},
		{"passdb-other", groupDovecot, "no other passdb lets main passwords in, before, behind or beside Postern's", "remove it (doveconf -n shows it, perhaps from an include such as auth-system.conf.ext); for a passdb of your own see docs/guides/own-passdb.md"},
		{"passdb-fields", groupDovecot, "a passdb that adds fields behind Postern's has a final refusal", "result_failure = return-fail"},
		{"passdb-master", groupDovecot, "there is no master passdb, or `login.master_users` says who may, from where", "remove it, or name its users in login.master_users"},
		{"auth-cache", groupDovecot, "nobody caches answers about passwords", "auth_cache_size = 0, and no cache_key"},
		{"mechanism-weak", groupDovecot, "no SASL mechanism with a password behind it goes past Postern (CRAM-MD5, SCRAM, NTLM, …)", "auth_mechanisms = plain login"},
		{"mechanism-declared", groupDovecot, "strong mechanisms of your own are declared", "posternctl mechanism declare NAME"},
		{"policy", groupPolicy, "policyserver answers Dovecot's questions", "include contrib/dovecot/2.3-policy.conf (2.4-policy.conf) with the two secrets"},
		{"policy-key", groupPolicy, "with the key that Dovecot's configuration has", "auth_policy_server_api_header = X-API-Key: content of policyserver.api_key_file"},
		{"policy-cred-id", groupPolicy, "the second question carries `cred_id`", "take auth_policy_request_attributes from contrib/dovecot"},
		{"policy-attributes", groupPolicy, "the questions carry everything else, too", "take auth_policy_request_attributes from contrib/dovecot"},
		{"policy-hash", groupPolicy, "`auth_policy_hash_mech` and `auth_policy_hash_truncate` are as Postern computes them", "auth_policy_hash_mech = sha256, auth_policy_hash_truncate = 32"},
		{"policy-nonce", groupPolicy, "`auth_policy_hash_nonce` is that of `policyserver.hash_nonce_file` on this host; other hosts: --compare", "paste the content of that file; doveadm reload"},
		{"policy-times", groupPolicy, "Dovecot asks before and after, and a missing answer refuses nobody", "take the settings from contrib/dovecot/2.3-policy.conf (2.4-policy.conf)"},
		{"sasl-client", groupDovecot, "who else logs people in by Dovecot's auth sockets: Exim, XMPP servers", "give that program app passwords for its service, or close the socket"},
		{"auth-socket", groupDovecot, "no protocol (ManageSieve, submission, LMTP) asks an auth server of its own", "remove the setting"},
		{"anvil-penalty", groupDovecot, "Dovecot's own penalty for addresses is off", "service anvil { unix_listener anvil-auth-penalty { mode = 0 } }"},
		{"socket-users", groupDovecot, "`policyserver.socket_users` names whom Dovecot asks as", "add the user to policyserver.socket_users, restart policyserver"},
		{"postfix", groupPostfix, "`postconf -n`, `-M` and `-P` can be read", "run doctor where Postfix is, or give --postconf"},
		{"postfix-sasl", groupPostfix, "each service with logins asks this Dovecot, and no other password check", "smtpd_sasl_type = dovecot, smtpd_sasl_path = private/auth; see contrib/postfix"},
		{"postfix-port25", groupPostfix, "nobody logs in on port 25", "smtpd_sasl_auth_enable = no in main.cf, yes for submission in master.cf"},
		{"postfix-tls", groupPostfix, "passwords need TLS", "smtpd_tls_auth_only = yes"},
		{"sessions", groupSite, "doveadm can be told to end live sessions", "contrib/dovecot/*-doveadm-http.conf, and [sessions]"},
		{"return-url", groupSite, "browsers are sent back by https only", "https:// in webhook.clients.*.return_urls"},
		{"public-url", groupSite, "the pages are where `webhook.public_url` says", "see docs/guides/webmail.md"},
		{"switch", groupSite, "Postern is not switched off (posternctl off)", "posternctl on"},
		{"canary", groupDoors, "there is an account by which the doors can be tried", "name a prepared account by --canary-user and --canary-password-file (or [doctor]); or give --canary-base, and --admin-dn with --admin-password-file or --admin-external"},
		{"canary-left", groupDoors, "the canary is gone afterwards, and killed runs have left none", "delete the account by hand; a prepared one: posternctl user disable, app-password revoke"},
		{"door", groupDoors, "at each door the app password opens, the main password and a wrong one do not", "make the door answer, and run doctor again"},
		{"door-main", groupDoors, "the main password is refused", "the findings about Dovecot and Postfix say who takes it"},
		{"door-wrong", groupDoors, "a wrong password is refused", "the findings about Dovecot and Postfix say who takes it"},
		{"door-app", groupDoors, "the app password is taken", "posternctl user show; the logs of policyserver and Dovecot say why"},
		{"hosts", groupHosts, "with --compare: the other host's report can be read", "on the other host: posternctl doctor --no-login --json > FILE; copy FILE here"},
		{"hosts-versions", groupHosts, "the other host has the same versions of Postern and Dovecot", "upgrade the older one"},
		{"hosts-keys", groupHosts, "keys that both hosts have are the same", "copy the key files of the right host: docs/guides/keys.md"},
		{"hosts-site", groupHosts, "both hosts see the same keys registered in the directory", "let [directory] name servers that replicate each other"},
		{"hosts-secrets", groupHosts, "secrets that hosts have in common are the same: `hash_nonce_file`, doveadm's keys, Redis's password, clients' keys", "copy the file, restart the daemons; for the nonce change Dovecot's auth_policy_hash_nonce, too"},
		{"hosts-settings", groupHosts, "settings that must be the same are: all but addresses, paths and sizes; those of the pages where both have a webhook", "one postern.toml for all hosts"},
		{"hosts-dovecot", groupHosts, "passdbs, mechanisms, Lua script and auth policy of Dovecot are the same", "configure both alike; if you want them to differ: --skip hosts-dovecot"},
	}
}

// byID is the catalogue by id.
func byID() map[string]Entry {
	all := map[string]Entry{}
	for _, e := range Catalogue() {
		all[e.ID] = e
	}
	return all
}

// Groups are the groups of findings, in the order of the report.
func Groups() []string {
	return []string{groupFiles, groupDirectory, groupDaemons, groupDovecot, groupPolicy, groupPostfix, groupSite, groupDoors, groupHosts}
}

// ConfigFinding is a report's one line when the configuration itself is wrong.
func ConfigFinding(text string) Finding {
	e := byID()["config"]
	return Finding{ID: e.ID, Status: Wrong, Group: e.Group, Text: text, Remedy: e.Remedy}
}
