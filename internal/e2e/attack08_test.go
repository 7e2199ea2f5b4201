package e2e

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/login"
	"postern/internal/mailclient"
)

// TestAttack08_NoBindWithAppShapes: what looks like an app password or a ticket,
// right or nearly, never reaches the directory as a password, where it would be
// logged, counted and perhaps lock the account.
func TestAttack08_NoBindWithAppShapes(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.user("main password")
		right := reveal(w.app(user).Password)
		bare := strings.ReplaceAll(right, "-", "")
		shapes := map[string]mailclient.Outcome{
			right:                                  mailclient.OK,
			bare:                                   mailclient.OK,
			strings.ToUpper(right):                 mailclient.Refused,
			right[:len(right)-1]:                   mailclient.Refused,
			right[:len(right)-2]:                   mailclient.Refused,
			right + "a":                            mailclient.Refused,
			right + "ab":                           mailclient.Refused,
			swapped(bare):                          mailclient.Refused,
			bare[:4] + "!" + bare[5:]:              mailclient.Refused,
			w.revoked(user):                        mailclient.Refused,
			w.expired(user):                        mailclient.Refused,
			"pt1_" + bare:                          mailclient.Refused,
			strings.Repeat("abcd2345", 3) + "abcd": mailclient.Refused,
		}
		before := w.binds(user)
		for shape, want := range shapes {
			if r := w.login(mailclient.IMAP, mailclient.MechPlain, user, shape); r.Outcome != want {
				t.Errorf("%s: %s, want %v", shape, r.Text, want)
			}
		}
		w.wantBinds(user, before, 0)
	})
}

// swapped exchanges the last two different neighbours, as people do.
func swapped(s string) string {
	for i := len(s) - 2; i > 0; i-- {
		if s[i] != s[i+1] {
			return s[:i] + string(s[i+1]) + string(s[i]) + s[i+2:]
		}
	}
	return s
}

// TestAttack08_WrongBindsLockBindsOnly: strangers who guess main passwords until
// the directory locks the account close no mail program's app password.
func TestAttack08_WrongBindsLockBindsOnly(t *testing.T) {
	t.Parallel()
	w := shared(t, doors[2])
	user := w.user("main password")
	app := reveal(w.app(user).Password)
	for i := range 5 {
		w.ask(user, fmt.Sprint("guessed ", i))
	}
	began := w.now()
	w.want(mailclient.Refused, user, "main password")
	w.wantReason(began, user, login.BindLocked)
	w.want(mailclient.OK, user, app)
}
