package main

import (
	"net/http"
	"strings"
	"testing"

	"postern/internal/desk"
)

const alertTitle = "Do you know about this?"

// What an administrator did stands at the top of Security, and in its history, by whom;
// its owner can hide it, and what comes later shows again. What the owner does right now
// in this very browser is no alert, but is in the history.
func TestA11_HistoryAndAlertsOnThePage(t *testing.T) {
	w := shared(t)
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	page := p.settings()
	for _, want := range []string{alertTitle, "Sign-in method added", operator.Name, "Two-step login switched on", "Signed in"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Index(page.Body, alertTitle) > strings.Index(page.Body, `id="methods"`) {
		t.Error("the alert is not at the top")
	}

	w.submit(p.b, http.StatusSeeOther, page, "security/seen")
	page = p.page("security")
	if strings.Contains(page.Body, alertTitle) || !strings.Contains(page.Body, "Sign-in method added") {
		t.Error("hidden, but still there, or out of the history, too")
	}
	other := w.signInAgain(p) // another browser has hidden nothing
	if !strings.Contains(other.settings().Body, alertTitle) {
		t.Error("hidden in another browser")
	}

	enrol := p.confirm("security/backup-codes")
	w.submit(p.b, http.StatusOK, enrol, "security/backup-codes")
	if page = p.page("security"); strings.Contains(page.Body, alertTitle) || !strings.Contains(page.Body, "New backup codes made") {
		t.Error("the owner's own change")
	}
	_, err := p.desk.AddTOTP(t.Context(), desk.Root("mallory@example.test"), user, desk.NewTOTP{Name: `<i>"evil"`})
	must(t, err)
	page = p.page("security")
	if !strings.Contains(page.Body, alertTitle) || !strings.Contains(page.Body, "mallory@example.test") || strings.Contains(page.Body, "<i>\"evil") {
		t.Error("a method that somebody else added")
	}
	// A form of yesterday must not hide what comes tomorrow.
	page.Body = strings.Replace(page.Body, `name="id" value="`, `name="id" value="9`, 1)
	w.submit(p.b, http.StatusSeeOther, page, "security/seen", "id", "99999999999")
	if page = p.page("security"); !strings.Contains(page.Body, alertTitle) {
		t.Error("hidden for ever")
	}
}
