package doctor

import (
	"context"
	"slices"
	"strings"
)

// knownListeners of service auth are Dovecot's own, and Postern's.
var knownListeners = []string{"auth-login", "auth-master", "auth-userdb", "login/login", "token-login/tokenlogin",
	"login/director", "postern-auth", "auth-token", "auth-worker"}

// authServices looks at who asks Dovecot's authentication, and how.
func (e *examination) authServices(context.Context) {
	if e.dovecot == nil {
		return
	}
	e.authClients()
	e.ownSockets()
	e.penalty()
	e.socketUsers()
}

// authClients lists the sockets by which other programs log people in.
func (e *examination) authClients() {
	auth := e.dovecot.one("service", "auth")
	fine := true
	for _, l := range auth.blocks {
		if l.kind != "unix_listener" || slices.Contains(knownListeners, l.name) || strings.HasSuffix(l.name, "/postern-auth") ||
			l.get("mode", "0600") == "0" || e.isPostfixSocket(l) {
			continue
		}
		if l.name == "auth-client" && !open(l) {
			continue
		}
		fine = false
		who := valueOr(l.get("user", ""), l.get("group", "root"))
		e.warn("sasl-client", l.name, "a program of user "+who+" logs people in by this socket (Exim, an XMPP server): Postern judges its logins, too, by the service that it names, and app passwords must allow that one")
	}
	for _, l := range auth.all("inet_listener") {
		if port := l.get("port", "0"); port != "0" {
			fine = false
			who := "whoever reaches port " + port
			if !slices.ContainsFunc(e.dovecot.listenerAddresses(auth, l), func(a string) bool { return !isLoopback(a) }) {
				who = "every program on this host, by port " + port + ","
			}
			e.warn("sasl-client", "inet_listener "+l.name, who+" can ask Dovecot about passwords, and say that the question comes from any address")
		}
	}
	if fine {
		e.ok("sasl-client", "service auth", "only Dovecot, Postfix and Postern ask")
	}
}

// open reports whether anybody but Dovecot's own user may connect.
func open(l *block) bool {
	u := l.get("user", "$default_internal_user")
	mode := strings.TrimLeft(l.get("mode", "0600"), "0")
	return u != "$default_internal_user" && u != "dovecot" && u != "root" && u != "" || len(mode) == 3 && mode[1:] != "00"
}

// isPostfixSocket knows the sockets in Postfix's queue directory.
func (e *examination) isPostfixSocket(l *block) bool {
	return l.get("user", "") == "postfix" || strings.HasSuffix(l.name, "/private/auth")
}

// ownSockets: protocols whose logins go to another auth server than the one that was
// just looked at.
func (e *examination) ownSockets() {
	fine := true
	scopes := append([]*block{e.dovecot.block}, append(e.dovecot.all("protocol"), e.dovecot.all("service")...)...)
	for _, b := range scopes {
		for _, name := range []string{"auth_socket_path", "login_auth_socket_path"} {
			v := b.get(name, "auth-userdb")
			if v == "auth-userdb" || strings.HasSuffix(v, "/auth-userdb") {
				continue
			}
			fine = false
			e.warn("auth-socket", strings.TrimSpace(b.kind+" "+b.name), name+" = "+v+": it asks an auth server of its own, which doctor cannot see")
		}
		if b.kind == "service" && strings.HasSuffix(b.name, "-login") && len(strings.Fields(b.get("executable", ""))) > 1 {
			fine = false
			e.warn("auth-socket", "service "+b.name, "executable = "+b.get("executable", "")+": its logins go elsewhere, which doctor cannot see")
		}
	}
	if fine {
		e.ok("auth-socket", "", "all protocols ask the same auth server")
	}
}

// penalty: anvil's makes neighbours wait for each other.
func (e *examination) penalty() {
	mode := e.dovecot.one("service", "anvil").one("unix_listener", "anvil-auth-penalty").get("mode", "0600")
	if strings.Trim(mode, "0") == "" {
		e.ok("anvil-penalty", "", "Postern alone slows down guessing")
		return
	}
	e.warn("anvil-penalty", "service anvil", "Dovecot's own penalty makes everybody behind an address wait up to 15 s for one neighbour's mistakes, webmail's users among them")
}

// asks are the users as whom Dovecot asks a passdb.
func (e *examination) asks(p *passdb) []string {
	internal := e.dovecot.get("default_internal_user", "dovecot")
	service, def := "auth", internal
	if p.driver == "lua" {
		service, def = "auth-worker", "root"
	}
	user := strings.ReplaceAll(e.dovecot.one("service", service).get("user", def), "$default_internal_user", internal)
	return []string{valueOr(user, "root"), internal}
}

// socketUsers: the users whose processes ask on policyserver's unix socket.
func (e *examination) socketUsers() {
	for _, p := range e.dovecot.passdbs() {
		if !p.ours || p.driver == "lua" && p.one("lua_settings", "").get("socket", "") == "" {
			continue
		}
		user := e.asks(&p)[0]
		if slices.Contains(e.Config.Policyserver.SocketUsers, user) || e.Root != "" {
			e.ok("socket-users", "policyserver.socket_users", "names "+user)
			continue
		}
		e.wrong("socket-users", "policyserver.socket_users", "lacks "+user+", as which Dovecot asks: every login fails temporarily")
	}
}
