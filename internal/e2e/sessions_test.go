package e2e

import (
	"io"
	"net"
	"strings"
	"testing"

	"postern/internal/effect"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// TestRevokedSessionsEnd: revoking an app password ends what it had opened
// (FEATURES P4). Dovecot 2.4 tells the credentials apart, 2.3 ends all.
func TestRevokedSessionsEnd(t *testing.T) {
	eachEnding(t, func(t *testing.T, w *world, d door) {
		user := w.twoFactor(w.user("main password"))
		phone, laptop := w.app(user), w.app(user)
		bystander := w.user("main password")
		lost := []*live{
			w.open(mailclient.IMAP, user, reveal(phone.Password)), w.open(mailclient.IMAP, user, reveal(phone.Password)),
			w.open(mailclient.POP3, user, reveal(phone.Password)), w.open(mailclient.Sieve, user, reveal(phone.Password)),
		}
		kept, other := w.open(mailclient.IMAP, user, reveal(laptop.Password)), w.open(mailclient.IMAP, bystander, "main password")
		said := w.ctl("app-password", "revoke", user, phone.ID)
		for _, l := range lost {
			l.ends()
		}
		other.goesOn()
		want := "Ended all sessions of " + user
		if d.version == mailtest.V24 {
			want = "Ended 4 sessions of " + user
			kept.goesOn()
		} else {
			kept.ends()
		}
		if !strings.Contains(said, want) {
			t.Errorf("posternctl says %q", said)
		}
		if strings.Contains(w.Dovecot.Log(), "Panic") {
			t.Error("doveadm has crashed")
		}
	})
}

// TestFirstFactorEndsSessions: what began with the main password ends when 2FA
// goes on (FEATURES E7), also under another name and spelling.
func TestFirstFactorEndsSessions(t *testing.T) {
	eachEnding(t, func(t *testing.T, w *world, _ door) {
		user := w.user("main password")
		alias := "zz-" + user
		must(t, w.Slapd.SetAttr(user, "mail", user, alias))
		var open []*live
		for _, name := range []string{user, alias, strings.ToUpper(alias)} {
			for _, s := range []mailclient.Service{mailclient.IMAP, mailclient.POP3, mailclient.Sieve} {
				open = append(open, w.open(s, name, "main password"))
			}
		}
		w.ctl("totp", "add", user)
		for _, l := range open {
			l.ends()
		}
		w.want(mailclient.Refused, user, "main password")
	})
}

// TestWholeAccountsEndSessions: reset, revoke-all and disable end everything.
func TestWholeAccountsEndSessions(t *testing.T) {
	eachEnding(t, func(t *testing.T, w *world, _ door) {
		for _, command := range []string{"reset", "revoke-all", "disable"} {
			user := w.twoFactor(w.user("main password"))
			l := w.open(mailclient.IMAP, user, reveal(w.app(user).Password))
			said := w.ctl("user", command, user)
			l.ends()
			if !strings.Contains(said, " of "+user+" at "+w.Doveadm()) || strings.Contains(said, "No session") {
				t.Errorf("%s: posternctl says %q", command, said)
			}
		}
	})
}

// TestPagesEndSessions: whoever only writes to the spool is served by the
// policyserver, also by one that is started later.
func TestPagesEndSessions(t *testing.T) {
	t.Parallel()
	for _, d := range doors[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := fresh(t, ending(t, d))
			user := w.twoFactor(w.user("main password"))
			phone, tablet := w.app(user), w.app(user)
			l := w.open(mailclient.IMAP, user, reveal(phone.Password))
			began := w.now()
			_, err := w.pages().RevokeAppPassword(t.Context(), admin, user, phone.ID)
			must(t, err)
			l.ends()
			eventually(t, "an event tells of it", func() bool { return len(w.ended(began, user)) > 0 })
			if e := w.ended(began, user)[0]; e.Credential != "app:"+phone.ID || !strings.Contains(e.Detail, "session") {
				t.Errorf("%+v", e)
			}

			l = w.open(mailclient.IMAP, user, reveal(tablet.Password))
			w.Policyserver.Kill()
			_, err = w.pages().RevokeAppPassword(t.Context(), admin, user, tablet.ID)
			must(t, err)
			must(t, w.Policyserver.Restart(t.Context()))
			l.ends()
		})
	}
}

// ended are the events of sessions that were ended.
func (w *world) ended(m mark, user string) []effect.Event {
	var list []effect.Event
	for _, e := range w.since(m, user) {
		if e.Action == effect.SessionsEnded {
			list = append(list, e)
		}
	}
	return list
}

// TestDovecotUnreachable: a change is made all the same, posternctl says that the
// sessions go on, and they end once Dovecot can be reached.
func TestDovecotUnreachable(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	o := ending(t, doors[1])
	o.Settings = mailtest.Settings{"sessions": {"doveadm": []string{"http://" + gate.addr + "/doveadm/v1"}}}
	w := fresh(t, o)
	user := w.twoFactor(w.user("main password"))
	phone := w.app(user)
	l := w.open(mailclient.IMAP, user, reveal(phone.Password))
	said := w.ctl("app-password", "revoke", user, phone.ID)
	if !strings.Contains(said, "Revoked app password") || !strings.Contains(said, "may go on for now") || !strings.Contains(said, "will try again") {
		t.Errorf("posternctl says %q", said)
	}
	eventually(t, "policyserver has tried and failed", func() bool { return strings.Contains(w.Policyserver.Log(), "not ended yet") })
	l.goesOn()
	gate.open(strings.TrimSuffix(strings.TrimPrefix(w.Doveadm(), "http://"), "/doveadm/v1"))
	l.ends()
}

// gate is an address at which nobody answers until it is opened to another.
type gate struct {
	t    *testing.T
	addr string
}

func newGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return &gate{t, l.Addr().String()}
}

// open passes connections on.
func (g *gate) open(to string) {
	g.t.Helper()
	l, err := net.Listen("tcp", g.addr)
	must(g.t, err)
	g.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go pass(in, to)
		}
	}()
}

func pass(in net.Conn, to string) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	go func() { _, _ = io.Copy(out, in) }()
	_, _ = io.Copy(in, out)
}

// TestWithoutSessions: a site that has not said how is told what it misses.
func TestWithoutSessions(t *testing.T) {
	t.Parallel()
	w := shared(t, doors[1])
	user := w.twoFactor(w.user("main password"))
	phone := w.app(user)
	l := w.open(mailclient.IMAP, user, reveal(phone.Password))
	if said := w.ctl("app-password", "revoke", user, phone.ID); strings.Count(said, "go on until they reconnect; [sessions] in ") != 1 {
		t.Errorf("posternctl says %q", said)
	}
	l.goesOn()
}
