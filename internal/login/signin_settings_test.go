package login_test

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

// owner opens the settings of a session.
func (w *site) owner(grant string) *login.Owner {
	w.t.Helper()
	o, reason, err := w.Owner(ctx, w.settingsCookie(grant), firefox)
	if err != nil || reason != "" {
		w.t.Fatalf("settings: %q, %v", reason, err)
	}
	return o
}

func (w *site) settingsCookie(grant string) string {
	w.t.Helper()
	link := w.settingsLink(grant)
	cookie, reason, err := w.Redeem(ctx, link, firefox)
	if err != nil || reason != "" {
		w.t.Fatalf("redeem: %q, %v", reason, err)
	}
	if _, reason, _ := w.Redeem(ctx, link, firefox); reason != login.BadLink {
		w.t.Fatalf("a link was redeemed twice: %q", reason)
	}
	return cookie
}

func (w *site) settingsLink(grant string) string {
	w.t.Helper()
	text, r := w.SettingsLink(ctx, "roundcube", grant, "https://mail.example.test/")
	u, err := url.Parse(text)
	if err != nil || r.Outcome != account.Granted {
		w.t.Fatalf("link: %+v, %v", r, err)
	}
	return u.Query().Get("t")
}

func TestA8_SettingsAskAgain(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	live, _, _ := w.signIn(totp)
	used := w.code(totp)
	o := w.owner(live.Grant)
	if o.Confirmed(w.clock()) {
		t.Fatal("signing in counts as a confirmation")
	}
	confirm := func(code string) login.Answer {
		return w.Confirm(ctx, o, login.Reply{Method: "totp", Input: map[string]string{"code": code}})
	}
	wantReason(t, "the code that signed in", confirm(used).Reason, login.SpentCode)
	wantReason(t, "the password", w.ConfirmPassword(ctx, o, account.SecretString(mailtest.Password)).Reason, login.FactorMissing)
	w.pass(30 * time.Second)
	code := w.code(totp)
	a := confirm(code)
	if a.Outcome != account.Granted {
		t.Fatalf("%+v", a)
	}
	wantReason(t, "the same code again", confirm(code).Reason, login.SpentCode)
	o, _, _ = w.Owner(ctx, a.Redirect, firefox)
	if !o.Confirmed(w.clock()) || o.Enrolee(w.clock()) == nil {
		t.Error("not confirmed")
	}
	w.pass(5 * time.Minute)
	if o.Confirmed(w.clock()) || o.Enrolee(w.clock()) != nil {
		t.Error("still confirmed after five minutes")
	}
	another := firefox
	another.Cookie = "another-browser"
	if _, reason, _ := w.Owner(ctx, a.Redirect, another); reason != login.GrantOver {
		t.Errorf("the cookie in another browser: %q", reason)
	}
	w.End(ctx, "roundcube", live.Grant)
	if _, reason, _ := w.Owner(ctx, a.Redirect, firefox); reason != login.GrantOver {
		t.Errorf("after logout: %q", reason)
	}
}

