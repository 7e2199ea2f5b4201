package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"

	"postern/internal/account"
	"postern/internal/browsertest"
	"postern/internal/desk"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// keySite is a site of two webhooks with pages at a name and over TLS. Passkeys are for
// all of example.test; those of accounts of other.test are for the pages' host alone.
func keySite(t *testing.T) *world {
	t.Helper()
	mailtest.Long(t)
	s, err := mailtest.Start(t.Context(), mailtest.Options{Webmail: &mailtest.WebmailOptions{TLS: true, Webhooks: 2}})
	must(t, err)
	t.Cleanup(s.Stop)
	here := strings.TrimSuffix(s.Webmail.URL, "/")
	must(t, s.Reconfigure(mailtest.Settings{
		"passkeys":                      {"rp_id": "example.test"},
		`passkeys.domains."other.test"`: {"rp_id": "mail.example.test", "origins": []string{here}},
		"oidc.clients.public":           {"title": "Example App", "redirect_uris": []string{here + "/app"}},
	}))
	for _, hook := range s.Webmail.Webhooks {
		must(t, hook.Restart(t.Context()))
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, hook := range s.Webmail.Webhooks {
				t.Log(hook.Log())
			}
		}
	})
	return inhabit(t, s)
}

// keyed is a person with a passkey, in a browser.
type keyed struct {
	*world
	user string
	b    *browsertest.Browser
	key  *browsertest.Authenticator
}

// keyed makes a user who adds a passkey on the security pages.
func (w *world) keyed(user string) *keyed {
	w.t.Helper()
	p := &keyed{world: w, user: user, b: browsertest.New(w.t)}
	p.b.Address(addr)
	p.key = p.b.EnableVirtualAuthenticator(browsertest.Passkeys())
	p.settings(w.call("login", "granted", w.start(user)).Grant)
	p.b.Follow("a[href$='security/add?method=passkey']")
	p.b.Fill("#password", mailtest.Password)
	p.b.Follow("button.primary")
	p.b.Fill("#name", "Laptop")
	p.b.Follow("form[data-webauthn=create] button")
	p.b.WaitFor("#codes")
	p.b.Click("#saved")
	p.b.Follow("button.primary")
	p.b.WaitText("#methods", "Laptop")
	return p
}

// settings opens the security pages.
func (p *keyed) settings(grant string) {
	p.t.Helper()
	p.b.Go(p.call("settings", "", hooktest.Fields{"grant": grant, "return_to": p.Webmail.URL}).URL)
	p.b.WaitFor("#methods")
}

// begin opens the page that asks for the passkey after the password, in a tab.
func (p *keyed) begin(tab *browsertest.Tab) string {
	p.t.Helper()
	begun := p.call("login", "second_factor", p.start(p.user))
	tab.Go(begun.URL)
	tab.WaitFor("form[data-webauthn=get] button")
	return begun.Transaction
}

// touch presses the button, and exchanges the code that the browser comes back with.
func (p *keyed) touch(tab *browsertest.Tab, transaction string) string {
	p.t.Helper()
	tab.Click("form[data-webauthn=get] button")
	return p.arrived(tab, transaction)
}

func (p *keyed) arrived(tab *browsertest.Tab, transaction string) string {
	p.t.Helper()
	tab.WaitURL("&code=")
	return p.call("exchange", "granted", hooktest.Fields{"transaction": transaction, "code": hooktest.Code(tab.URL())}).Grant
}

// counted is the passkey with another count, as an authenticator of its own would have.
func (p *keyed) counted(more float64) *webauthn.Credential {
	p.t.Helper()
	c := *p.key.Credentials()[0]
	c.SignCount += more
	return &c
}

// post posts an answer that another page's script got, as the page's own.
func post(tab *browsertest.Tab, answer string) {
	browsertest.Eval[bool](tab, fmt.Sprintf(`(() => { const f = document.querySelector("form[data-webauthn]");
		f.elements.response.value = %q; setTimeout(() => HTMLFormElement.prototype.submit.call(f)); return true })()`, answer))
}

// answerTo makes a page's script ask for a passkey with the options of another page.
func answerTo(tab *browsertest.Tab, options string) string {
	return browsertest.Eval[string](tab, fmt.Sprintf(`navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(%s)})
		.then(c => JSON.stringify(c.toJSON()))`, options))
}

const (
	passkeyForm = "form[data-webauthn=get]"
	quietHint   = "cancelled or took too long"
	notAccepted = "not accepted"
)

