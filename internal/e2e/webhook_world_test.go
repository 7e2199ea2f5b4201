package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// hooked is a site with webhooks, as webmail and browsers see it.
type hooked struct {
	*world
	hooks []*hooktest.Hook
}

// unlimited are limits on guessing that tests of other things do not meet.
var unlimited = mailtest.Settings{"throttle": {
	"prefix_free": 99_999, "prefix_refuse": 100_000, "network_free": 99_999, "network_refuse": 100_000,
	"account_free": 99_999, "account_refuse": 100_000, "site_free": 100_000, "bind_cap": 100,
}}

// twoWebhooks is the site with two webhooks that tests share.
func twoWebhooks(t *testing.T) *hooked {
	t.Helper()
	return hook(inhabit(t, mailtest.Shared(t, "two webhooks", webhookOptions(2))))
}

func webhookOptions(n int) mailtest.Options {
	return mailtest.Options{Webmail: &mailtest.WebmailOptions{Webhooks: n}, Settings: unlimited,
		Slapd: mailtest.SlapdOptions{Log: true}}
}

func hook(w *world) *hooked {
	h := &hooked{world: w}
	for _, daemon := range w.Webmail.Webhooks {
		h.hooks = append(h.hooks, &hooktest.Hook{Client: daemon.Client(), Key: w.Webmail.HookKey})
	}
	return h
}

// browserAt is a browser that a daemon shows its pages to.
func (h *hooked) browserAt(node int, addr string) *hooktest.Browser {
	return hooktest.NewBrowser(h.Webmail.Webhooks[node].Client(), addr)
}

const household = "203.0.113.7"

// start are the fields of a login.
func (h *hooked) start(user string) hooktest.Fields {
	return hooktest.Fields{"user": user, "password": mailtest.Password, "remote_ip": household,
		"user_agent": "Firefox", "return_to": h.Webmail.URL}
}

// withFactor makes a user with an authenticator, which tolerates codes of five steps.
func (h *hooked) withFactor() (string, *authenticator) {
	h.t.Helper()
	user := h.user(mailtest.Password)
	added, err := h.desk.AddTOTP(h.t.Context(), admin, user, desk.NewTOTP{})
	must(h.t, err)
	h.ctl("policy", "set", "user", user, "totp_tolerance=10")
	return user, &authenticator{TOTP: added.TOTP}
}

// authenticator is a user's app, which shows codes in turn.
type authenticator struct {
	factor.TOTP
	last int64
}

// next is a code that was not shown yet.
func (a *authenticator) next(t testing.TB) string {
	t.Helper()
	a.last = max(a.last+1, time.Now().Unix()/int64(a.Period)-5)
	code, err := a.Code(time.Unix(a.last*int64(a.Period), 0))
	must(t, err)
	return code
}

// call calls a method of one daemon, whose answer must have the result.
func (h *hooked) call(node int, method, result string, f hooktest.Fields) *hooktest.Answer {
	h.t.Helper()
	a, err := h.hooks[node].Call(h.t.Context(), method, f)
	must(h.t, err)
	if a.Result != result {
		h.t.Fatalf("%s: %d %s, want %q", method, a.Status, a.Raw, result)
	}
	return a
}

// begin begins a login with the right password and opens its page.
func (h *hooked) begin(node int, user, addr string) (*pageOf, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a, err := h.hooks[node].Call(ctx, "login", h.start(user).With("remote_ip", addr))
	if err != nil || a.Result != "second_factor" {
		return nil, fmt.Errorf("login: %s, %w", a.Raw, err)
	}
	p := &pageOf{hooked: h, node: node, transaction: a.Transaction, browser: h.browserAt(node, addr)}
	p.page, err = p.browser.Get(ctx, a.URL)
	if err == nil && p.page.Status != http.StatusOK {
		err = fmt.Errorf("the page: %d\n%s", p.page.Status, p.page.Body)
	}
	return p, err
}

// mustBegin is begin for the test's own goroutine.
func (h *hooked) mustBegin(node int, user string) *pageOf {
	h.t.Helper()
	p, err := h.begin(node, user, household)
	must(h.t, err)
	return p
}

// pageOf is a login whose page a browser has open.
type pageOf struct {
	*hooked
	node        int
	transaction string
	browser     *hooktest.Browser
	page        *hooktest.Page
	last        string // what the page answered
}

// answer posts a code; the one-time code comes back, if it is right.
func (p *pageOf) answer(method, code string) (oneTime string, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	page := p.page
	if form, _, err := page.Form("sign-in"); err != nil || form.Get("method") != method {
		if page, err = p.browser.Submit(ctx, p.page, "sign-in/method", "method", method); err != nil {
			return "", 0, err
		}
	}
	got, err := p.browser.Submit(ctx, page, "sign-in", "code", code)
	if err != nil {
		return "", 0, err
	}
	p.last = got.Body
	return hooktest.Code(got.Location()), got.Status, nil
}

// mustAnswer is answer with a right code.
func (p *pageOf) mustAnswer(method, code string) string {
	p.t.Helper()
	oneTime, status, err := p.answer(method, code)
	must(p.t, err)
	if status != http.StatusSeeOther || oneTime == "" {
		p.t.Fatalf("the page answers %d to a right code\n%s", status, p.last)
	}
	return oneTime
}

// exchange exchanges at a daemon.
func (h *hooked) exchange(node int, transaction, code string) (*hooktest.Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return h.hooks[node].Call(ctx, "exchange", hooktest.Fields{"transaction": transaction, "code": code})
}

// sessions are the account's live ones.
func (h *hooked) sessions(user string) []desk.Session {
	h.t.Helper()
	view, err := h.desk.Overview(h.t.Context(), user)
	must(h.t, err)
	return view.Sessions
}

// failures are the wrong tries that are counted.
func (h *hooked) failures(user string) uint {
	h.t.Helper()
	return h.account(user).State.Failures[account.KindTOTP]
}

// patient lets the back-off of an account be over: waiting takes hours.
func (h *hooked) patient(user string) {
	h.t.Helper()
	for {
		a := h.account(user)
		state := a.State.Clone()
		state.FailedAt = nil
		edits, err := a.StateEdit(state, time.Now())
		must(h.t, err)
		if h.desk.Store.Apply(h.t.Context(), a, edits...) == nil {
			return
		}
	}
}
