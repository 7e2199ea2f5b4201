package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/desk"
)

// What has stopped to work is shown as such, and its owner can renew it after a fresh
// factor, not before.
func TestP3_StoppedAppPasswordOnThePage(t *testing.T) {
	w := shared(t)
	user, totp := w.twoFactor()
	past := *w.desk
	past.Now = func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) }
	made, err := past.CreateAppPassword(t.Context(), operator, user, desk.NewAppPassword{Name: "Scanner", Expires: time.Now().Add(-10 * 24 * time.Hour)})
	must(t, err)
	p := w.signIn(user, totp)
	page := p.settings()
	for _, want := range []string{"Scanner", ">Expired<", `action="/2fa/security/app-password/renew"`} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	stopped := func() bool { return p.view().AppPasswords[0].State(time.Now()) == desk.AppExpired }
	asked := w.submitAny(p.b, page, "security/app-password/renew")
	if asked.Status != http.StatusSeeOther || !strings.Contains(asked.Location(), "security/confirm") || !stopped() {
		t.Errorf("renewed without a fresh factor: %d %s", asked.Status, asked.Location())
	}
	p.confirm("security/backup-codes")
	page = p.follow(w.submit(p.b, http.StatusSeeOther, p.page("security"), "security/app-password/renew"))
	if stopped() {
		t.Errorf("not renewed: %+v", p.view().AppPasswords)
	}
	for text, there := range map[string]bool{"App password renewed": true, " works again.": true, ">Expired<": false, "app-password/renew": false} {
		if strings.Contains(page.Body, text) != there {
			t.Errorf("the page has %q: %v", text, !there)
		}
	}
	if again := p.view().AppPasswords[0]; again.ID != made.ID || again.Expires.Before(time.Now().Add(89*24*time.Hour)) {
		t.Errorf("%+v", again)
	}
}
