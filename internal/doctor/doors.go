package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/mailclient"
)

// door is one place where people log in.
type door struct {
	service mailclient.Service
	name    string // "imap at 127.0.0.1:143"
	addr    string
	tls     bool
	byRule  bool // by Dovecot's default: it need not be there

	anywhere bool // other hosts can reach it
}

// dovecotDoors are the login services and their listeners, with Dovecot's defaults.
var dovecotDoors = []struct {
	protocol, service string
	client            mailclient.Service
	listeners         []listener
}{
	{"imap", "imap-login", mailclient.IMAP, []listener{{"imap", "143", false}, {"imaps", "993", true}}},
	{"pop3", "pop3-login", mailclient.POP3, []listener{{"pop3", "110", false}, {"pop3s", "995", true}}},
	{"sieve", "managesieve-login", mailclient.Sieve, []listener{{"sieve", "4190", false}}},
	{"submission", "submission-login", mailclient.Submission, []listener{{"submission", "587", false}, {"submissions", "465", true}}},
}

type listener struct {
	name, port string
	tls        bool
}

// loginDoors lists what Dovecot and Postfix offer.
func (e *examination) loginDoors() []door {
	var list []door
	if e.dovecot != nil {
		for _, d := range dovecotDoors {
			if e.speaks(d.protocol) {
				list = append(list, e.dovecotListeners(d.service, d.client, d.listeners)...)
			}
		}
	}
	if e.postfix != nil {
		for i := range e.postfix.services {
			if s := &e.postfix.services[i]; s.yes("smtpd_sasl_auth_enable") {
				list = append(list, postfixDoor(s))
			}
		}
	}
	return list
}

// speaks reports whether Dovecot serves a protocol. 2.3 lists them; so may 2.4, but prints
// a block of switches where packages have added theirs one by one.
func (e *examination) speaks(protocol string) bool {
	return slices.Contains(strings.Fields(e.dovecot.get("protocols", "")), protocol) || e.dovecot.one("protocols", "").yes(protocol)
}

func (e *examination) dovecotListeners(service string, client mailclient.Service, defaults []listener) []door {
	var list []door
	s := e.dovecot.one("service", service)
	seen := map[string]bool{}
	add := func(l *block, def listener) {
		port, secured := l.get("port", def.port), def.tls
		if v, ok := l.settings["ssl"]; ok {
			secured = strings.EqualFold(v, "yes")
		}
		_, set := l.settings["port"]
		if port == "0" || port == "" {
			return
		}
		addr := e.dovecot.listenerAddress(s, l, port)
		elsewhere := slices.ContainsFunc(e.dovecot.listenerAddresses(s, l), func(a string) bool { return !isLoopback(a) })
		list = append(list, door{client, fmt.Sprintf("%s at %s", def.name, addr), addr, secured, !set, elsewhere})
	}
	for _, def := range defaults {
		seen[def.name] = true
		add(s.one("inet_listener", def.name), def)
	}
	for _, l := range s.all("inet_listener") {
		if !seen[l.name] {
			add(l, listener{name: l.name})
		}
	}
	return list
}

func postfixDoor(s *smtpd) door {
	host, port := "127.0.0.1", s.name
	if i := strings.LastIndex(s.name, ":"); i >= 0 {
		host, port = strings.Trim(s.name[:i], "[]"), s.name[i+1:]
	}
	port = valueOr(map[string]string{"smtp": "25", "submission": "587", "submissions": "465", "smtps": "465"}[port], port)
	addr := joinPort(host, port)
	return door{mailclient.SMTP, "smtp at " + addr, addr, s.yes("smtpd_tls_wrappermode"), false, !isLoopback(host)}
}

// doors tries each: the app password opens it, so that it works at all; the main
// password and a wrong one do not.
func (e *examination) doors(ctx context.Context, b *bird) {
	list := e.loginDoors()
	if len(list) == 0 {
		e.unchecked("door", "", "no door is known: neither Dovecot's nor Postfix's configuration could be read")
		return
	}
	tried := map[mailclient.Service]bool{}
	var away []door
	for _, d := range list {
		if ctx.Err() != nil {
			e.unchecked("door", d.name, "doctor was interrupted, or had no time left")
			continue
		}
		if !e.try(ctx, b, d) {
			away = append(away, d)
			continue
		}
		tried[d.service] = true
	}
	for _, d := range away {
		if !d.byRule || !tried[d.service] {
			e.unchecked("door", d.name, "nobody answers there")
		}
	}
}

// try tries one door; false means that nobody answers.
func (e *examination) try(ctx context.Context, b *bird, d door) bool {
	app, err := d.login(ctx, b.user, b.app)
	if err != nil && isDial(err) {
		return false
	}
	if err != nil {
		e.unchecked("door", d.name, cause(err))
		return true
	}
	other, _, _ := factor.NewAppPassword(factor.AppPassword{})
	wrong, err1 := d.login(ctx, b.user, other)
	main, err2 := d.login(ctx, b.user, b.main)
	fine := true
	if main.Outcome == mailclient.OK {
		fine = false
		e.wrong("door-main", d.name, "the main password of an account with two-factor login is taken")
	}
	if wrong.Outcome == mailclient.OK {
		fine = false
		e.wrong("door-wrong", d.name, "a wrong password is taken")
	}
	switch err := errors.Join(err1, err2); {
	case !fine:
	case err != nil:
		e.unchecked("door", d.name, "the dialogue broke off: "+cause(err))
	case app.Outcome == mailclient.Temporary, main.Outcome == mailclient.Temporary:
		e.wrong("door-app", d.name, "nobody can log in at the moment: "+app.Text)
	case app.Outcome != mailclient.OK:
		e.wrong("door-app", d.name, "the app password is refused: "+app.Text)
	default:
		e.ok("door", d.name, "takes the app password, and neither the main password nor a wrong one")
	}
	return true
}

// errDial marks a door where nobody answers.
type dialError struct{ error }

func isDial(err error) bool {
	var d dialError
	return errors.As(err, &d)
}

// doorTime bounds one login; Dovecot delays refusals by two seconds, and more in a row.
const doorTime = 30 * time.Second

// login logs in once, over TLS where the door has it. The certificate is not looked
// at: this host connects to itself, by an address that no certificate names.
func (d door) login(ctx context.Context, user string, password account.Secret) (mailclient.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, doorTime)
	defer cancel()
	trust := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see above
	t := mailclient.Target{Service: d.service, Addr: d.addr}
	if d.tls {
		t.TLS = trust
	}
	c, err := mailclient.Dial(ctx, t)
	if err != nil {
		return mailclient.Result{}, dialError{err}
	}
	defer c.Close()
	if !d.tls {
		if err := c.StartTLS(ctx, trust); err != nil && !errors.Is(err, mailclient.ErrNoTLS) {
			return mailclient.Result{}, err
		}
	}
	return c.Plain(ctx, user, string(password.Reveal()))
}
