package main

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/mailtest"
)

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range list {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

const event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nBEGIN:VEVENT\r\nUID:tea@example.test\r\n" +
	"DTSTAMP:20270101T120000Z\r\nDTSTART:20270115T150000Z\r\nSUMMARY:Tea\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// A calendar in Radicale, behind nginx: written and read with an app password, closed
// to the main password and to everybody else.
func TestE5_Radicale(t *testing.T) {
	w := logged(t)
	mailtest.Long(t)
	r, err := mailtest.StartRadicale(t.Context())
	must(t, err)
	t.Cleanup(r.Stop)
	g := w.nginx(w.rightKey(), r.Address())
	user, _ := w.twoFactor()
	other := w.user()
	password, others := w.app(user, account.DAV), w.app(other, account.DAV)
	calendar := "/dav/" + user + "/private/"
	status := func(want int, method, path, user, password, body string, header ...string) string {
		t.Helper()
		res, text := g.ask(method, path, user, password, body, header...)
		if res.StatusCode != want {
			t.Errorf("%s %s: %s, want %d\n%s\n%s", method, path, res.Status, want, text, r.Log())
		}
		return text
	}
	text := []string{"Content-Type", "text/calendar; charset=utf-8"}
	status(http.StatusUnauthorized, "MKCALENDAR", calendar, user, mailtest.Password, "")
	status(http.StatusCreated, "MKCALENDAR", calendar, user, password, "")
	status(http.StatusUnauthorized, "PUT", calendar+"tea.ics", user, mailtest.Password, event, text...)
	status(http.StatusCreated, "PUT", calendar+"tea.ics", user, password, event, text...)
	if got := status(http.StatusOK, "GET", calendar+"tea.ics", user, password, ""); !strings.Contains(got, "SUMMARY:Tea") {
		t.Errorf("what was written reads %q", got)
	}
	if got := status(http.StatusMultiStatus, "PROPFIND", calendar, strings.ToUpper(user), password, "", "Depth", "1"); !strings.Contains(got, "/private/tea.ics</href>") {
		t.Errorf("the calendar's list: %s", got)
	}
	status(http.StatusUnauthorized, "GET", calendar+"tea.ics", user, mailtest.Password, "")
	status(http.StatusUnauthorized, "GET", calendar+"tea.ics", "", "", "", "X-Remote-User", user)
	status(http.StatusForbidden, "GET", calendar+"tea.ics", other, others, "", "X-Remote-User", user, "X_Remote_User", user)
	status(http.StatusUnauthorized, "GET", calendar+"tea.ics", other, password, "")
	if strings.Contains(r.Log(), password) || strings.Contains(g.nginx.Log(), password) {
		t.Error("an app password is in the log")
	}
}
