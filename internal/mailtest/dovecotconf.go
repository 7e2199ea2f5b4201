package mailtest

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// config is Dovecot's configuration: the services on our ports, then the door,
// then what the test adds.
func (d *Dovecot) config(o DovecotOptions) string {
	base, userdb := config23, userdb23
	if d.Root != "" {
		base, userdb = config24, userdb24
	}
	if o.Userdb != "" {
		userdb = o.Userdb
	}
	parts := []string{base, services, "!include @DIR@/doveadm.conf\n"}
	if !o.ShippedDelays {
		parts = append(parts, noDelays)
		if d.Root != "" {
			parts = append(parts, "auth_internal_failure_delay = 0\n") // since 2.4
		}
	}
	if o.Debug {
		parts = append(parts, "auth_debug = yes\nauth_verbose = yes\n")
	}
	if o.SASLSocket != "" {
		parts = append(parts, d.saslSocket(o.SASLSocket))
	}
	parts = append(parts, o.Before)
	if o.Door != "" {
		parts = append(parts, "!include @DIR@/door.conf\n")
	}
	if o.Policy {
		parts = append(parts, "!include @DIR@/policy.conf\n")
	}
	if o.MainPassword {
		parts = append(parts, "!include @DIR@/main-password.conf\n")
	}
	parts = append(parts, o.Passdb, userdb, o.Extra)
	return d.fill(strings.Join(parts, "\n"))
}

