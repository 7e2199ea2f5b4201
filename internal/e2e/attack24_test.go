package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// TestAttack24_ForgedTickets: none is ever sent to the directory as a password.
func TestAttack24_ForgedTickets(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("pt1_that is the main password")
		right := w.visit(user).text()
		before := w.binds(user)
		for _, ticket := range []string{"pt1_", "pt1_that is the main password", "pt1_" + strings.Repeat("A", 251),
			"pt1_" + strings.Repeat("A", 4000), "pt1_\x7f", "pt1_ab-cd", "pt1_" + reveal(w.app(user).Password),
			flippedAt(right, 20), flippedAt(right, 60), flippedAt(right, len(right)-3), right + "A", right[:len(right)-1]} {
			for _, s := range []mailclient.Service{mailclient.IMAP, mailclient.SMTP} {
				began := w.now()
				if r, err := w.try(s, mailclient.MechPlain, user, ticket); err == nil && r.Outcome == mailclient.OK {
					t.Errorf("%s: %.40q: let in", s, ticket)
				}
				if len(ticket) < 400 { // Dovecot gives checkpassword no more than 512 bytes
					w.wantReason(began, user, login.BadTicket)
				}
			}
		}
		w.wantBinds(user, before, 0)
		w.want(mailclient.OK, user, right)
	})
}

// flippedAt changes one character of base64.
func flippedAt(s string, i int) string {
	if s[i] == 'A' {
		return s[:i] + "B" + s[i+1:]
	}
	return s[:i] + "A" + s[i+1:]
}

// thefts are tickets that were right once, or for somebody else; steal makes what is
// presented.
var thefts = []struct {
	name   string
	reason login.Reason
	from   string
	steal  func(w *world, user string) string
}{
	{"another account's", login.BadTicket, "", func(w *world, _ string) string {
		return w.visit(w.twoFactor(w.user("main password"))).text()
	}},
	{"signed for another account", login.BadTicket, "", func(w *world, user string) string {
		other := w.account(w.user("main password"))
		return w.visit(user).signed(w.tickets(), other.ID)
	}},
	{"of another key, from elsewhere", login.BadTicket, elsewhere, func(w *world, user string) string {
		v := w.visit(user)
		return v.signed(w.strangers(), v.account.ID)
	}},
	{"from elsewhere", login.WrongNetwork, elsewhere, func(w *world, user string) string { return w.visit(user).text() }},
	{"expired", login.TicketExpired, "", func(w *world, user string) string {
		return w.visit(user, func(v *visit) { v.ticket.Expires = time.Now().Add(-time.Second) }).text()
	}},
	{"for no service", login.WrongService, "", func(w *world, user string) string {
		return w.visit(user, func(v *visit) { v.ticket.Services = nil }).text()
	}},
	{"session ended", login.SessionEnded, "", func(w *world, user string) string {
		return w.visit(user, func(v *visit) { v.record.Ended = time.Now() }).text()
	}},
	{"session expired", login.SessionEnded, "", func(w *world, user string) string {
		return w.visit(user, func(v *visit) { v.record.Expires = time.Now().Add(-time.Second) }).text()
	}},
	{"session removed", login.SessionEnded, "", func(w *world, user string) string {
		v := w.visit(user)
		v.remove()
		return v.text()
	}},
	{"session never begun", login.SessionEnded, "", func(w *world, user string) string {
		return w.visit(user, func(v *visit) { v.ticket.Session = "zzzzzzzz" }).text()
	}},
	{"after revoke-all", login.SessionEnded, "", func(w *world, user string) string {
		v := w.visit(user)
		w.ctl("user", "revoke-all", user)
		return v.text()
	}},
	{"of the epoch before revoke-all", login.SessionEnded, "", func(w *world, user string) string {
		before := w.account(user).Epoch()
		w.ctl("user", "revoke-all", user)
		return w.visit(user, func(v *visit) { v.body.Epoch, v.ticket.Epoch = before, before }).text()
	}},
	{"after a reset", login.SessionEnded, "", func(w *world, user string) string {
		v := w.visit(user)
		w.ctl("user", "reset", user)
		return v.text()
	}},
	{"after the password was changed", login.SessionEnded, "", func(w *world, user string) string {
		v := w.visit(user)
		before := w.account(user).Epoch()
		eventually(w.t, "the directory's second is over", func() bool {
			must(w.t, w.Slapd.SetAttr(user, "userPassword", mailtest.SSHA("another password")))
			return w.account(user).Epoch() != before
		})
		return v.text()
	}},
	{"after the account was disabled", login.AccountDisabled, "", func(w *world, user string) string {
		v := w.visit(user)
		w.disable(user)
		return v.text()
	}},
	{"begun without the factor", login.SessionWeak, "", func(w *world, user string) string {
		return w.visit(user, func(v *visit) { v.body.Strong = false }).text()
	}},
}

