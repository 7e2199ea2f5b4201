package doctor

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// dovecot is what doveconf says.
type dovecot struct {
	*block
	version string // "2.3" or "2.4"
	full    string // "2.3.19.1 (9b53102964)"
	file    string // "/etc/dovecot/dovecot.conf"; empty if doveconf does not say
}

var versionLine = regexp.MustCompile(`^# ((2\.[0-9]+)\.[^:\n]*)(?:: (/[^\n]+))?`)

// readDovecot asks doveconf. -P shows the secrets, of which two are compared with
// Postern's own; nothing of it is ever printed.
func (e *examination) readDovecot(ctx context.Context) {
	if e.Doveconf == "" {
		e.unchecked("dovecot", "", "there is no doveconf on this host")
		return
	}
	text, err := output(ctx, e.Doveconf, "-n", "-P")
	if err != nil {
		e.unchecked("dovecot", e.Doveconf, err.Error())
		return
	}
	m := versionLine.FindStringSubmatch(text)
	if m == nil {
		e.unchecked("dovecot", e.Doveconf, "this is not what doveconf -n prints: no line names the version")
		return
	}
	if m[2] != "2.3" && m[2] != "2.4" {
		e.unchecked("dovecot", e.Doveconf, "Dovecot "+m[1]+" is none that doctor knows (2.3, 2.4)")
		return
	}
	e.dovecot = &dovecot{parseDoveconf(text), m[2], strings.TrimSpace(m[1]), strings.TrimSpace(m[3])}
	e.ok("dovecot", e.Doveconf, "Dovecot "+m[2]+"; its configuration was read")
	e.cleartext()
	e.pastedSecrets()
}

// cleartext: passwords over connections without TLS.
func (e *examination) cleartext() {
	d := e.dovecot
	open := d.version == "2.3" && strings.EqualFold(d.get("disable_plaintext_auth", "yes"), "no") || d.yes("auth_allow_cleartext")
	if open && e.onlyHere() {
		e.ok("dovecot-cleartext", "", "passwords are taken without TLS, and all doors are on loopback addresses of this host")
		return
	}
	if open {
		e.warn("dovecot-cleartext", "", "Dovecot takes passwords over connections without TLS from everywhere")
		return
	}
	e.ok("dovecot-cleartext", "", "passwords need TLS, but on this host")
}

// onlyHere reports whether every login service listens on loopback addresses alone.
func (e *examination) onlyHere() bool {
	for _, d := range dovecotDoors {
		if !e.speaks(d.protocol) {
			continue
		}
		for _, door := range e.dovecotListeners(d.service, d.client, d.listeners) {
			if door.anywhere {
				return false
			}
		}
	}
	return true
}

// passdb is one passdb of the chain.
type passdb struct {
	*block
	driver string
	scope  string // "" for the global ones, else "protocol imap"
	ours   bool
}

// passdbs lists the chain: the global ones in order, then those of protocols.
func (d *dovecot) passdbs() []passdb {
	var list []passdb
	add := func(b *block, scope string) {
		for _, p := range b.all("passdb") {
			driver := p.get("driver", p.name)
			list = append(list, passdb{p, driver, scope, isOurs(p, driver)})
		}
	}
	add(d.block, "")
	for _, kind := range []string{"protocol", "local", "remote", "local_name"} {
		for _, b := range d.all(kind) {
			add(b, kind+" "+b.name)
		}
	}
	return list
}

// isOurs knows Postern's doors by their programs' names.
func isOurs(b *block, driver string) bool {
	args := strings.Fields(b.settings["args"])
	switch driver {
	case "checkpassword":
		return len(args) > 0 && strings.HasSuffix(args[0], "/checkpassword") && slices.ContainsFunc(args, func(a string) bool {
			return a == "-socket" || strings.HasPrefix(a, "-socket=") || strings.HasPrefix(a, "-config")
		}) || len(args) > 0 && strings.Contains(args[0], "/postern/")
	case "lua":
		return strings.HasSuffix(luaFile(b), "/postern.lua")
	}
	return false
}

// luaFile is the script of a Lua passdb.
func luaFile(b *block) string {
	if f := b.settings["lua_file"]; f != "" {
		return f
	}
	for _, a := range strings.Fields(b.settings["args"]) {
		if f, ok := strings.CutPrefix(a, "file="); ok {
			return f
		}
	}
	return ""
}

// named says which passdb a finding is about.
func (p *passdb) named() string {
	text := "passdb " + p.driver
	if a := p.get("args", p.get("passwd_file_path", p.get("lua_file", ""))); a != "" && p.driver != "static" {
		text += " (" + a + ")"
	}
	if p.scope != "" {
		text += " in " + p.scope
	}
	return text
}

// mechs are the mechanisms that the passdb is kept to; empty: all.
func (p *passdb) mechs() []string {
	return strings.Fields(strings.ToUpper(p.get("mechanisms", p.get("mechanisms_filter", ""))))
}

// takesPasswords reports whether PLAIN and LOGIN reach the passdb.
func (p *passdb) takesPasswords() bool {
	m := p.mechs()
	if p.driver == "oauth2" && len(m) == 0 {
		return true // 2.3: a password would be taken for a token, and a token for a password
	}
	return len(m) == 0 || slices.Contains(m, "PLAIN") || slices.Contains(m, "LOGIN")
}

// declared reports whether the passdb has a token of `posternctl mechanism declare`.
func (p *passdb) declared() bool {
	return strings.Contains(p.get("override_fields", p.get("default_fields", "")), "cred_id=declared.") ||
		strings.HasPrefix(p.one("fields", "").get("cred_id", ""), "declared.") ||
		strings.HasPrefix(p.one("override_fields", "").get("cred_id", ""), "declared.")
}

// size reads Dovecot's sizes, as in "256M", "2 G", "0", in bytes; ok is false for what
// is none. "unlimited" and the largest number are 0.
func size(text string) (n uint64, ok bool) {
	text = strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(text), " ", ""))
	if text == "UNLIMITED" {
		return 0, true
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "B"), "I")
	shift := 0
	for i, unit := range "KMGT" {
		if strings.HasSuffix(text, string(unit)) {
			text, shift = text[:len(text)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 1<<64-1 {
		return 0, err == nil
	}
	return n << shift, true
}

// listenerAddresses are those of a service's listener.
func (d *dovecot) listenerAddresses(service, listener *block) []string {
	text := listener.get("address", listener.get("listen", service.get("listen", d.get("listen", "*"))))
	return strings.Fields(strings.ReplaceAll(text, ",", " "))
}

// isLoopback reports whether only this host reaches an address.
func isLoopback(address string) bool {
	ip := net.ParseIP(strings.Trim(address, "[]"))
	return address == "localhost" || ip != nil && ip.IsLoopback()
}

// listenerAddress is where a client on this host finds a service's listener.
func (d *dovecot) listenerAddress(service, listener *block, port string) string {
	for _, a := range d.listenerAddresses(service, listener) {
		switch a {
		case "*":
			return "127.0.0.1:" + port
		case "::", "[::]":
			return "[::1]:" + port
		default:
			return joinPort(strings.Trim(a, "[]"), port)
		}
	}
	return "127.0.0.1:" + port
}

func joinPort(host, port string) string {
	if strings.Contains(host, ":") {
		return fmt.Sprintf("[%s]:%s", host, port)
	}
	return host + ":" + port
}