// W6, ATTACKS 6: what must not sign in, with a real browser's passkeys: pages and
// passkeys of others, answers that were given before, and no person.
func TestW6_RefusedInTheBrowser(t *testing.T) {
	w := keySite(t)
	alice := w.keyed(w.user())

	t.Run("cancelled", func(t *testing.T) {
		transaction := alice.begin(alice.b.Tab)
		alice.key.SetUserVerified(false) // the wrong finger: the browser says what it says when somebody cancels
		alice.b.Click(passkeyForm + " button")
		alice.b.WaitText("[data-status]", quietHint)
		alice.key.SetUserVerified(true)
		alice.touch(alice.b.Tab, transaction)
	})
	t.Run("two tabs", func(t *testing.T) {
		second := alice.b.NewTab()
		second.Address(addr)
		other := second.EnableVirtualAuthenticator(browsertest.Passkeys())
		other.AddCredential(alice.counted(10))
		one, two := alice.begin(alice.b.Tab), alice.begin(second)
		alice.touch(alice.b.Tab, one)
		alice.touch(second, two)
		later := alice.counted(100)
		alice.key.RemoveCredential(later.CredentialID)
		alice.key.AddCredential(later)
	})
	t.Run("page of another host", func(t *testing.T) {
		evil := alice.b.NewTab()
		evil.Address(addr)
		copied := evil.EnableVirtualAuthenticator(browsertest.Passkeys())
		copied.AddCredential(alice.counted(1))
		alice.begin(alice.b.Tab)
		there := strings.Replace(alice.b.URL(), "mail.example.test", "evil.example.test", 1)
		if status := evil.Go(there); status != http.StatusMisdirectedRequest || evil.Has("form") {
			t.Errorf("the pages under another name: status %d", status)
		}
		post(alice.b.Tab, answerTo(evil, alice.b.Attribute(passkeyForm, "data-options"))) // same relying party: browsers do it
		alice.b.WaitText(".alert.bad", notAccepted)
	})
	t.Run("passkey of another domain", func(t *testing.T) {
		mail := "d" + strings.SplitN(alice.user, "@", 2)[0] + "@other.test"
		must(t, w.Slapd.AddUser(mail, mailtest.Password, nil))
		dave := w.keyed(mail)
		alice.begin(alice.b.Tab)
		hers := answerTo(alice.b.Tab, alice.b.Attribute(passkeyForm, "data-options"))
		dave.begin(alice.b.Tab) // his page, her browser
		alice.b.Click(passkeyForm + " button")
		alice.b.WaitText("[data-status]", quietHint) // the browser has none to offer
		post(alice.b.Tab, hers)
		alice.b.WaitText(".alert.bad", notAccepted)
		dave.touch(dave.b.Tab, dave.begin(dave.b.Tab))
	})
	t.Run("of a hosted domain, alone", func(t *testing.T) {
		mail := "e" + strings.SplitN(alice.user, "@", 2)[0] + "@other.test"
		must(t, w.Slapd.AddUser(mail, mailtest.Password, nil))
		erin := w.keyed(mail)
		erin.b.Follow("button.switch")
		erin.b.WaitFor("button.switch[aria-checked=true]")
		begin := func(domain string) string {
			begun := w.call("passkey", "second_factor", w.start("").With("user", "", "password", "", "domain", domain))
			erin.b.Go(begun.URL)
			return begun.Transaction
		}
		for _, domain := range []string{"", "example.test", "nobody.test"} {
			begin(domain)
			erin.b.Click(passkeyForm + " button")
			erin.b.WaitText("[data-status]", quietHint) // the browser has none for the site's own relying party
		}
		erin.arrived(erin.b.Tab, begin("OTHER.test")) // autofill answers at once
		erin.key.Remove()
	})
	t.Run("answered before", func(t *testing.T) { alice.replay(t) })
	t.Run("alone, and nobody verified", func(t *testing.T) {
		bob := w.keyed(w.user())
		bob.b.Follow("button.switch")
		bob.b.WaitFor("button.switch[aria-checked=true]")
		begin := func() string {
			begun := w.call("passkey", "second_factor", w.start("").With("user", "", "password", ""))
			bob.b.Go(begun.URL)
			return begun.Transaction
		}
		bob.arrived(bob.b.Tab, begin()) // autofill answers at once, as the authenticator touches itself
		bob.key.SetUserVerified(false)
		begin()
		bob.b.WaitFor(passkeyForm + " button")
		bob.b.Click(passkeyForm + " button")
		bob.b.WaitText("[data-status]", quietHint)
		bob.key.SetUserVerified(true)
		bob.key.Break(webauthn.SetResponseOverrideBitsParams{IsBadUV: new(true)})
		begin()
		bob.b.WaitText(".alert.bad", notAccepted)
		bob.key.Remove() // it would touch itself again and again
	})
}