// fill replaces the names in the texts below. A test's own texts may use them.
func (d *Dovecot) fill(text string) string {
	relay := d.options.Relay
	if relay == 0 {
		relay = 9 // nobody listens
	}
	pairs := []string{"@DIR@", d.Inside(""), "@UID@", strconv.Itoa(mailUID), "@SECRET@", DoveadmPassword, "@RELAY@", strconv.Itoa(relay)}
	for name, port := range map[string]int{
		"@IMAP@": d.IMAP, "@IMAPS@": d.IMAPS, "@POP3@": d.POP3, "@SIEVE@": d.Sieve, "@SUBMISSION@": d.Submission,
		"@LMTP@": d.LMTP, "@SASL@": d.SASL, "@DOVEADM@": d.DoveadmHTTP,
	} {
		pairs = append(pairs, name, strconv.Itoa(port))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// saslSocket is the listener in Postfix's directory, as contrib/postfix shows it.
func (d *Dovecot) saslSocket(path string) string {
	return fmt.Sprintf("service auth {\n  unix_listener %s {\n    mode = 0660\n    user = postfix\n    group = postfix\n  }\n}\n", path)
}

// doorFiles are the door's configuration and script, from contrib/dovecot with
// the paths that an administrator would have replaced by ours.
func (d *Dovecot) doorFiles(o DovecotOptions) (map[string]string, error) {
	files := map[string]string{}
	var err error
	if files["doveadm.conf"], err = d.doveadmConf(); err != nil {
		return nil, err
	}
	if o.Policy {
		if files["policy.conf"], err = d.policy(o.Verify); err != nil {
			return nil, err
		}
	}
	if o.MainPassword {
		if files["main-password.conf"], err = contrib("dovecot/"+d.version()+"-main-password.conf", "user = postern", "user = root"); err != nil {
			return nil, err
		}
	}
	if o.Door == "" {
		return files, nil
	}
	pairs := []string{}
	for _, p := range [][2]string{
		{"/usr/lib/postern/checkpassword", o.Verify.Checkpassword},
		{"/run/postern/verify.sock", o.Verify.Socket},
		{"/etc/dovecot/postern.lua", d.Inside("postern.lua")},
	} {
		pairs = append(pairs, p[0], p[1])
	}
	conf, err := contribWhere("dovecot/"+o.Door, pairs)
	if err != nil {
		return nil, err
	}
	files["door.conf"] = conf
	if !strings.Contains(conf, "postern.lua") {
		return files, nil
	}
	if files["postern.lua"] = o.Script; o.Script == "" {
		files["postern.lua"], err = contribWhere("dovecot/postern.lua", []string{"/etc/postern/lua.conf", d.Inside("lua.conf")})
	}
	if err != nil {
		return nil, err
	}
	return files, d.writeLuaSettings(o.Verify)
}

// policy is contrib's auth-policy snippet with our address and secrets.
func (d *Dovecot) policy(v Verify) (string, error) {
	return contrib("dovecot/"+d.version()+"-policy.conf",
		"http://127.0.0.1:9786/", strings.TrimSuffix(v.URL, "verify"),
		"PASTE-POLICYSERVER-KEY", v.Key, "PASTE-HASH-NONCE", v.Nonce)
}

// version begins the names of contrib's files.
func (d *Dovecot) version() string {
	if d.Root != "" {
		return string(V24)
	}
	return string(V23)
}

// AuthSocket is the socket of DovecotOptions.MainPassword, as we see it.
func (d *Dovecot) AuthSocket() string { return filepath.Join(d.Dir, "run", "postern-auth") }

// doveadmConf is contrib's listener for doveadm's HTTP API, on our port.
func (d *Dovecot) doveadmConf() (string, error) {
	return contrib("dovecot/"+d.version()+"-doveadm-http.conf", "port = 8080", "port = "+strconv.Itoa(d.DoveadmHTTP),
		"replace-this-by-the-output-of-openssl-rand-hex-24", DoveadmPassword)
}

// contribWhere is contrib with only those of the pairs whose old text occurs.
func contribWhere(name string, pairs []string) (string, error) {
	text, err := contrib(name)
	return strings.NewReplacer(pairs...).Replace(text), err
}

// writeLuaSettings writes the file from which the Lua door takes its settings on
// Dovecot 2.3. It holds the API key: only Dovecot's group may read it.
func (d *Dovecot) writeLuaSettings(v Verify) error {
	path := filepath.Join(d.Dir, "lua.conf")
	text := fmt.Sprintf("url = %s\nkey = %s\n", v.URL, v.Key)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if d.Root != "" {
		return nil // 2.4 reads it as root, if at all
	}
	g, err := user.LookupGroup("dovecot")
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return err
	}
	if err := os.Chown(path, 0, gid); err != nil {
		return err
	}
	return os.Chmod(path, 0o640)
}

const config23 = `protocols = imap pop3 sieve submission lmtp
base_dir = @DIR@/run
state_dir = @DIR@/run
log_path = @DIR@/dovecot.log
ssl = yes
ssl_cert = <@DIR@/cert.pem
ssl_key = <@DIR@/key.pem
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:~/Maildir
hostname = mail.example.test
postmaster_address = postmaster@example.test
submission_relay_host = 127.0.0.1
submission_relay_port = @RELAY@
doveadm_password = @SECRET@
plugin {
  sieve = file:~/sieve;active=~/.dovecot.sieve
}
`

const userdb23 = `userdb {
  driver = static
  args = uid=@UID@ gid=@UID@ home=@DIR@/mail/%u
}
`

const config24 = `dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
protocols = imap pop3 sieve submission lmtp
base_dir = @DIR@/run
state_dir = @DIR@/run
log_path = @DIR@/dovecot.log
ssl = yes
ssl_server_cert_file = @DIR@/cert.pem
ssl_server_key_file = @DIR@/key.pem
auth_allow_cleartext = yes
auth_mechanisms = plain login
mail_driver = maildir
mail_path = ~/Maildir
hostname = mail.example.test
postmaster_address = postmaster@example.test
submission_relay_host = 127.0.0.1
submission_relay_port = @RELAY@
doveadm_password = @SECRET@
sieve_script personal {
  driver = file
  path = ~/sieve
  active_path = ~/.dovecot.sieve
}
`

const userdb24 = `userdb static {
  fields {
    uid = @UID@
    gid = @UID@
    home = @DIR@/mail/%{user}
  }
}
`

// services puts every listener on a loopback port of ours.
const services = `listen = 127.0.0.1
service imap-login {
  inet_listener imap {
    port = @IMAP@
  }
  inet_listener imaps {
    port = @IMAPS@
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = @POP3@
  }
  inet_listener pop3s {
    port = 0
  }
}
service managesieve-login {
  inet_listener sieve {
    port = @SIEVE@
  }
}
service submission-login {
  inet_listener submission {
    port = @SUBMISSION@
  }
  inet_listener submissions {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    port = @LMTP@
  }
}
service auth {
  inet_listener sasl {
    port = @SASL@
  }
}
`

// noDelays switches off what makes wrong passwords slow.
const noDelays = `auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`
