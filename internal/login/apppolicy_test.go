package login_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

const day = 24 * time.Hour

// policyOf sets the account's own policy.
func (w *site) policyOf(text string) {
	w.t.Helper()
	a := w.account()
	was := ""
	if n := len(a.Policy); n > 0 && a.Policy[n-1].Origin == "account" {
		was = a.Policy[n-1].Text
	}
	if err := w.store.ApplyPolicy(ctx, a, was, text); err != nil {
		w.t.Fatal(err)
	}
}

func (w *site) app(n desk.NewAppPassword) desk.CreatedAppPassword {
	w.t.Helper()
	n.Name = "phone"
	made, err := w.desk.CreateAppPassword(ctx, desk.Root("test"), w.user, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *site) wantDoors(what string, password account.Secret, reason login.Reason, services ...account.Service) {
	w.t.Helper()
	for _, s := range services {
		d := w.door(password, s, "198.51.100.7")
		if d.Reason != reason || (d.Outcome == account.Granted) != (reason == "") {
			w.t.Errorf("%s, %s: %s %q, want %q", what, s, d.Outcome, d.Reason, reason)
		}
	}
}

// usedAt waits until a last use is stored: it is written in the background.
func (w *site) usedAt(id string, at time.Time) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if r, err := w.account().Record(account.KindApp, id); err == nil && r.Used.At.Equal(at) {
			return
		}
	}
	w.t.Fatalf("no use at %v was stored", at)
}

// An app password that nobody used for as many days as policy says is expired at every
// door, DAV's (/v1/basic) among them; each use counts anew, and policy is what holds now.
func TestP3_UnusedExpires(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.policyOf(`{"app_password_unused_days":7}`)
	all := []account.Service{account.IMAP, account.POP3, account.SMTP, account.Sieve, account.DAV}
	used, never := w.app(desk.NewAppPassword{Services: all}), w.app(desk.NewAppPassword{Services: all})
	w.pass(7*day - time.Second)
	w.wantDoors("a second before", used.Password, "", account.IMAP)
	w.usedAt(used.ID, w.clock())
	w.pass(time.Second)
	w.wantDoors("never used", never.Password, login.AppPasswordExpired, all...)
	w.wantDoors("used", used.Password, "", all...)
	w.pass(7*day - time.Second)
	w.wantDoors("used, and then not", used.Password, login.AppPasswordExpired, all...)
	w.policyOf(`{"app_password_unused_days":0}`)
	w.wantDoors("by a policy without", never.Password, "", account.IMAP)
}

// What policy allows no more is refused at the doors, whatever the app password was made for.
func TestA2_ServicesAtTheDoor(t *testing.T) {
	w := newSite(t, policy.Settings{})
	app := w.app(desk.NewAppPassword{Services: []account.Service{account.IMAP, account.SMTP, account.DAV}})
	w.wantDoors("before", app.Password, "", account.IMAP, account.SMTP, account.DAV)
	w.policyOf(`{"app_password_services":["imap"]}`)
	w.wantDoors("allowed", app.Password, "", account.IMAP, account.Doveadm)
	w.wantDoors("not allowed", app.Password, login.WrongService, account.SMTP, account.DAV, account.POP3)
	w.policyOf(`{"app_password_services":["imap","smtp"]}`)
	w.wantDoors("allowed again", app.Password, "", account.SMTP)
}

