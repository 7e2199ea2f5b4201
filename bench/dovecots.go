package main

import (
	"fmt"
	"os"
	"path/filepath"

	"postern/internal/mailtest"
)

// Contenders by name, as the table shows them.
const (
	ourCheck      = "checkpassword"
	ourLua        = "Lua door"
	ourLuaFew     = "Lua door, 1,000 users"
	ourPolicy     = "Lua door and auth policy"
	ourScript     = "postern.lua, trivial daemon"
	floorC        = "C, glibc static, no question, exec of checkpassword-reply"
	askC          = "C, glibc static, trivial daemon, FD 4"
	floorPy       = "Python script, no question, exec of checkpassword-reply"
	trivialLua    = "Lua, trivial daemon"
	trivialPolicy = "net/http and encoding/json"
	ldapBind      = "Dovecot ldap, bind {SSHA}"
	ldapArgon     = "Dovecot ldap, lookup {ARGON2ID} (OWASP)"
)

// quiet keeps Dovecot from limiting one user's sessions, and from starting two
// processes for each, which would hide what the doors cost (Dovecot's
// "high-performance mode", doc/wiki/LoginProcess).
const quiet = `mail_max_userip_connections = 0
service imap-login {
  service_count = 0
  process_min_avail = 2
}
service imap {
  service_count = 1000
  process_min_avail = 4
}
`

// startDovecots starts one Dovecot 2.3 for each contender.
func (w *world) startDovecots(string) error {
	check := filepath.Join(w.dir, "checkpassword")
	b, err := os.ReadFile("bin/checkpassword")
	if err != nil {
		return err
	}
	if err := os.WriteFile(check, b, 0o755); err != nil { // #nosec G306 -- Dovecot's user runs it
		return err
	}
	if err := w.writeLDAP(); err != nil {
		return err
	}
	program := func(args string) mailtest.DovecotOptions {
		return mailtest.DovecotOptions{Passdb: "passdb {\n driver = checkpassword\n args = " + args + "\n}\n"}
	}
	driver := func(name, args string) mailtest.DovecotOptions {
		return mailtest.DovecotOptions{Passdb: fmt.Sprintf("passdb {\n driver = %s\n args = %s\n}\n", name, args)}
	}
	for name, o := range map[string]mailtest.DovecotOptions{
		ourCheck:   {Door: "2.3-checkpassword.conf", Verify: mailtest.Verify{Socket: w.big.Socket, Checkpassword: check}},
		ourLua:     {Door: "2.3-lua.conf", Verify: mailtest.Verify{URL: w.big.URL(), Key: w.big.Key}},
		ourPolicy:  {Door: "2.3-lua.conf", Policy: true, Verify: mailtest.Verify{URL: w.big.URL(), Key: w.big.Key, Nonce: w.big.Nonce}},
		ourLuaFew:  {Door: "2.3-lua.conf", Verify: mailtest.Verify{URL: w.small.URL(), Key: w.small.Key}},
		ourScript:  {Door: "2.3-lua.conf", Verify: mailtest.Verify{URL: w.trivialURL, Key: "none"}},
		floorC:     program(w.dir + "/floor"),
		askC:       program(w.dir + "/ask " + w.dir + "/trivial.sock"),
		floorPy:    program(w.dir + "/floor.py"),
		trivialLua: driver("lua", "file="+w.dir+"/trivial.lua blocking=yes"),
		ldapBind:   driver("ldap", w.dir+"/bind.conf"),
		ldapArgon:  driver("ldap", w.dir+"/lookup.conf"),
	} {
		o.Extra = quiet
		d, err := mailtest.StartDovecot(w.ctx, o)
		if err != nil { // such as ldap without the package dovecot-ldap
			_, _ = fmt.Fprintf(w.progress, "bench: left out: %s: %v\n", name, err)
			continue
		}
		w.dovecots[name] = d
		w.stops = append(w.stops, d.Stop)
	}
	return nil
}

// writeLDAP writes the settings of Dovecot's own ldap passdb, by bind and by
// lookup.
func (w *world) writeLDAP() error {
	common := fmt.Sprintf("uris = %s\nbase = %s\ndn = %s\ndnpass = %s\npass_filter = (mail=%%u)\n",
		w.big.Slapd.URI(), mailtest.Base, mailtest.RootDN, mailtest.Password)
	for name, text := range map[string]string{
		"bind.conf":   common + "auth_bind = yes\npass_attrs = mail=user\n",
		"lookup.conf": common + "pass_attrs = mail=user, userPassword=password\n",
	} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil { // #nosec G306 -- a test's password
			return err
		}
	}
	return nil
}
