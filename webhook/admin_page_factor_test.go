package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/mailtest"
)

// FEATURES A8: an administrator without a second factor sees nothing, whatever password
// is given again.
func TestA8_AdministratorWithoutAFactor(t *testing.T) {
	w := administered(t)
	weak := w.signIn("weak@example.test", nil)
	weak.settings()
	confirm := w.get(weak.b, http.StatusOK, w.Webmail.PublicURL+"security/confirm")
	w.submit(weak.b, http.StatusSeeOther, confirm, "security/confirm", "password", mailtest.Password)
	for _, path := range []string{"admin/", about("account", "weak@example.test"), about("change", "boss@example.test", "action", "reset")} {
		if p := w.get(weak.b, http.StatusForbidden, w.Webmail.PublicURL+path); strings.Contains(p.Body, "boss@") {
			t.Errorf("%s shows an account", path)
		}
	}
}

// confirmedLike is a settings' cookie as package login seals it.
type confirmedLike struct {
	ID        []byte    `cbor:"1,keyasint"`
	Grant     any       `cbor:"2,keyasint"`
	ReturnTo  string    `cbor:"3,keyasint"`
	Browser   []byte    `cbor:"4,keyasint"`
	Confirmed time.Time `cbor:"5,keyasint,omitzero"`
}

// age makes the person's last factor six minutes old.
func (p *person) age() {
	p.t.Helper()
	cfg, err := app.Load(p.Path)
	must(p.t, err)
	ring, err := cfg.OpenRing(account.RoleFactor)
	must(p.t, err)
	const purpose, name = "settings session", "__Host-postern_settings"
	var s confirmedLike
	must(p.t, ring.Parse(account.RoleFactor, purpose, p.b.Cookies[name], time.Now(), &s))
	s.Confirmed = s.Confirmed.Add(-6 * time.Minute)
	p.b.Cookies[name], err = ring.Issue(account.RoleFactor, purpose, time.Now().Add(10*time.Minute), s)
	must(p.t, err)
}

// Looking goes on with a factor of a while ago; a change, and what a form of before
// wants, asks for one again (FEATURES A8).
func TestA8_AdministratorsChangesAskAgain(t *testing.T) {
	w := administered(t)
	user, _ := w.twoFactor()
	boss := w.administrator("boss@example.test")
	form := boss.page(about("change", user, "action", "reset"))
	boss.age()
	boss.page(about("account", user))
	for _, path := range []string{about("change", user, "action", "reset"), about("totp", user),
		"admin/bulk?" + url.Values{"domain": {"example.test"}, "action": {"reset"}, "selected": {"x"}}.Encode()} {
		if to := w.get(boss.b, http.StatusSeeOther, w.Webmail.PublicURL+path).Location(); !strings.Contains(to, "/security/confirm?next=") {
			t.Errorf("%s leads to %s", path, to)
		}
	}
	w.submit(boss.b, http.StatusSeeOther, form, "admin/change")
	if view, _ := w.state(user); len(view.Factors) != 1 {
		t.Error("reset without a factor of these minutes")
	}
}