// Tickets are no app passwords: the policy of services is not about webmail.
func TestA2_ServicesLeaveTicketsAlone(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.policyOf(`{"app_password_services":["dav"]}`)
	live := w.begin().Live
	if d := w.door(live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Granted {
		t.Errorf("%s %s", d.Outcome, d.Reason)
	}
}

// A service account has its app passwords and nothing else: its main password opens no
// door and no webmail, nobody is led to enrol, and no app password expires for want of use.
func TestA19_ServiceAccount(t *testing.T) {
	for name, text := range map[string]string{
		"alone":                                  `{"service_account":true,"app_password_unused_days":7}`,
		"under a mandatory policy, in its grace": `{"service_account":true,"app_password_unused_days":7,"twofactor":"mandatory","grace":"14d"}`,
		"under a mandatory policy":               `{"service_account":true,"app_password_unused_days":7,"twofactor":"mandatory"}`,
		"without two-factor login":               `{"service_account":true,"app_password_unused_days":7,"twofactor":"off"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t, policy.Settings{})
			w.policyOf(text)
			app := w.app(desk.NewAppPassword{Services: []account.Service{account.SMTP}, Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}})
			main := account.SecretString(mailtest.Password)
			w.wantDoors("main password", main, login.AppPasswordRequired, account.IMAP, account.SMTP)
			w.wantDoors("wrong password", account.SecretString("wrong"), login.WrongPassword, account.IMAP)
			if r := w.begin(); r.Outcome != account.Denied || r.Reason != login.ServiceAccount || r.Step != "" || r.Live != nil {
				t.Errorf("webmail: %+v", r)
			}
			w.pass(30 * day)
			w.wantDoors("a month later", app.Password, "", account.SMTP)
			w.wantDoors("another service", app.Password, login.WrongService, account.IMAP)
			if d := w.door(app.Password, account.SMTP, "203.0.113.1"); d.Reason != login.WrongNetwork {
				t.Errorf("another network: %s", d.Reason)
			}
			if a := w.account(); !a.State.GraceStart.IsZero() {
				t.Error("its grace began, and nobody is there to enrol")
			}
		})
	}
}

// What a person had who became a service account ends with that: sign-ins that wait for
// a factor, sessions and their tickets.
func TestA19_BecomesServiceAccount(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	live, _, _ := w.signIn(totp)
	r := w.toFactor()
	v := w.visit(r)
	w.pass(30 * time.Second)
	c := oneTimeCode(t, w.answer(v, w.code(totp)))
	w.policyOf(`{"service_account":true}`)
	wantReason(t, "password", w.begin().Reason, login.ServiceAccount)
	wantReason(t, "answer", w.answer(v, w.code(totp)).Reason, login.ServiceAccount)
	wantReason(t, "exchange", w.Exchange(ctx, "roundcube", r.Transaction, c).Reason, login.ServiceAccount)
	wantReason(t, "renewal", w.Renew(ctx, "roundcube", live.Grant).Reason, login.ServiceAccount)
	wantReason(t, "ticket", w.door(live.Ticket, account.IMAP, "127.0.0.1").Reason, login.SessionEnded)
	wantReason(t, "a stranger", w.Begin(ctx, login.Start{Client: "roundcube", User: w.user,
		Password: account.SecretString("wrong"), Addr: home, Agent: "Firefox"}).Reason, login.WrongPassword)
}

// A bypass is for people who lost their factor: one from before opens nothing, and there
// is no new one.
func TestA19_NoBypass(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	n := desk.NewBypass{For: time.Hour, Reason: "lost phone"}
	if _, err := w.desk.Bypass(ctx, desk.Root("test"), w.user, n); err != nil {
		t.Fatal(err)
	}
	main := account.SecretString(mailtest.Password)
	w.policyOf(`{"service_account":true}`)
	w.wantDoors("a service account", main, login.AppPasswordRequired, account.IMAP)
	wantReason(t, "webmail", w.begin().Reason, login.ServiceAccount)
	if _, err := w.desk.Bypass(ctx, desk.Root("test"), w.user, n); !errors.Is(err, desk.ErrForbidden) {
		t.Errorf("a new one: %v", err)
	}
}

// Another passdb that knows the main password does not let a service account in either.
func TestA19_SecondNet(t *testing.T) {
	p := newPerson(t)
	p.acct.Policy = policy.Layers{policy.ParseJSON("account", `{"service_account":true}`)}
	password := p.app(t, factor.AppPassword{}, nil)
	w := settled(t, p, login.Settings{})
	a := imap("alice@example.test", mainPassword)
	w.expectPermit(t, question(a, ""), "")
	w.expectPermit(t, question(a, ""), login.AppPasswordRequired)
	if d := w.gate.Mail(ctx, imap("alice@example.test", password)); d.Outcome != account.Granted {
		t.Errorf("%s %s", d.Outcome, d.Reason)
	}
}
