package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/desk"
)

// A domain administrator lets a mailbox in by its main password for two hours, for a
// reason, and ends it; the help desk and owners of other domains cannot (FEATURES A17).
func TestA17_BypassAtThePages(t *testing.T) {
	w := administered(t)
	user, totp := w.twoFactor()
	w.signIn(user, totp)
	boss, help := w.administrator("boss@example.test"), w.administrator("desk@example.test")
	open := func() *desk.Bypass {
		t.Helper()
		view, err := w.desk.Overview(t.Context(), user)
		must(t, err)
		return view.Bypass
	}
	offers := func(p *person, of, action string) bool {
		t.Helper()
		return strings.Contains(p.page(about("account", of)).Body, "action="+action+`"`)
	}
	if !offers(boss, user, "bypass") || offers(boss, user, "bypass_end") {
		t.Error("no bypass is offered, or an end of none")
	}
	if offers(boss, w.user(), "bypass") || offers(help, user, "bypass") {
		t.Error("a bypass is offered where the password is enough, or to the help desk")
	}
	ask := boss.page(about("change", user, "action", "bypass"))
	again := w.submit(boss.b, http.StatusUnprocessableEntity, ask, "admin/change", "hours", "2", "reason", " ")
	if !strings.Contains(again.Body, `role="alert"`) || open() != nil {
		t.Error("a bypass without a reason")
	}
	for _, hours := range []string{"0", "25", "255", "-1", "soon", ""} {
		w.submit(boss.b, http.StatusUnprocessableEntity, ask, "admin/change", "hours", hours, "reason", "lost phone")
	}
	if b := open(); b != nil {
		t.Fatalf("a bypass of a time that is none: %+v", b)
	}
	w.submit(boss.b, http.StatusSeeOther, ask, "admin/change", "hours", "2", "reason", "lost phone, ticket 18")
	if b := open(); b == nil || b.Until.Sub(b.From) != 2*time.Hour || b.Reason != "lost phone, ticket 18" || !strings.HasPrefix(b.By, "boss@example.test") || len(b.Services) != 0 {
		t.Fatalf("%+v", b)
	}
	if offers(boss, user, "bypass") || !offers(boss, user, "bypass_end") {
		t.Error("a second bypass is offered, or no end of this one")
	}
	for _, action := range []string{"bypass", "bypass_end"} {
		w.get(help.b, http.StatusForbidden, w.Webmail.PublicURL+about("change", user, "action", action))
		w.get(boss.b, http.StatusForbidden, w.Webmail.PublicURL+about("change", "boss@example.test", "action", action)) // nobody lets themselves in
		form, target, err := ask.Form("admin/change")
		must(t, err)
		form.Set("action", action)
		form.Set("account", "dave@other.test")
		form.Set("hours", "1")
		form.Set("reason", "x")
		if got := w.post(boss.b, target, form); got.Status != http.StatusForbidden {
			t.Errorf("%s of another domain: %d", action, got.Status)
		}
	}
	w.submit(boss.b, http.StatusSeeOther, boss.page(about("change", user, "action", "bypass_end")), "admin/change")
	if b := open(); b != nil {
		t.Errorf("it goes on: %+v", b)
	}
	w.submit(boss.b, http.StatusConflict, boss.page(about("change", user, "action", "bypass_end")), "admin/change")
}