// TestAttack24_StolenTickets: each is refused by every service through every door,
// says why in the audit log, and only forged ones count as guesses.
func TestAttack24_StolenTickets(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		for _, c := range thefts {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				w := inhabit(t, w.Site)
				user := w.twoFactor(w.user("main password"))
				ticket := c.steal(w, user)
				for _, s := range []mailclient.Service{mailclient.IMAP, mailclient.Sieve, mailclient.Submission, mailclient.SMTP} {
					began := w.now()
					if r := w.tryFrom(c.from, s, user, ticket); r.Outcome != mailclient.Refused {
						t.Errorf("%s: %s", s, r.Text)
					}
					w.wantReason(began, user, c.reason)
				}
			})
		}
	})
}

// TestTickets: what is let in, by every mechanism; how it is audited, and what Dovecot
// is told about it. Both addresses are webmail's where it forwards none: Dovecot says
// so also of Postfix's clients.
func TestTickets(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		v := w.visit(user)
		for _, s := range []mailclient.Service{mailclient.IMAP, mailclient.Sieve, mailclient.Submission, mailclient.SMTP} {
			for _, m := range s.Mechs() {
				began := w.now()
				if r := w.login(s, m, user, v.text()); r.Outcome != mailclient.OK {
					t.Errorf("%s %s: %s", s, m, r.Text)
				}
				e := w.last(began, user, effect.Login)
				if e.Credential != "session:"+v.record.ID || e.Peer.String() != "127.0.0.1" || e.Client.String() != "127.0.0.1" {
					t.Errorf("%s %s: %+v", s, m, e)
				}
			}
		}
		if answer := w.ask(user, v.text(), "real_ip", "127.0.0.3"); !strings.Contains(answer.line, "\tuserdb_user_cred="+string(v.account.ID)+"/session:"+v.record.ID) {
			t.Errorf("/verify: %q", answer.line)
		}
		began := w.now()
		if r := w.login(mailclient.POP3, mailclient.MechPlain, user, v.text()); r.Outcome != mailclient.Refused {
			t.Errorf("POP3: %s", r.Text)
		}
		w.wantReason(began, user, login.WrongService)

		weak := w.user("main password")
		w.want(mailclient.OK, weak, w.visit(weak).text())
		popper := w.visit(user, func(v *visit) { v.ticket.Services = []account.Service{account.POP3} })
		if r := w.login(mailclient.POP3, mailclient.MechPlain, user, popper.text()); r.Outcome != mailclient.OK {
			t.Errorf("POP3, for POP3: %s", r.Text)
		}
	})
}

// TestTicketsPassThePolicy: the auth policy's second question, which refuses the main
// password of such an account, passes by the proof of the session's credential.
func TestTicketsPassThePolicy(t *testing.T) {
	eachPolicy(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		v := w.visit(user)
		for _, s := range []mailclient.Service{mailclient.IMAP, mailclient.Sieve, mailclient.Submission, mailclient.SMTP} {
			if r := w.login(s, mailclient.MechPlain, user, v.text()); r.Outcome != mailclient.OK {
				t.Errorf("%s: %s", s, r.Text)
			}
		}
		v.remove()
		w.want(mailclient.Refused, user, v.text())
	})
}

