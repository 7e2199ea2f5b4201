package login_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
	"postern/internal/seal"
	"postern/ldapstore"
)

// another adds a second user to the site.
func (w *site) another() *site {
	w.t.Helper()
	directory, err := slapd()
	if err != nil {
		w.t.Fatal(err)
	}
	other := &site{SignIn: w.SignIn, t: w.t, gate: w.gate, store: w.store, ring: w.ring, desk: w.desk, trail: w.trail,
		user: fmt.Sprintf("signin%d@example.test", siteUsers.Add(1))}
	other.now.Store(w.now.Load())
	if err := directory.AddUser(other.user, mailtest.Password, nil); err != nil {
		w.t.Fatal(err)
	}
	return other
}

// under is the same site by another default policy.
func (w *site) under(defaults policy.Settings) *login.SignIn {
	w.t.Helper()
	directory, err := slapd()
	if err != nil {
		w.t.Fatal(err)
	}
	other := &site{t: w.t, store: openLDAP(w.t, directory, w.ring, defaults), ring: w.ring, desk: w.desk, trail: w.trail, user: w.user}
	other.now.Store(w.now.Load())
	s, _ := other.node()
	return s
}

func openLDAP(t *testing.T, directory *mailtest.Slapd, ring *seal.Ring, defaults policy.Settings) *ldapstore.Store {
	t.Helper()
	s, err := ldapstore.Open(ldapstore.Config{
		ReadURIs: []string{directory.URI()}, BindDN: mailtest.ServiceDN, BindPassword: account.SecretString(mailtest.Password),
		Base: mailtest.Base, UserFilter: "(mail=%u)", PosternBase: mailtest.PosternBase, Timeout: 5 * time.Second,
		DefaultPolicy: policy.Layer{Origin: "default", Settings: defaults},
	}, ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

var must = policy.Mandatory

func TestAttack03_PageWithoutCookie(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	nobody := firefox
	nobody.Cookie = ""
	if _, reason, _ := w.Open(ctx, pageToken(t, w.toFactor()), nobody); reason != login.BegunElsewhere {
		t.Errorf("%q", reason)
	}
}

func TestA3_GraceEndsWhileThePageIsOpen(t *testing.T) {
	start := policy.Date(time.Unix(1_800_000_000, 0).UTC())
	grace := policy.Duration(time.Hour)
	w := newSite(t, policy.Settings{TwoFactor: &must, Grace: &grace, GraceStart: &start})
	w.pass(time.Hour - 30*time.Second)
	r := w.begin()
	v := w.visit(r)
	c := oneTimeCode(t, w.Postpone(v))
	w.pass(30 * time.Second)
	if a := w.Postpone(v); a.Outcome == account.Granted {
		t.Error("postponed when the grace was over")
	}
	if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Denied {
		t.Errorf("exchanged when the grace was over: %+v", got)
	}
}

// What began with the password alone ends when policy demands more.
func TestA3_MandatoryEndsSessionsWithoutFactor(t *testing.T) {
	w := newSite(t, policy.Settings{})
	live := w.begin().Live
	wantReason(t, "renewal", w.under(policy.Settings{TwoFactor: &must}).Renew(ctx, "roundcube", live.Grant).Reason, login.GrantOver)
}

func TestB2_DeviceOfAnotherAccount(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	other := w.another()
	other.enrol()
	r := w.toFactor()
	a := w.Answer(ctx, w.visit(r), login.Reply{Method: "totp", Input: map[string]string{"code": w.code(totp)}, Trust: true})
	if got := w.Exchange(ctx, "roundcube", r.Transaction, oneTimeCode(t, a)); got.Outcome != account.Granted {
		t.Fatalf("%+v", got)
	}
	if got := w.Trusted(ctx, w.visit(w.toFactor()), a.Device.Value); got.Outcome != account.Granted {
		t.Fatalf("own: %+v", got)
	}
	if got := other.Trusted(ctx, other.visit(other.toFactor()), a.Device.Value); got.Outcome == account.Granted {
		t.Error("trusted for another account")
	}
}

func TestAttack26_GrantOfAnotherClient(t *testing.T) {
	w := newSite(t, policy.Settings{})
	live := w.begin().Live
	password := account.SecretString(mailtest.Password)
	for what, got := range map[string]login.Result{
		"renew": w.Renew(ctx, "horde", live.Grant), "end": w.End(ctx, "horde", live.Grant),
		"check": w.CheckMain(ctx, "horde", live.Grant, password, home),
	} {
		wantReason(t, what, got.Reason, login.BadGrant)
	}
	if _, got := w.SettingsLink(ctx, "horde", live.Grant, "https://horde.example.test/"); got.Reason != login.BadGrant {
		t.Errorf("settings: %+v", got)
	}
	if got := w.CheckMain(ctx, "roundcube", live.Grant, password, home); got.Outcome != account.Granted {
		t.Errorf("its own client: %+v", got)
	}
	wantReason(t, "wrong password", w.CheckMain(ctx, "roundcube", live.Grant, account.SecretString("no"), home).Reason, login.WrongPassword)
}

// confirmed opens the settings of the user's new session and gives the password.
func (w *site) confirmed() *login.Owner {
	w.t.Helper()
	o := w.owner(w.begin().Live.Grant)
	a := w.ConfirmPassword(ctx, o, account.SecretString(mailtest.Password))
	o, reason, err := w.Owner(ctx, a.Redirect, firefox)
	if err != nil || reason != "" || o.Enrolee(w.clock()) == nil {
		w.t.Fatalf("%+v, %q, %v", a, reason, err)
	}
	return o
}

// What one page was given is nothing in another's hands.
func TestAttack02_EnrolmentOfAnotherPage(t *testing.T) {
	w := newSite(t, policy.Settings{})
	mine, theirs := w.confirmed().Enrolee(w.clock()), w.another().confirmed().Enrolee(w.clock())
	p, err := w.EnrolPrompt(ctx, mine, "totp")
	if err != nil {
		t.Fatal(err)
	}
	reply := login.Reply{Method: "totp", State: p.State, Input: map[string]string{"code": w.code(w.shown(mine, p))}}
	if _, a := w.CheckEnrol(ctx, theirs, reply, "phone"); a.Outcome == account.Granted {
		t.Error("the secret that one page showed was enrolled by another")
	}
	en, a := w.CheckEnrol(ctx, mine, reply, "phone")
	if a.Outcome != account.Granted {
		t.Fatalf("%+v", a)
	}
	if _, err := w.FinishEnrol(ctx, theirs, en.Token); !login.Stale(err) {
		t.Errorf("finished by another: %v", err)
	}
}

func TestA2_MethodsAtEnrolment(t *testing.T) {
	only := []string{policy.MethodPasskey}
	w := newSite(t, policy.Settings{Methods: &only})
	e := w.confirmed().Enrolee(w.clock())
	if names := w.EnrolMethods(e); len(names) != 0 {
		t.Errorf("offered: %q", names)
	}
	p, err := w.EnrolPrompt(ctx, e, "totp")
	if err != nil {
		t.Fatal(err)
	}
	_, a := w.CheckEnrol(ctx, e, login.Reply{Method: "totp", State: p.State,
		Input: map[string]string{"code": w.code(w.shown(e, p))}}, "phone")
	wantReason(t, "enrolled", a.Reason, login.FactorForbidden)
}

// A factor that policy does not allow any more is refused where it is presented and,
// had it been presented before, at the exchange.
func TestA2_MethodForbiddenMeanwhile(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	only := []string{policy.MethodPasskey}
	strict := w.under(policy.Settings{Methods: &only})
	r := w.toFactor()
	c := oneTimeCode(t, w.answer(w.visit(r), w.code(totp)))
	wantReason(t, "exchange", strict.Exchange(ctx, "roundcube", r.Transaction, c).Reason, login.FactorForbidden)
	v, _, err := strict.Open(ctx, pageToken(t, w.toFactor()), firefox)
	if err != nil {
		t.Fatal(err)
	}
	a := strict.Answer(ctx, v, login.Reply{Method: "totp", Input: map[string]string{"code": w.code(totp)}})
	wantReason(t, "answer", a.Reason, login.FactorForbidden)
}

// counting counts how often a factor is really asked.
type counting struct {
	factor.Factor
	checks atomic.Int64
}

func (c *counting) Check(ctx context.Context, r factor.Request) (factor.Response, error) {
	c.checks.Add(1)
	return c.Factor.Check(ctx, r)
}

// Of many tries at once only as many are checked as were allowed one after the other.
func TestAttack07_ParallelTriesAreNotAllChecked(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	c := &counting{Factor: factor.TOTPFactor{}}
	w.SignIn = login.NewSignIn(login.SignInParts{Gate: w.gate, Tokens: w.ring, Signer: w.ring, Desk: w.desk,
		Factors: []factor.Factor{c}}, login.SignInSettings{PublicURL: "https://mail.example.test/2fa/",
		TicketLife: time.Minute, TransactionLife: time.Minute})
	var visits []*login.Visit
	for range 24 {
		visits = append(visits, w.visit(w.toFactor()))
	}
	var wait sync.WaitGroup
	for i, v := range visits {
		wait.Go(func() { w.answer(v, fmt.Sprintf("%06d", i)) })
	}
	wait.Wait()
	if n := c.checks.Load(); n != 4 {
		t.Errorf("%d tries were checked, want 4", n)
	}
}

// meddledBind is a directory in which something happens between the password and the
// session.
type meddledBind struct {
	account.Store
	after func()
}

func (m *meddledBind) Bind(c context.Context, a *account.Account, p account.Secret) error {
	err := m.Store.Bind(c, a, p)
	m.after()
	return err
}

func TestE7_SwitchedOnWhileSigningIn(t *testing.T) {
	w := newSite(t, policy.Settings{})
	g := login.New(login.Parts{Store: &meddledBind{w.store, func() { w.enrol() }}, Prover: w.ring, Recorder: w.trail, Now: w.clock, Tickets: w.ring},
		login.Settings{Deadline: 5 * time.Second, MaxBinds: 8})
	t.Cleanup(func() { g.Close(ctx) })
	w.SignIn = login.NewSignIn(login.SignInParts{Gate: g, Tokens: w.ring, Signer: w.ring, Desk: w.desk},
		login.SignInSettings{PublicURL: "https://mail.example.test/2fa/", TicketLife: time.Minute, TransactionLife: time.Minute})
	if r := w.begin(); r.Outcome == account.Granted {
		t.Errorf("%+v", r)
	}
}

func TestAttack23_DisabledAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	live, _, _ := w.signIn(totp)
	r := w.toFactor()
	v := w.visit(r)
	w.pass(30 * time.Second)
	c := oneTimeCode(t, w.answer(v, w.code(totp)))
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	if err := directory.SetAttr(w.user, "pwdAccountLockedTime", "000001010000Z"); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "password", w.begin().Reason, login.AccountDisabled)
	wantReason(t, "answer", w.answer(v, w.code(totp)).Reason, login.AccountDisabled)
	wantReason(t, "exchange", w.Exchange(ctx, "roundcube", r.Transaction, c).Reason, login.AccountDisabled)
	wantReason(t, "renewal", w.Renew(ctx, "roundcube", live.Grant).Reason, login.AccountDisabled)
	wantReason(t, "ticket", w.door(live.Ticket, account.IMAP, "127.0.0.1").Reason, login.AccountDisabled)
}

