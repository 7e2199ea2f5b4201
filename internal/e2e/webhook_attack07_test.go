package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"postern/internal/effect"
	"postern/internal/hooktest"
	"postern/internal/login"
	"postern/internal/mailtest"
)

// ATTACKS 7: a hundred wrong codes from fifty addresses disable the authenticator, and
// nothing else: two-step login stays on, right codes and right passwords included.
func TestAttack07_HundredWrongCodesFromFiftyAddresses(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, app := h.withFactor()
	codes := h.backupCodes(user)
	began := h.now()
	addr := func(i int) string { return fmt.Sprintf("198.51.%d.1", i) }
	for i := range 100 {
		p, err := h.begin(i%2, user, addr(i%50))
		must(t, err)
		if _, status, err := p.answer("totp", "000000"); err != nil || status != http.StatusUnprocessableEntity {
			t.Fatalf("try %d: status %d, %v", i+1, status, err)
		}
		if n := h.failures(user); n != uint(i)+1 {
			t.Fatalf("after %d wrong codes and right passwords, %d are counted", i+1, n)
		}
		h.patient(user)
	}
	if e := h.last(began, user, effect.FactorDisabled); e.Outcome != "alarm" {
		t.Errorf("nobody was told: %+v", e)
	}
	p, err := h.begin(1, user, addr(0))
	must(t, err)
	if !strings.Contains(p.page.Body, "backup") {
		t.Error("the page offers nothing else")
	}
	got, err := p.browser.Submit(t.Context(), p.page, "sign-in", "t", p.token(), "method", "totp", "code", app.next(t))
	must(t, err)
	if got.Status != http.StatusUnprocessableEntity || !strings.Contains(got.Body, "switched off") {
		t.Errorf("a right code after a hundred wrong ones: %d %s", got.Status, got.Location())
	}
	h.wantDenied(user, mailtest.Password, login.AppPasswordRequired) // mail stays closed to the main password
	p, err = h.begin(0, user, addr(0))
	must(t, err)
	h.wantExchange(1, "granted", p.transaction, p.mustAnswer("backup", codes[0]))
	if n := h.failures(user); n != 100 {
		t.Errorf("a backup code makes the authenticator's count %d", n)
	}
}

// ATTACKS 7: of wrong codes at the same moment at two webhooks, every one that is
// answered as wrong was counted before.
func TestAttack07_WrongCodesAtOnce(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, app := h.withFactor()
	pages := make([]*pageOf, clients)
	for i := range pages {
		pages[i] = h.mustBegin(i%2, user)
	}
	var wrong, later, other atomic.Int64
	race(func(i int) {
		_, status, err := pages[i].answer("totp", fmt.Sprintf("%06d", i))
		switch {
		case err != nil:
			t.Error(err)
		case status == http.StatusUnprocessableEntity:
			wrong.Add(1)
		case status == http.StatusTooManyRequests:
			later.Add(1)
		default:
			other.Add(1)
		}
	})
	if n := h.failures(user); int64(n) != wrong.Load() || n == 0 || n > 6 {
		t.Errorf("%d answered as wrong, %d counted; %d told to wait, %d otherwise", wrong.Load(), n, later.Load(), other.Load())
	}
	if _, status, err := pages[0].answer("totp", app.next(t)); err != nil || status != http.StatusTooManyRequests {
		t.Errorf("a right code during the back-off: %d, %v", status, err)
	}
	h.patient(user)
	h.wantExchange(0, "granted", pages[1].transaction, pages[1].mustAnswer("totp", app.next(t)))
	if n := h.failures(user); n != 0 {
		t.Errorf("after a right code %d are counted", n)
	}
}

// ATTACKS 7: who does not know the password counts nothing.
func TestAttack07_StrangersCountNothing(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, _ := h.withFactor()
	for range 5 {
		h.call(0, "login", "denied", h.start(user).With("password", "wrong"))
	}
	b := h.browserAt(0, household)
	other, _ := h.withFactor()
	p := h.mustBegin(0, other) // a page of their own
	form, _, err := p.page.Form("sign-in")
	must(t, err)
	form.Set("username", user)
	form.Set("code", "000000")
	got, err := p.browser.Post(t.Context(), h.Webmail.PublicURL+"sign-in", form)
	must(t, err)
	if got.Status != http.StatusUnprocessableEntity || h.failures(user) != 0 || h.failures(other) != 1 {
		t.Errorf("status %d; %d counted", got.Status, h.failures(user))
	}
	if got, err := b.Get(t.Context(), h.Webmail.PublicURL+"sign-in"); err != nil || got.Status != http.StatusGone {
		t.Errorf("without a login: %d, %v", got.Status, err)
	}
}

// ATTACKS 12: an empty password is refused before any bind.
func TestAttack12_EmptyPasswordAtTheHook(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user := h.user(mailtest.Password)
	before, anonymous := h.binds(user), h.anonymousBinds()
	f := h.start(user)
	f["password"] = ""
	h.call(0, "login", "denied", f)
	grant := h.call(0, "login", "granted", h.start(user)).Grant
	h.call(0, "check", "denied", hooktest.Fields{"grant": grant, "password": ""})
	h.wantBinds(user, before, 1)
	if h.anonymousBinds() != anonymous {
		t.Error("somebody bound without a name")
	}
}
