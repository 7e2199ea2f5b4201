package main

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var cancelLink = regexp.MustCompile(`<p class="out"><a href="([^"]*)">`)

// cancelOf is where Cancel leads on the page that asks for a factor before next.
func (p *person) cancelOf(next string) string {
	p.t.Helper()
	base := p.Webmail.PublicURL[strings.Index(p.Webmail.PublicURL[8:], "/")+8:]
	page := p.get(p.b, http.StatusOK, p.Webmail.PublicURL+"security/confirm?next="+url.QueryEscape(base+next))
	m := cancelLink.FindStringSubmatch(page.Body)
	if m == nil {
		p.t.Fatalf("no Cancel:\n%s", page.Body)
	}
	return strings.TrimPrefix(html.UnescapeString(m[1]), base)
}

// Who cancels the confirmation of a change is back where the change was chosen.
func TestW2_CancelOfAConfirmation(t *testing.T) {
	w := administered(t)
	user := w.user()
	boss := w.administrator("boss@example.test")
	for next, want := range map[string]string{
		about("change", user, "action", "reset"):                                  about("account", user),
		about("totp", user):                                                       about("account", user),
		"admin/bulk?" + url.Values{"domain": {"example.test"}}.Encode():           "admin/?domain=example.test",
		"admin/policy?" + url.Values{"level": {"account"}, "of": {user}}.Encode(): "admin/policy?" + url.Values{"level": {"account"}, "of": {user}}.Encode(),
		"admin/":                    "admin/",
		"admin/change":              "admin/",
		"security/remove?kind=totp": "security",
		"security":                  "security",
	} {
		got := boss.cancelOf(next)
		if got != want {
			t.Errorf("before %s it leads to %s, not to %s", next, got, want)
		}
		if strings.HasPrefix(got, "admin/") {
			boss.page(got) // is shown, and asks for nothing
		}
	}
	// From webmail, without a factor given yet, the administration would ask again.
	other := w.signIn("chief@example.test", staff["chief@example.test"])
	other.settings()
	if got := other.cancelOf(about("change", user, "action", "reset")); got != "security" {
		t.Errorf("with no factor given it leads to %s", got)
	}
}
