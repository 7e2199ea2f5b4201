package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"postern/internal/login"
	"postern/internal/mailclient"
)

// hostileNames are names that want more than one entry, or none. %s is a user's
// name before its @.
var hostileNames = []string{
	"*", "*@example.test", "t*", ")(uid=*", "*)(mail=*", "*))(|(mail=*", "(mail=*)", "%s@example.test)(mail=*",
	`\2a`, `%s@example.test\00`, "%s@example.test\x00", "\x00", "%s@example.test\n", "%s\t@example.test",
	"%s@example.test\x7f", "%s\x1b[2J@example.test", "uid=%s,ou=people,dc=example,dc=test", "%s@example.test@example.test",
	"\xff\xfe", "%s\u2028@example.test", "", " ", "@", "@example.test", strings.Repeat("a", 10_000),
	strings.Repeat("a", 10_000) + "@example.test", strings.Repeat("(", 300),
}

// lookAlikes are names which a directory may or may not take for the user's.
var lookAlikes = []string{
	" %s@example.test", "%s@example.test ", "%s @example.test", "%s@EXAMPLE.test", "%S@example.test",
	"\uff54%d@example.test", "%s\uff20example.test", "%s@example.test\u200b", "%s@ex\u00e4mple.test",
}

// spell puts a user into a pattern.
func spell(pattern, user string) string {
	name, _, _ := strings.Cut(user, "@")
	return strings.NewReplacer("%s", name, "%S", strings.ToUpper(name), "%d", name[1:]).Replace(pattern)
}

// TestAttack11_HostileNames: they find nothing, at every door and at /verify, and
// nothing breaks.
func TestAttack11_HostileNames(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("main password")
		var all sync.WaitGroup
		for _, pattern := range hostileNames {
			all.Go(func() { w.hostile(spell(pattern, user)) })
		}
		all.Wait()
		w.want(mailclient.OK, user, "main password")
		if strings.Contains(w.Dovecot.Log(), "Panic") {
			t.Error("Dovecot panicked")
		}
	})
}

// hostile tries one name. An error is fine: some servers hang up.
func (w *world) hostile(name string) {
	if v, err := w.question(name, "main password"); err != nil || v.word != "denied" && v.status != http.StatusRequestEntityTooLarge {
		w.t.Errorf("/verify: %.50q: %q, %v", name, v.line, err)
	}
	for _, m := range mailclient.IMAP.Mechs() {
		if m == mailclient.MechNative && strings.Contains(name, "\x00") {
			continue // Dovecot itself ends a literal there: what is left is somebody's name
		}
		if r, err := w.try(mailclient.IMAP, m, name, "main password"); err == nil && r.Outcome != mailclient.Refused {
			w.t.Errorf("%s: %.50q: %s", m, name, r.Text)
		}
	}
}

// TestAttack11_LookAlikes: whatever the directory takes for the user is the user:
// the same account, with its second factor.
func TestAttack11_LookAlikes(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		app := reveal(w.app(user).Password)
		for _, pattern := range lookAlikes {
			name := spell(pattern, user)
			if r := w.login(mailclient.IMAP, mailclient.MechPlain, name, "main password"); r.Outcome != mailclient.Refused {
				t.Errorf("%q: the main password: %s", name, r.Text)
			}
			began := w.now()
			w.ask(name, "main password", "session", user)
			e := w.session(began, user)
			mine := e.User == user && e.Account != "" && e.Reason == string(login.AppPasswordRequired)
			nobody := e.Account == "" && e.Reason == string(login.UnknownUser)
			if !mine && !nobody {
				t.Errorf("%q: %+v", name, e)
			}
			if v := w.ask(name, app); (v.word == "granted") != mine {
				t.Errorf("%q: app password: %q, though it is me: %v", name, v.line, mine)
			}
		}
	})
}