// TestTicketCostsOneSearch: a login by ticket reads the directory once, and writes
// nothing, also not in the background.
func TestTicketCostsOneSearch(t *testing.T) {
	t.Parallel()
	w := fresh(t, mailtest.Options{Slapd: mailtest.SlapdOptions{Log: true}})
	user, other := w.twoFactor(w.user("main password")), w.user("main password")
	ticket := w.visit(user).text()
	w.ask(other, "main password") // opens connections, and reads the site's policies
	searches, writes := w.operations(user)
	if v := w.ask(user, ticket, "remote_ip", "127.0.0.1"); v.word != "granted" {
		t.Fatalf("%q", v.line)
	}
	must(t, w.Policyserver.Restart(t.Context())) // writes what is left to be written
	w.ask(other, "main password")
	eventually(t, "slapd has logged the login after", func() bool { return strings.Count(w.Slapd.Log(), "(mail="+other+")") == 2 })
	s, m := w.operations(user)
	if s-searches != 1 || m-writes != 0 {
		t.Errorf("%d searches, %d writes\n%s", s-searches, m-writes, w.Slapd.Log())
	}
}

// operations counts slapd's searches for a user and writes to its entry.
func (w *world) operations(user string) (searches, writes int) {
	for line := range strings.Lines(w.Slapd.Log()) {
		about := strings.Contains(line, user) || strings.Contains(line, mailtest.UserDN(user))
		if about && strings.Contains(line, " SRCH base=") {
			searches++
		}
		if about && strings.Contains(line, " MOD dn=") {
			writes++
		}
	}
	return searches, writes
}

// TestTicketsWithoutTheirKey: a mail host without ticket.pub, or with another site's,
// cannot say that a ticket is wrong. Everything else goes on.
func TestTicketsWithoutTheirKey(t *testing.T) {
	t.Parallel()
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o := d.options(t)
			o.Postfix = nil
			w := fresh(t, o)
			user := w.twoFactor(w.user("main password"))
			ticket, app := w.visit(user).text(), reveal(w.app(user).Password)
			strangers, err := w.strangers().PublicFile()
			must(t, err)
			right, err := os.ReadFile(w.publicFile())
			must(t, err)
			for name, file := range map[string][]byte{"no file": nil, "another site's": strangers} {
				must(t, os.Remove(w.publicFile()))
				if file != nil {
					must(t, os.WriteFile(w.publicFile(), file, 0o644))
				}
				must(t, w.Policyserver.Restart(t.Context()))
				for _, presented := range []string{ticket, "pt1_forged"} {
					m := w.now()
					w.want(mailclient.Temporary, user, presented)
					w.wantReason(m, user, login.NoTicketKey)
				}
				w.want(mailclient.OK, user, app)
				eventually(t, name+": the log says so", func() bool {
					return strings.Contains(w.Policyserver.Log(), "tickets cannot be checked")
				})
				must(t, os.WriteFile(w.publicFile(), right, 0o644))
			}
			must(t, w.Policyserver.Restart(t.Context()))
			w.want(mailclient.OK, user, ticket)
		})
	}
}

// publicFile is where the site's ticket.pub is.
func (w *world) publicFile() string {
	w.t.Helper()
	cfg, err := app.Load(w.Path)
	must(w.t, err)
	return cfg.PublicKeyPath()
}

// TestLMTP delivers to somebody with a second factor: delivery needs no password.
func TestLMTP(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		conn, err := net.Dial("tcp", local(w.Dovecot.LMTP))
		must(t, err)
		c := smtp.NewClientLMTP(conn)
		defer func() { _ = c.Close() }()
		must(t, c.SendMail("sender@example.test", []string{user}, strings.NewReader("Subject: hello\r\n\r\nHello.\r\n")))
		if files, _ := filepath.Glob(filepath.Join(w.Dovecot.Dir, "mail", user, "Maildir/new/*")); len(files) != 1 {
			t.Errorf("%d messages", len(files))
		}
	})
}
