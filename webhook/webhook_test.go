package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/browsertest"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// world is a site with a webhook, and an administrator at its desk.
type world struct {
	*mailtest.Site
	*hooktest.Hook
	t    *testing.T
	desk *desk.Desk
}

var operator = desk.Root("test root@host")

// shared is a site that tests share. Together they guess more than limits on guessing
// let pass.
func shared(t *testing.T) *world {
	t.Helper()
	return inhabit(t, mailtest.Shared(t, "webmail", mailtest.Options{Webmail: &mailtest.WebmailOptions{},
		Settings: mailtest.Settings{"throttle": {
			"prefix_free": 99_999, "prefix_refuse": 100_000, "network_free": 99_999, "network_refuse": 100_000,
			"account_free": 99_999, "account_refuse": 100_000, "site_free": 100_000, "bind_cap": 100,
		}}}))
}

func inhabit(t *testing.T, s *mailtest.Site) *world {
	t.Helper()
	cfg, err := app.Load(s.Path)
	must(t, err)
	store, _, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor)
	must(t, err)
	t.Cleanup(store.Close)
	return &world{Site: s, t: t, desk: &desk.Desk{Store: store, Recorder: effect.Discard{}, Now: time.Now},
		Hook: &hooktest.Hook{Client: s.Webmail.Webhook().Client(), Key: s.Webmail.HookKey}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var users int

// user makes a user with mailtest.Password.
func (w *world) user() string {
	w.t.Helper()
	users++
	mail := "w" + strings.ReplaceAll(time.Now().Format("150405.000000"), ".", "") + "@example.test"
	must(w.t, w.Slapd.AddUser(mail, mailtest.Password, nil))
	return mail
}

// twoFactor makes a user with an authenticator.
func (w *world) twoFactor() (string, *factor.TOTP) {
	w.t.Helper()
	user := w.user()
	added, err := w.desk.AddTOTP(w.t.Context(), operator, user, desk.NewTOTP{})
	must(w.t, err)
	return user, &added.TOTP
}

const addr = "203.0.113.7"

// start are the fields of a login.
func (w *world) start(user string) hooktest.Fields {
	return hooktest.Fields{"user": user, "password": mailtest.Password, "remote_ip": addr,
		"user_agent": "Firefox", "return_to": w.Webmail.URL + "?_task=login&_state=1"}
}

// call calls a method, whose answer must have the status 200 and the result.
func (w *world) call(method, result string, f hooktest.Fields) *hooktest.Answer {
	w.t.Helper()
	a, err := w.Call(w.t.Context(), method, f)
	must(w.t, err)
	if a.Status != http.StatusOK || a.Result != result {
		w.t.Fatalf("%s: %d %s, want %q", method, a.Status, a.Raw, result)
	}
	return a
}

// browser is one at the address that webmail tells.
func (w *world) browser() *hooktest.Browser {
	return hooktest.NewBrowser(w.Webmail.Webhook().Client(), addr)
}

func (w *world) get(b *hooktest.Browser, status int, address string) *hooktest.Page {
	w.t.Helper()
	p, err := b.Get(w.t.Context(), address)
	must(w.t, err)
	return w.wantStatus(p, status)
}

func (w *world) submit(b *hooktest.Browser, status int, p *hooktest.Page, action string, fields ...string) *hooktest.Page {
	w.t.Helper()
	p, err := b.Submit(w.t.Context(), p, action, fields...)
	must(w.t, err)
	return w.wantStatus(p, status)
}

func (w *world) wantStatus(p *hooktest.Page, status int) *hooktest.Page {
	w.t.Helper()
	if p.Status != status {
		w.t.Fatalf("%s: status %d, want %d\n%s", p.URL.Path, p.Status, status, p.Body)
	}
	return p
}

func code(t testing.TB, totp *factor.TOTP) string {
	t.Helper()
	c, err := totp.Code(time.Now())
	must(t, err)
	return c
}

// The whole way: password, page, code, ticket, renewal, end.
func TestLoginFromPasswordToLogout(t *testing.T) {
	w := shared(t)
	user, totp := w.twoFactor()
	begun := w.call("login", "second_factor", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	back := w.submit(b, http.StatusSeeOther, page, "sign-in", "code", code(t, totp)).Location()
	if !strings.HasPrefix(back, w.Webmail.URL+"?_task=login&_state=1&code=") {
		t.Fatalf("the browser goes to %s", back)
	}
	in := w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	if in.User != user || in.Account != user || in.Grant == "" || !strings.HasPrefix(in.Ticket, "pt1_") {
		t.Errorf("%s", in.Raw)
	}
	again := w.call("renew", "granted", hooktest.Fields{"grant": in.Grant})
	if again.Grant != in.Grant || again.Ticket == "" {
		t.Errorf("%s", again.Raw)
	}
	w.call("check", "granted", hooktest.Fields{"grant": in.Grant, "password": mailtest.Password})
	w.call("check", "denied", hooktest.Fields{"grant": in.Grant, "password": "wrong"})
	w.call("logout", "ended", hooktest.Fields{"grant": in.Grant})
	w.call("logout", "ended", hooktest.Fields{"grant": in.Grant})
	w.call("renew", "denied", hooktest.Fields{"grant": in.Grant})
}

var newApp = desk.NewAppPassword{Name: "phone"}
