package e2e

import (
	"net/http"
	"testing"

	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// ATTACKS 3: no order of steps but the right one leads anywhere, and nothing before
// the last one is worth anything.
func TestAttack03_StepsOutOfOrderAtTheHook(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, app := h.withFactor()
	one, two := h.mustBegin(0, user), h.mustBegin(1, user)
	pageToken := one.token()
	code := one.mustAnswer("totp", app.next(t))
	for name, c := range map[string][2]string{
		"before the page":           {two.transaction, ""},
		"a transaction as code":     {two.transaction, two.transaction},
		"the page's token as code":  {one.transaction, pageToken},
		"the page's token":          {pageToken, code},
		"a code as transaction":     {code, code},
		"another login's code":      {two.transaction, code},
		"nothing":                   {"", ""},
		"rubbish":                   {"AAAA", "AAAA"},
		"a code that was cut short": {one.transaction, code[:len(code)-1]},
	} {
		a, err := h.exchange(0, c[0], c[1])
		if err != nil || a.Result != "denied" || a.Ticket+a.Grant != "" {
			t.Errorf("%s: %s, %v", name, a.Raw, err)
		}
	}
	for _, token := range []string{one.transaction, code, pageToken} {
		for _, method := range []string{"renew", "logout"} {
			h.call(0, method, "denied", hooktest.Fields{"grant": token})
		}
		h.call(0, "check", "denied", hooktest.Fields{"grant": token, "password": mailtest.Password})
	}
	if n := len(h.sessions(user)); n != 0 {
		t.Fatalf("%d sessions before the last step", n)
	}
	h.wantExchange(1, "granted", one.transaction, code)
}

// token is the one in the page's form.
func (p *pageOf) token() string {
	p.t.Helper()
	form, _, err := p.page.Form("sign-in")
	must(p.t, err)
	token, _, _ := cutDot(form.Get("t"))
	return token
}

func cutDot(s string) (before, after string, found bool) {
	for i := range s {
		if s[i] == '.' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// ATTACKS 3: pressed twice, a button does what pressing it once does.
func TestAttack03_LoginPressedTwice(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, app := h.withFactor()
	p := h.mustBegin(0, user)
	typed := app.next(t)
	first, again := p.mustAnswer("totp", typed), p.mustAnswer("totp", typed)
	h.wantExchange(0, "granted", p.transaction, first)
	h.wantExchange(1, "granted", p.transaction, again)
	if n := len(h.sessions(user)); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// ATTACKS 3, 25: a link that somebody passes on, by mistake or to be let in, opens
// nothing: neither in another browser, nor from another network, nor without cookies.
func TestAttack03_PhishedLink(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, app := h.withFactor()
	p := h.mustBegin(0, user)
	stolen := p.page.URL.String()
	for name, b := range map[string]*hooktest.Browser{
		"another browser":   h.browserAt(0, household),
		"another network":   h.browserAt(0, "198.51.100.1"),
		"of the other node": h.browserAt(1, "198.51.100.1"),
	} {
		got, err := b.Get(t.Context(), stolen)
		must(t, err)
		if got.Status != http.StatusForbidden {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
	// At the other node, which does not know who came first, another browser of the
	// network sees the form; its cookie decides about the answer's session all the same:
	// the code is worth nothing without the transaction, which webmail ties to its own.
	form, target, err := p.page.Form("sign-in")
	must(t, err)
	form.Set("code", app.next(t))
	naked := h.browserAt(0, household)
	if got, err := naked.Post(t.Context(), target, form); err != nil || got.Status != http.StatusBadRequest {
		t.Errorf("without cookies: %d, %v", got.Status, err)
	}
	naked.Cookies["__Host-postern_browser"] = "of-the-attacker's-choosing"
	if got, err := naked.Post(t.Context(), target, form); err != nil || got.Status != http.StatusForbidden {
		t.Errorf("with a cookie of its own: %d, %v", got.Status, err)
	}
	p.mustAnswer("totp", form.Get("code"))
}

// ATTACKS 26: a client's transactions and grants are noise to every other.
func TestAttack26_AnotherClientsKey(t *testing.T) {
	mailtest.Long(t)
	h := hook(fresh(t, webhookOptions(2)))
	must(t, h.Reconfigure(mailtest.Settings{"webhook.clients.other": {
		"key_file": h.Dir + "/policyserver.key", "return_urls": []string{"https://other.example.test/"}}}))
	for _, daemon := range h.Webmail.Webhooks {
		must(t, daemon.Restart(t.Context()))
	}
	h = hook(h.world)
	other := &hooktest.Hook{Client: h.hooks[0].Client, Key: h.Config.Key}
	user, app := h.withFactor()
	p := h.mustBegin(0, user)
	code := p.mustAnswer("totp", app.next(t))
	ask := func(method, result string, f hooktest.Fields) {
		t.Helper()
		a, err := other.Call(t.Context(), method, f)
		if err != nil || a.Result != result || a.Ticket+a.Grant+a.URL != "" {
			t.Errorf("%s: %s, %v", method, a.Raw, err)
		}
	}
	ask("exchange", "denied", hooktest.Fields{"transaction": p.transaction, "code": code})
	a, err := h.exchange(1, p.transaction, code)
	if err != nil || a.Result != "granted" {
		t.Fatalf("%s, %v", a.Raw, err)
	}
	ask("exchange", "denied", hooktest.Fields{"transaction": p.transaction, "code": code})
	for method, f := range map[string]hooktest.Fields{
		"renew": {"grant": a.Grant}, "logout": {"grant": a.Grant}, "check": {"grant": a.Grant, "password": mailtest.Password},
		"settings": {"grant": a.Grant, "return_to": "https://other.example.test/"},
	} {
		ask(method, "denied", f)
	}
	ask("login", "error", h.start(user)) // its browsers go elsewhere
	h.call(0, "renew", "granted", hooktest.Fields{"grant": a.Grant})
	// Nobody is named in the middle of a login.
	h.call(0, "exchange", "error", hooktest.Fields{"transaction": p.transaction, "code": code, "user": "admin@example.test"})
}
