package e2e

import (
	"testing"

	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// TestAttack36_AppPasswordsAreKept: when the main password is changed, phones go on,
// and the old main password is no more than a wrong one. What ends at webmail is tested
// there.
func TestAttack36_AppPasswordsAreKept(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		plain, enrolled := w.user("old password"), w.twoFactor(w.user("old password"))
		app := reveal(w.app(enrolled).Password)
		w.want(mailclient.OK, enrolled, app)
		for _, user := range []string{plain, enrolled} {
			must(t, w.Slapd.SetAttr(user, "userPassword", mailtest.SSHA("new password")))
		}
		w.want(mailclient.OK, enrolled, app)
		w.want(mailclient.OK, plain, "new password")
		began := w.now()
		w.want(mailclient.Refused, enrolled, "old password")
		w.wantReason(began, enrolled, login.WrongPassword)
		w.want(mailclient.Refused, enrolled, "new password")
		w.wantReason(began, enrolled, login.AppPasswordRequired)
	})
}