// Enrolment from the settings: nothing is on before the codes were saved, the code that
// proved it is spent, and the session in which it happened goes on.
func TestT1_EnrolInSettings(t *testing.T) {
	w := newSite(t, policy.Settings{})
	first, second := w.begin(), w.begin()
	o := w.owner(first.Live.Grant)
	wantReason(t, "wrong password", w.ConfirmPassword(ctx, o, account.SecretString("wrong")).Reason, login.WrongPassword)
	a := w.ConfirmPassword(ctx, o, account.SecretString(mailtest.Password))
	if a.Outcome != account.Granted {
		t.Fatalf("%+v", a)
	}
	o, _, _ = w.Owner(ctx, a.Redirect, firefox)
	e := o.Enrolee(w.clock())
	if e == nil {
		t.Fatal("not confirmed")
	}
	p, err := w.EnrolPrompt(ctx, e, "totp")
	if err != nil {
		t.Fatal(err)
	}
	totp := w.shown(e, p)
	reply := func(code string) login.Reply {
		return login.Reply{Method: "totp", State: p.State, Input: map[string]string{"code": code}}
	}
	_, bad := w.CheckEnrol(ctx, e, reply("000000"), "phone")
	wantReason(t, "wrong", bad.Reason, login.WrongCode)
	en, ok := w.CheckEnrol(ctx, e, reply(w.code(totp)), "phone")
	if ok.Outcome != account.Granted || len(en.Codes) != 10 {
		t.Fatalf("%+v, %d codes", ok, len(en.Codes))
	}
	if w.account().TwoFactor() {
		t.Error("on before the codes were saved")
	}
	for range 2 { // the page is sent twice
		if _, err := w.FinishEnrol(ctx, e, en.Token); err != nil {
			t.Fatal(err)
		}
	}
	acct := w.account()
	if !acct.TwoFactor() || len(acct.Values(account.KindTOTP)) != 1 || len(acct.Values(account.KindBackup)) != 1 {
		t.Errorf("%+v", acct.State)
	}
	if r := w.Renew(ctx, "roundcube", first.Live.Grant); r.Outcome != account.Granted {
		t.Errorf("the session that enrolled: %+v", r)
	}
	wantReason(t, "the other session", w.Renew(ctx, "roundcube", second.Live.Grant).Reason, login.GrantOver)
	if d := w.door(second.Live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Denied {
		t.Errorf("the other session's ticket: %+v", d)
	}
	wantReason(t, "the code that enrolled", w.answer(w.visit(w.toFactor()), w.code(totp)).Reason, login.SpentCode)
	r := w.toFactor()
	c := oneTimeCode(t, w.Answer(ctx, w.visit(r), login.Reply{Method: "backup", Input: map[string]string{"code": string(en.Codes[3].Reveal())}}))
	if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Granted {
		t.Errorf("backup code: %+v", got)
	}
	wantReason(t, "backup code again", w.Answer(ctx, w.visit(w.toFactor()),
		login.Reply{Method: "backup", Input: map[string]string{"code": string(en.Codes[3].Reveal())}}).Reason, login.SpentCode)
}

// shown is the authenticator whose secret the page shows.
func (w *site) shown(e *login.Enrolee, p login.Prompt) *factor.TOTP {
	w.t.Helper()
	shown, err := factor.DecodeTOTPEnrolment(p.Shown)
	if err != nil {
		w.t.Fatal(err)
	}
	return &shown.TOTP
}

// A half-finished login adds no factor where there is one (ATTACKS 2), also not when
// its owner was faster.
func TestAttack02_EnrolVisitorIsTooLate(t *testing.T) {
	must := policy.Mandatory
	w := newSite(t, policy.Settings{TwoFactor: &must})
	r := w.begin()
	if r.Step != login.StepEnrol {
		t.Fatalf("%+v", r)
	}
	v := w.visit(r)
	if a := w.Postpone(v); a.Outcome == account.Granted {
		t.Error("postponed without grace")
	}
	e := v.Enrolee("")
	p, err := w.EnrolPrompt(ctx, e, "totp")
	if err != nil {
		t.Fatal(err)
	}
	en, a := w.CheckEnrol(ctx, e, login.Reply{Method: "totp", State: p.State,
		Input: map[string]string{"code": w.code(w.shown(e, p))}}, "thief")
	if a.Outcome != account.Granted {
		t.Fatalf("%+v", a)
	}
	w.enrol() // the owner
	if _, err := w.FinishEnrol(ctx, e, en.Token); err == nil {
		t.Error("a second factor was added by the password alone")
	}
	if n := len(w.account().Values(account.KindTOTP)); n != 1 {
		t.Errorf("%d authenticators", n)
	}
}

func TestA3_EnrolmentOnTheWayIn(t *testing.T) {
	must, grace := policy.Mandatory, policy.Duration(14*24*time.Hour)
	w := newSite(t, policy.Settings{TwoFactor: &must, Grace: &grace})
	r := w.begin()
	v := w.visit(r)
	if !v.MayPostpone() || !v.Enrolling() {
		t.Fatalf("%+v", r)
	}
	c := oneTimeCode(t, w.Postpone(v))
	if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Granted {
		t.Fatalf("postponed: %+v", got)
	}
	w.gate.Close(ctx) // the beginning of the grace is written
	w.SignIn, w.gate = w.node()
	w.pass(15 * 24 * time.Hour)
	r = w.begin()
	v = w.visit(r)
	if v.MayPostpone() || w.Postpone(v).Outcome == account.Granted {
		t.Error("postponed after the grace")
	}
	e := v.Enrolee("")
	p, err := w.EnrolPrompt(ctx, e, "totp")
	if err != nil {
		t.Fatal(err)
	}
	en, a := w.CheckEnrol(ctx, e, login.Reply{Method: "totp", State: p.State,
		Input: map[string]string{"code": w.code(w.shown(e, p))}}, "phone")
	if a.Outcome != account.Granted {
		t.Fatalf("%+v", a)
	}
	if _, err := w.FinishEnrol(ctx, e, en.Token); err != nil {
		t.Fatal(err)
	}
	c = oneTimeCode(t, w.Enrolled(ctx, v))
	got := w.Exchange(ctx, "roundcube", r.Transaction, c)
	if got.Outcome != account.Granted {
		t.Fatalf("after enrolment: %+v", got)
	}
	if d := w.door(got.Live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Granted {
		t.Errorf("%+v", d)
	}
}

// After a reset enrolment needs the administrator's token.
func TestAttack37_EnrolmentAfterReset(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	if _, err := w.desk.Reset(ctx, desk.Root("test"), w.user); err != nil {
		t.Fatal(err)
	}
	r := w.begin()
	if r.Step != login.StepEnrol {
		t.Fatalf("%+v", r)
	}
	v := w.visit(r)
	if !v.NeedsEnrolToken() {
		t.Error("no token is asked for")
	}
	e := v.Enrolee("")
	p, err := w.EnrolPrompt(ctx, e, "totp")
	if err != nil {
		t.Fatal(err)
	}
	en, a := w.CheckEnrol(ctx, e, login.Reply{Method: "totp", State: p.State,
		Input: map[string]string{"code": w.code(w.shown(e, p))}}, "phone")
	if a.Outcome != account.Granted {
		t.Fatalf("%+v", a)
	}
	if _, err := w.FinishEnrol(ctx, e, en.Token); err == nil {
		t.Error("enrolled without the token")
	}
	if w.account().State.Enrolled {
		t.Error("enrolled")
	}
}

// While the write server is down a user without a factor is let in without a ticket,
// and one with a factor is told that it could not be checked.
func TestAttack15_WriterDownAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	broken := &unwritable{Store: w.store}
	g := login.New(login.Parts{Store: broken, Prover: w.ring, Recorder: w.trail, Now: w.clock, Tickets: w.ring},
		login.Settings{Deadline: 5 * time.Second, MaxBinds: 8})
	t.Cleanup(func() { g.Close(ctx) })
	w.SignIn = login.NewSignIn(login.SignInParts{Gate: g, Tokens: w.ring, Signer: w.ring, Desk: w.desk,
		Factors: []factor.Factor{factor.TOTPFactor{}}}, login.SignInSettings{PublicURL: "https://mail.example.test/2fa/",
		TicketLife: time.Minute, TransactionLife: time.Minute})
	r := w.begin()
	if r.Outcome != account.Granted || r.Live == nil || !r.Live.Ticket.Empty() || r.Live.Grant != "" {
		t.Errorf("without a factor: %+v", r)
	}
	totp := w.enrol()
	r = w.toFactor()
	if _, reason, err := w.Open(ctx, pageToken(t, r), firefox); err == nil || reason != "" {
		t.Errorf("page: %q, %v", reason, err)
	}
	broken.up.Store(true)
	c := oneTimeCode(t, w.answer(w.visit(r), w.code(totp)))
	broken.up.Store(false)
	if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Unavailable {
		t.Errorf("exchange: %+v", got)
	}
	broken.up.Store(true)
	if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Granted {
		t.Errorf("exchange once it is back: %+v", got)
	}
}

// unwritable is a directory whose write server is down.
type unwritable struct {
	account.Store
	up atomic.Bool
}

var errDown = fmt.Errorf("down: %w", account.ErrUnavailable)

func (u *unwritable) Read(c context.Context, a *account.Account) (*account.Account, error) {
	if !u.up.Load() {
		return nil, errDown
	}
	return u.Store.Read(c, a)
}

func (u *unwritable) Apply(c context.Context, a *account.Account, e ...account.Edit) error {
	if !u.up.Load() {
		return errDown
	}
	return u.Store.Apply(c, a, e...)
}