func TestAttack22_DamageAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	r := w.toFactor()
	v := w.visit(r)
	c := oneTimeCode(t, w.answer(v, w.code(totp)))
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	if err := directory.SetAttr(w.user, "posternTotp"); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "password", w.begin().Reason, login.Damaged)
	wantReason(t, "answer", w.answer(v, w.code(totp)).Reason, login.Damaged)
	wantReason(t, "exchange", w.Exchange(ctx, "roundcube", r.Transaction, c).Reason, login.Damaged)
}

// An app password that was copied badly, but begins as one of the account's does, is
// not tried as a main password.
func TestAttack28_BadCopyAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	app, err := w.desk.CreateAppPassword(ctx, desk.Root("test"), w.user, desk.NewAppPassword{Name: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	chars := strings.ReplaceAll(string(app.Password.Reveal()), "-", "")
	bad := chars[:20] + "!?#%" + chars[24:] // no near miss by its form
	r := w.Begin(ctx, login.Start{Client: "roundcube", User: w.user, Password: account.SecretString(bad), Addr: home})
	wantReason(t, "bad copy", r.Reason, login.AppPasswordAtWebmail)
}

// closed is a throttle that refuses an address.
type closed struct{ at netip.Addr }

func (c closed) Prefix(_ context.Context, t login.Try) login.Advice {
	return login.Advice{Refuse: t.Client == c.at, Limit: "prefix"}
}
func (closed) Account(context.Context, login.Try) login.Advice { return login.Advice{} }
func (closed) Wrong(context.Context, login.Try, bool)          {}
func (closed) Right(context.Context, login.Try)                {}

func TestAttack08_ThrottledAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	bad := netip.MustParseAddr("198.51.100.66") // the same household as home
	g := login.New(login.Parts{Store: w.store, Prover: w.ring, Recorder: w.trail, Now: w.clock, Tickets: w.ring, Throttle: closed{bad}},
		login.Settings{Deadline: 5 * time.Second, MaxBinds: 8})
	t.Cleanup(func() { g.Close(ctx) })
	s := login.NewSignIn(login.SignInParts{Gate: g, Tokens: w.ring, Signer: w.ring, Desk: w.desk, Factors: []factor.Factor{factor.TOTPFactor{}}},
		login.SignInSettings{PublicURL: "https://mail.example.test/2fa/", TicketLife: time.Minute, TransactionLife: time.Minute})
	r := s.Begin(ctx, login.Start{Client: "roundcube", User: w.user, Password: account.SecretString(mailtest.Password), Addr: bad})
	wantReason(t, "password", r.Reason, login.Throttled)
	theirs := firefox
	theirs.Addr = bad
	v, _, err := s.Open(ctx, pageToken(t, w.toFactor()), theirs)
	if err != nil {
		t.Fatal(err)
	}
	a := s.Answer(ctx, v, login.Reply{Method: "totp", Input: map[string]string{"code": w.code(totp)}})
	wantReason(t, "code", a.Reason, login.Throttled)
}