// replay posts one answer twice, at two webhooks, and again when it has signed in.
func (p *keyed) replay(t *testing.T) {
	transaction := p.begin(p.b.Tab)
	browsertest.Eval[bool](p.b.Tab, `(() => { HTMLFormElement.prototype.submit = function() {
		window.sent = new URLSearchParams(new FormData(this)).toString() }; return true })()`)
	p.b.Click(passkeyForm + " button")
	sent := browsertest.Eval[string](p.b.Tab, `new Promise(done => { const wait = setInterval(() => { if (window.sent) { clearInterval(wait); done(window.sent) } }, 20) })`)
	form, err := url.ParseQuery(sent)
	must(t, err)
	cookies := map[string]string{}
	for _, c := range p.b.Cookies() {
		if c.Domain == "mail.example.test" {
			cookies[c.Name] = c.Value
		}
	}
	send := func(hook int) *hooktest.Page {
		b := hooktest.NewBrowser(p.Webmail.Webhooks[hook].Client(), addr)
		b.Cookies = cookies
		page, err := b.Post(t.Context(), strings.Replace(p.Webmail.PublicURL, "https:", "http:", 1)+"sign-in", form)
		must(t, err)
		return page
	}
	first, second := hooktest.Code(send(0).Location()), hooktest.Code(send(1).Location())
	if first == "" || second == "" {
		t.Fatal("neither webhook has heard of an exchange, and one refuses the answer")
	}
	p.call("exchange", "granted", hooktest.Fields{"transaction": transaction, "code": second})
	was := p.sessions()
	p.call("exchange", "granted", hooktest.Fields{"transaction": transaction, "code": first}) // an answer that was lost on the way
	if is := p.sessions(); is != was {
		t.Errorf("one answer of the passkey gives %d sessions more", is-was)
	}
	for hook := range p.Webmail.Webhooks {
		if page := send(hook); page.Status != http.StatusUnprocessableEntity || page.Location() != "" {
			t.Errorf("webhook %d takes an answer once more: status %d, %s", hook, page.Status, page.Location())
		}
	}
}

// sessions is how many webmail sessions the person has.
func (p *keyed) sessions() int {
	p.t.Helper()
	acct, err := p.desk.Store.Find(p.t.Context(), p.user)
	must(p.t, err)
	return len(acct.Values(account.KindSession))
}

// The method that this browser used last is offered first; another browser hears of
// the best one, and backup codes are never first.
func TestSignInRemembersTheMethod(t *testing.T) {
	w := keySite(t)
	p := w.keyed(w.user())
	added, err := w.desk.AddTOTP(t.Context(), operator, p.user, desk.NewTOTP{})
	must(t, err)
	codes := p.backupCodes()
	elsewhere := browsertest.New(t)
	elsewhere.Address(addr)

	transaction := p.begin(p.b.Tab) // the passkey comes first
	p.b.Follow("button[value=totp]")
	p.b.Fill("#code", code(t, &added.TOTP))
	p.b.Follow("button.primary")
	p.arrived(p.b.Tab, transaction)
	begun := w.call("login", "second_factor", w.start(p.user))
	p.b.Go(begun.URL)
	p.b.WaitFor("#code[inputmode=numeric]")
	p.b.Follow("button[value=backup]")
	p.b.Fill("#code", codes[0])
	p.b.Follow("button.primary")
	p.arrived(p.b.Tab, begun.Transaction)
	p.b.Go(w.call("login", "second_factor", w.start(p.user)).URL)
	p.b.WaitFor("#code[inputmode=numeric]") // not the backup codes
	elsewhere.Go(w.call("login", "second_factor", w.start(p.user)).URL)
	elsewhere.WaitFor(passkeyForm + " button")
	p.b.NoProblems("status of 404") // webmail's own page
}

// backupCodes makes new ones on the security pages.
func (p *keyed) backupCodes() []string {
	p.t.Helper()
	p.b.Follow("a[href$='security/backup-codes']")
	if p.b.Has(passkeyForm) {
		p.b.Click(passkeyForm + " button")
	}
	p.b.WaitURL("security/backup-codes")
	p.b.Follow("main form button.primary, main form button[class*=danger]")
	p.b.WaitFor("#codes")
	return browsertest.Eval[[]string](p.b.Tab, `Array.from(document.querySelectorAll("#codes li"), e => e.textContent.trim())`)
}

// W2: what is removed on the security page is forgotten by the browser's password
// manager too, and what is renamed stays.
func TestW2_RemovedPasskeyIsForgotten(t *testing.T) {
	w := keySite(t)
	p := w.keyed(w.user())
	_, err := w.desk.AddTOTP(t.Context(), operator, p.user, desk.NewTOTP{})
	must(t, err)
	p.b.Follow("#methods a[href*='rename?kind=passkey']")
	p.b.Fill("#name", "Desk")
	p.b.Follow("main form button.primary")
	p.b.WaitText("#methods", "Desk")
	p.b.WaitFor("[data-signal]")
	if n := len(p.key.Credentials()); n != 1 {
		t.Fatalf("%d passkeys after a rename", n)
	}
	p.b.Follow("#methods form[action$='security/passwordless'] button")
	p.b.WaitText(".alert.good", "with Desk alone")
	p.b.Follow("#methods form[action$='security/passwordless'] button")
	p.b.WaitText(".alert.good", "Desk now works")
	p.b.Follow("#methods a[href*='remove?kind=passkey']")
	p.b.Follow("main form button[class*=danger], main form button.primary")
	p.b.WaitText("#methods", "passkey")
	for end := time.Now().Add(time.Minute); len(p.key.Credentials()) != 0; {
		if time.Now().After(end) {
			t.Fatal("the removed passkey is still there")
		}
	}
	acct, err := w.desk.Store.Find(t.Context(), p.user)
	must(t, err)
	if n := len(acct.Values(account.KindPasskey)); n != 0 {
		t.Errorf("%d passkeys in the record", n)
	}
	p.b.NoProblems()
}
