package e2e

import (
	"strings"
	"testing"

	"postern/internal/login"
	"postern/internal/mailclient"
)

// TestAttack12_EmptyPassword: a simple bind without a password is anonymous and
// succeeds (RFC 4513 section 5.1.2), so it must not happen. The matrix tries empty
// passwords at every service; here slapd is watched.
func TestAttack12_EmptyPassword(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("main password")
		before, anonymous := w.binds(user), w.anonymousBinds()
		for _, m := range mailclient.IMAP.Mechs() {
			began := w.now()
			if r := w.login(mailclient.IMAP, m, user, ""); r.Outcome != mailclient.Refused {
				t.Errorf("%s: %s", m, r.Text)
			}
			w.wantReason(began, user, login.EmptyPassword)
		}
		for _, v := range []verdict{w.ask(user, ""), w.ask(user, "", "service", "smtp"), w.ask("nobody@example.test", "")} {
			if v.word != "denied" {
				t.Errorf("/verify: %q", v.line)
			}
		}
		w.wantBinds(user, before, 0)
		if n := w.anonymousBinds() - anonymous; n != 0 {
			t.Errorf("%d anonymous binds", n)
		}
	})
}

// TestAttack12_BlankPassword: blanks are a password like any other, and wrong.
func TestAttack12_BlankPassword(t *testing.T) {
	t.Parallel()
	w := shared(t, doors[1])
	user := w.user("main password")
	for _, blank := range []string{" ", "    ", "\u00a0", "-", "\x00", "\x00main password"} {
		if v := w.ask(user, blank); v.word != "denied" {
			t.Errorf("%q: %q", blank, v.line)
		}
	}
}

func (w *world) anonymousBinds() int {
	return strings.Count(w.Slapd.LogNow(w.t), `BIND dn="" method=128`)
}
