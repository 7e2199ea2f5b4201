package doctor

import (
	"context"
	"slices"
	"strings"
)

// postfix is what postconf says.
type postfix struct {
	main     map[string]string
	services []smtpd
}

// smtpd is one service of master.cf that speaks SMTP to clients.
type smtpd struct {
	name string            // "submission", "25", "127.0.0.1:587"
	own  map[string]string // -o settings
	main map[string]string
}

// get is a parameter as this service has it.
func (s *smtpd) get(name, def string) string {
	if v, ok := s.own[name]; ok {
		return v
	}
	if v, ok := s.main[name]; ok {
		return v
	}
	return def
}

func (s *smtpd) yes(name string) bool { return strings.EqualFold(s.get(name, "no"), "yes") }

// readPostfix asks postconf, whose -M shows master.cf and -P the settings of each
// service.
func (e *examination) readPostfix(ctx context.Context) {
	if e.Postconf == "" {
		e.ok("postfix", "", "there is no Postfix on this host")
		return
	}
	var texts [3]string
	for i, flag := range []string{"-n", "-M", "-P"} {
		var err error
		if texts[i], err = output(ctx, e.Postconf, flag); err != nil {
			e.unchecked("postfix", e.Postconf, err.Error())
			return
		}
	}
	e.postfix = parsePostfix(texts[0], texts[1], texts[2])
	e.ok("postfix", e.Postconf, "Postfix; its configuration was read")
}

// parsePostfix reads the outputs of postconf -n, -M and -P.
func parsePostfix(main, master, own string) *postfix {
	p := &postfix{main: settings(main)}
	per := map[string]map[string]string{}
	for line := range strings.Lines(own) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		part := strings.Split(strings.TrimSpace(key), "/")
		if !ok || len(part) < 3 {
			continue
		}
		// A service's name may hold slashes: type and parameter are the last two.
		name := strings.Join(part[:len(part)-1], "/")
		if per[name] == nil {
			per[name] = map[string]string{}
		}
		per[name][part[len(part)-1]] = strings.TrimSpace(value)
	}
	for line := range strings.Lines(master) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "inet" && f[1] != "pass" || f[7] != "smtpd" {
			continue
		}
		p.services = append(p.services, smtpd{name: f[0], own: per[f[0]+"/"+f[1]], main: p.main})
	}
	return p
}

func settings(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, "="); ok {
			all[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return all
}

// smtpAuth looks at every service that lets people log in.
func (e *examination) smtpAuth(context.Context) {
	if e.postfix == nil {
		return
	}
	with := 0
	for i := range e.postfix.services {
		s := &e.postfix.services[i]
		if !s.yes("smtpd_sasl_auth_enable") {
			continue
		}
		with++
		e.saslOf(s)
		if port25(s.name) {
			e.warn("postfix-port25", s.name, "logins are offered on port 25, where other mail servers deliver: guessing there looks like mail")
		}
		onlyHere := s.get("inet_interfaces", "all") == "loopback-only" || strings.Contains(s.name, ":") && isLoopback(s.name[:strings.LastIndex(s.name, ":")])
		if !onlyHere && !s.yes("smtpd_tls_auth_only") && !s.yes("smtpd_tls_wrappermode") && s.get("smtpd_tls_security_level", "") != "encrypt" {
			e.warn("postfix-tls", s.name, "passwords are taken over connections without TLS")
		}
	}
	if with == 0 {
		e.ok("postfix-sasl", "", "Postfix lets nobody log in")
	}
}

func port25(name string) bool {
	return name == "smtp" || name == "25" || strings.HasSuffix(name, ":25") || strings.HasSuffix(name, ":smtp")
}

// saslOf: whom the service asks about passwords.
func (e *examination) saslOf(s *smtpd) {
	kind, path := s.get("smtpd_sasl_type", "cyrus"), s.get("smtpd_sasl_path", "smtpd")
	switch {
	case kind != "dovecot":
		e.wrong("postfix-sasl", s.name, "smtpd_sasl_type is "+kind+": Postfix checks passwords without Dovecot, and so without Postern")
	case e.dovecot == nil:
		e.unchecked("postfix-sasl", s.name, "asks Dovecot by "+path+"; whose that is cannot be told without Dovecot's configuration")
	case e.dovecotListens(path):
		e.ok("postfix-sasl", s.name, "asks this Dovecot")
	default:
		e.wrong("postfix-sasl", s.name, "smtpd_sasl_path is "+path+", where this Dovecot does not listen: another server answers there, or nobody")
	}
}

// dovecotListens reports whether service auth has that listener: a path below the
// queue directory, or inet:host:port.
func (e *examination) dovecotListens(path string) bool {
	auth := e.dovecot.one("service", "auth")
	if host, ok := strings.CutPrefix(path, "inet:"); ok {
		port := host[strings.LastIndex(host, ":")+1:]
		return slices.ContainsFunc(auth.all("inet_listener"), func(l *block) bool { return l.get("port", "") == port })
	}
	path = strings.TrimPrefix(path, "unix:")
	if !strings.HasPrefix(path, "/") {
		queue := e.postfix.main["queue_directory"]
		path = strings.TrimSuffix(valueOr(queue, "/var/spool/postfix"), "/") + "/" + path
	}
	base := strings.TrimSuffix(e.dovecot.get("base_dir", "/run/dovecot"), "/")
	return slices.ContainsFunc(auth.all("unix_listener"), func(l *block) bool {
		return l.name == path || base+"/"+l.name == path || strings.TrimPrefix(base, "/var")+"/"+l.name == strings.TrimPrefix(path, "/var")
	})
}
