package main

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"howett.net/plist"

	"postern/internal/clientsetup/apple"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// withServers is a site that tells mail programs about its servers.
func withServers(t *testing.T) *world {
	t.Helper()
	return inhabit(t, mailtest.Shared(t, "client setup", mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Settings: mailtest.Settings{
		"client_setup": {"imap": "imap.%d:993", "smtp": "smtp.%d:587", "sieve": "imap.%d:4190"},
		"pages":        {"name": "Example <Mail>"},
	}}))
}

// newApp is the page of a new app password.
func (p *person) newApp(services ...string) *hooktest.Page {
	p.t.Helper()
	form := p.page("security/app-password")
	values, target, err := form.Form("security/app-password")
	must(p.t, err)
	values.Set("name", "iPhone")
	values.Set("expires", "0")
	values["service"] = services
	page, err := p.b.Post(p.t.Context(), target, values)
	must(p.t, err)
	return p.wantStatus(page, http.StatusOK)
}

var profileLink = regexp.MustCompile(`href="([^"]*/profile\?t=[^"]*)"`)

// FEATURES P5: beside a new app password stand the servers, a code for Thunderbird, and a
// profile that a telephone fetches once, without being signed in.
func TestP5_ProfileOfANewAppPassword(t *testing.T) {
	w := withServers(t)
	p := w.signIn(w.user(), nil)
	p.settings()
	p.confirm("security/app-password")
	made := p.newApp("imap", "smtp")
	for _, want := range []string{"imap.example.test", "smtp.example.test", "993", "STARTTLS", `class="qr"`} {
		if !strings.Contains(made.Body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(made.Body, "4190") {
		t.Error("the page tells of a service that the app password does not open")
	}
	_, rest, _ := strings.Cut(made.Body, `id="password"`)
	_, rest, _ = strings.Cut(rest, ">")
	password, _, _ := strings.Cut(rest, "<")
	link := profileLink.FindStringSubmatch(made.Body)
	if link == nil {
		t.Fatal("no profile")
	}
	if strings.Contains(link[1], password) {
		t.Fatal("the address tells the password")
	}
	address, err := made.URL.Parse(strings.ReplaceAll(link[1], "&amp;", "&"))
	must(t, err)
	phone := w.browser()
	page := w.get(phone, http.StatusOK, address.String())
	w.get(phone, http.StatusOK, address.String()) // looking uses nothing up
	bare := w.submit(phone, http.StatusOK, page, "profile", "without", "yes")
	if strings.Contains(bare.Body, password) || !strings.Contains(bare.Body, p.user) {
		t.Errorf("without the password: %s", bare.Body)
	}
	got := w.submit(phone, http.StatusOK, page, "profile")
	if got.Header.Get("Content-Type") != apple.MediaType || !strings.HasPrefix(got.Header.Get("Content-Disposition"), "attachment") ||
		got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", got.Header)
	}
	var profile struct {
		Name    string           `plist:"PayloadDisplayName"`
		Content []map[string]any `plist:"PayloadContent"`
	}
	_, err = plist.Unmarshal([]byte(got.Body), &profile)
	must(t, err)
	if profile.Name != "Example <Mail> (iPhone)" || len(profile.Content) != 1 || profile.Content[0]["IncomingPassword"] != password ||
		profile.Content[0]["EmailAddress"] != p.user {
		t.Errorf("%+v", profile)
	}
	w.submit(phone, http.StatusGone, page, "profile") // a second device
	w.submit(w.browser(), http.StatusBadRequest, page, "profile")
}

// A profile ends with its app password, and there is none without a way to read mail.
func TestP5_NoProfile(t *testing.T) {
	w := withServers(t)
	p := w.signIn(w.user(), nil)
	p.settings()
	p.confirm("security/app-password")
	if made := p.newApp("smtp"); profileLink.MatchString(made.Body) || !strings.Contains(made.Body, "smtp.example.test") {
		t.Error("a profile for something that only sends")
	}
	made := p.newApp("imap", "smtp")
	address, err := made.URL.Parse(strings.ReplaceAll(profileLink.FindStringSubmatch(made.Body)[1], "&amp;", "&"))
	must(t, err)
	page := w.get(p.b, http.StatusOK, address.String())
	for _, a := range p.view().AppPasswords {
		_, err := w.desk.RevokeAppPassword(t.Context(), operator, p.user, a.ID)
		must(t, err)
	}
	for _, fields := range [][]string{nil, {"without", "yes"}} {
		w.submit(p.b, http.StatusGone, page, "profile", fields...)
	}
	token := address.Query().Get("t")
	for _, bad := range []string{"", "x", token[:len(token)-2], token + "A"} {
		w.get(p.b, http.StatusGone, address.ResolveReference(&url.URL{Path: address.Path, RawQuery: url.Values{"t": {bad}}.Encode()}).String())
	}
}

// ask asks the daemon like a mail program, at some host.
func (w *world) ask(method, path, host, body string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+host+path, strings.NewReader(body))
	must(w.t, err)
	res, err := w.Webmail.Webhook().Client().Do(req)
	must(w.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(w.t, err)
	return res, string(text)
}

// FEATURES P5, ATTACKS 10: mail programs find the servers by the address's domain alone,
// whether there is such an address or not.
func TestP5_AutoconfigAndAutodiscover(t *testing.T) {
	w := withServers(t)
	const question = `<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>ADDRESS</EMailAddress></Request></Autodiscover>`
	real := w.user()
	var answers []string
	for _, address := range []string{real, "nobody-at-all@example.test"} {
		for path, host := range map[string]string{"/mail/config-v1.1.xml?emailaddress=": "autoconfig.example.test",
			"/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=": "example.test"} {
			res, text := w.ask(http.MethodGet, path+url.QueryEscape(address), host, "")
			if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/xml") ||
				!strings.Contains(text, "<hostname>imap.example.test</hostname>") || !strings.Contains(text, "Example &lt;Mail&gt;") {
				t.Errorf("%s: %d %s", path, res.StatusCode, text)
			}
			answers = append(answers, text)
		}
		for _, path := range []string{"/autodiscover/autodiscover.xml", "/AutoDiscover/AutoDiscover.XML"} {
			res, text := w.ask(http.MethodPost, path, "autodiscover.example.test", strings.ReplaceAll(question, "ADDRESS", address))
			if res.StatusCode != http.StatusOK || !strings.Contains(text, "<Server>imap.example.test</Server>") {
				t.Errorf("%s: %d %s", path, res.StatusCode, text)
			}
			answers = append(answers, strings.ReplaceAll(text, address, "ADDRESS"))
		}
	}
	for _, a := range answers {
		if !slices.Contains(answers[:4], a) || !slices.Contains(answers[4:], a) {
			t.Errorf("an address that exists is answered differently:\n%s", a)
		}
	}
	if res, text := w.ask(http.MethodGet, "/mail/config-v1.1.xml", "autoconfig.example.test", ""); res.StatusCode != http.StatusOK || !strings.Contains(text, "imap.example.test") {
		t.Errorf("without an address: %d %s", res.StatusCode, text)
	}
	for _, address := range []string{"x", "x@", "x@<script>", "x@a b.test"} {
		if res, text := w.ask(http.MethodGet, "/mail/config-v1.1.xml?emailaddress="+url.QueryEscape(address), "localhost", ""); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d %s", address, res.StatusCode, text)
		}
		if res, text := w.ask(http.MethodPost, "/autodiscover/autodiscover.xml", "x", "<Autodiscover><Request><EMailAddress>"+strings.ReplaceAll(address, "<", "&lt;")+"</EMailAddress></Request></Autodiscover>"); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d %s", address, res.StatusCode, text)
		}
	}
	none := shared(t)
	for method, path := range map[string]string{http.MethodGet: "/mail/config-v1.1.xml?emailaddress=a@example.test", http.MethodPost: "/autodiscover/autodiscover.xml"} {
		if res, _ := none.ask(method, path, "example.test", strings.ReplaceAll(question, "ADDRESS", "a@example.test")); res.StatusCode != http.StatusNotFound {
			t.Errorf("nothing is configured, and yet: %d", res.StatusCode)
		}
	}
}
