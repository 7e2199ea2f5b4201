package login_test

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
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
	"postern/internal/session"
	"postern/ldapstore"
)

// slapd is started by the first test of SignIn: its races and clocks need a real
// directory, whose one Modify decides.
var slapd = sync.OnceValues(func() (*mailtest.Slapd, error) {
	return mailtest.StartSlapd(context.Background(), mailtest.SlapdOptions{Lockout: true})
})

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := slapd(); err == nil {
		s.Stop()
	}
	os.Exit(code)
}

var (
	ctx  = context.Background()
	home = netip.MustParseAddr("198.51.100.7")
)

// site is one webhook, or several, on one directory.
type site struct {
	*login.SignIn
	t     *testing.T
	gate  *login.Gate
	store *ldapstore.Store
	ring  *seal.Ring
	desk  *desk.Desk
	trail *trail
	now   atomic.Int64 // Unix nanoseconds
	user  string
}

func (w *site) clock() time.Time { return time.Unix(0, w.now.Load()).UTC() }

func (w *site) pass(d time.Duration) { w.now.Add(int64(d)) }

var siteUsers atomic.Int64

func newSite(t *testing.T, defaults policy.Settings) *site {
	t.Helper()
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	w := &site{t: t, trail: &trail{}, user: fmt.Sprintf("signin%d@example.test", siteUsers.Add(1))}
	w.now.Store(time.Unix(1_800_000_000, 0).UnixNano())
	if err := directory.AddUser(w.user, mailtest.Password, nil); err != nil {
		t.Fatal(err)
	}
	w.ring = newKeys(t)
	w.store = openLDAP(t, directory, w.ring, defaults)
	w.desk = &desk.Desk{Store: w.store, Recorder: w.trail, Now: w.clock}
	w.SignIn, w.gate = w.node()
	return w
}

// node is one webhook more.
func (w *site) node() (*login.SignIn, *login.Gate) {
	g := login.New(login.Parts{Store: w.store, Prover: w.ring, Recorder: w.trail, Now: w.clock, Tickets: w.ring},
		login.Settings{Deadline: 10 * time.Second, MaxBinds: 8, WebmailNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	w.t.Cleanup(func() { g.Close(ctx) })
	backup := factor.NewBackupFactor(2)
	return login.NewSignIn(login.SignInParts{
		Gate: g, Tokens: w.ring, Signer: w.ring, Desk: w.desk,
		Factors: []factor.Factor{factor.TOTPFactor{}, backup}, NewBackup: backup.NewCodes,
	}, login.SignInSettings{PublicURL: "https://mail.example.test/2fa/", TicketLife: 10 * time.Minute,
		TransactionLife: 10 * time.Minute, Services: []account.Service{account.IMAP, account.SMTP, account.Sieve}}), g
}

func newKeys(t *testing.T) *seal.Ring {
	t.Helper()
	files := map[string][]byte{}
	for _, role := range []string{account.RoleDoor, account.RoleFactor, account.RoleTicket} {
		f, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		files[role] = f
	}
	ring, err := seal.NewRing(files)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// enrol gives the user an authenticator.
func (w *site) enrol() *factor.TOTP {
	w.t.Helper()
	added, err := w.desk.AddTOTP(ctx, desk.Actor{Name: "test"}, w.user, desk.NewTOTP{Name: "phone"})
	if err != nil {
		w.t.Fatal(err)
	}
	return &added.TOTP
}

func (w *site) code(totp *factor.TOTP) string {
	w.t.Helper()
	c, err := totp.Code(w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *site) account() *account.Account {
	w.t.Helper()
	a, err := w.store.Find(ctx, w.user)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *site) begin() login.Result {
	return w.Begin(ctx, login.Start{Client: "roundcube", User: w.user, Password: account.SecretString(mailtest.Password),
		Addr: home, Agent: "Firefox", ReturnTo: "https://mail.example.test/?_task=login"})
}

// toFactor begins a login that must wait for a factor.
func (w *site) toFactor() login.Result {
	w.t.Helper()
	r := w.begin()
	if r.Outcome != account.Granted || r.Step != login.StepFactor || r.Live != nil || r.Transaction == "" {
		w.t.Fatalf("after the password: %+v", r)
	}
	return r
}

func pageToken(t *testing.T, r login.Result) string {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil || u.Query().Get("t") == "" {
		t.Fatalf("URL %q: %v", r.URL, err)
	}
	return u.Query().Get("t")
}

var firefox = login.Browser{Addr: home, Agent: "Firefox", Cookie: "a-browser", Origin: "https://mail.example.test"}

func (w *site) visit(r login.Result) *login.Visit {
	w.t.Helper()
	v, reason, err := w.Open(ctx, pageToken(w.t, r), firefox)
	if err != nil || reason != "" {
		w.t.Fatalf("page: %q, %v", reason, err)
	}
	return v
}

func (w *site) answer(v *login.Visit, code string) login.Answer {
	return w.Answer(ctx, v, login.Reply{Method: "totp", Input: map[string]string{"code": code}})
}

// oneTimeCode is what the browser takes back.
func oneTimeCode(t *testing.T, a login.Answer) string {
	t.Helper()
	if a.Outcome != account.Granted {
		t.Fatalf("answer: %+v", a)
	}
	u, err := url.Parse(a.Redirect)
	if err != nil || u.Query().Get("code") == "" || u.Query().Get("_task") != "login" {
		t.Fatalf("redirect %q: %v", a.Redirect, err)
	}
	return u.Query().Get("code")
}

// signIn goes the whole way.
func (w *site) signIn(totp *factor.TOTP) (*login.Live, login.Result, string) {
	w.t.Helper()
	r := w.toFactor()
	c := oneTimeCode(w.t, w.answer(w.visit(r), w.code(totp)))
	got := w.Exchange(ctx, "roundcube", r.Transaction, c)
	if got.Outcome != account.Granted || got.Live == nil || got.Live.Ticket.Empty() {
		w.t.Fatalf("exchange: %+v", got)
	}
	return got.Live, r, c
}

// door tries the ticket as a mail program's password.
func (w *site) door(ticket account.Secret, s account.Service, from string) login.Decision {
	return w.gate.Mail(ctx, login.Attempt{User: w.user, Password: ticket, Service: s, Client: netip.MustParseAddr(from)})
}

func wantReason(t *testing.T, what string, got, want login.Reason) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestE4_PasswordThenCodeThenTicket(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	live, _, _ := w.signIn(totp)
	if n := len(live.Ticket.Reveal()); n > session.MaxTicket {
		t.Errorf("the ticket has %d characters", n)
	}
	for _, s := range []account.Service{account.IMAP, account.SMTP, account.Sieve} {
		if d := w.door(live.Ticket, s, "127.0.0.1"); d.Outcome != account.Granted {
			t.Errorf("%s: %+v", s, d)
		}
	}
	if d := w.door(live.Ticket, account.POP3, "127.0.0.1"); d.Outcome != account.Denied {
		t.Errorf("pop3: %+v", d)
	}
	if d := w.door(live.Ticket, account.IMAP, "203.0.113.9"); d.Outcome != account.Denied {
		t.Errorf("from elsewhere: %+v", d)
	}
	w.pass(10 * time.Minute)
	if d := w.door(live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Denied {
		t.Errorf("ten minutes later: %+v", d)
	}
	r := w.Renew(ctx, "roundcube", live.Grant)
	if r.Outcome != account.Granted || r.Live.Grant != live.Grant {
		t.Fatalf("renew: %+v", r)
	}
	if d := w.door(r.Live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Granted {
		t.Errorf("renewed: %+v", d)
	}
}

// Without a factor the password is enough, and there is a ticket all the same: webmail
// keeps no password (E12).
func TestE12_WithoutFactorThereIsATicketToo(t *testing.T) {
	w := newSite(t, policy.Settings{})
	r := w.begin()
	if r.Outcome != account.Granted || r.Live == nil || r.Live.Ticket.Empty() || !r.Recommend {
		t.Fatalf("%+v", r)
	}
	if d := w.door(r.Live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Granted {
		t.Errorf("%+v", d)
	}
	w.enrol() // E7: what began with the password alone ends
	if d := w.door(r.Live.Ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Denied {
		t.Errorf("after two-step login was switched on: %+v", d)
	}
	wantReason(t, "renewal", w.Renew(ctx, "roundcube", r.Live.Grant).Reason, login.GrantOver)
}

func TestAttack12_EmptyPasswordAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	r := w.Begin(ctx, login.Start{Client: "roundcube", User: w.user, Addr: home})
	wantReason(t, "empty", r.Reason, login.EmptyPassword)
	if r.Outcome != account.Denied {
		t.Errorf("%+v", r)
	}
}

func TestAttack28_AppPasswordAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	app, err := w.desk.CreateAppPassword(ctx, desk.Actor{Name: "test"}, w.user, desk.NewAppPassword{Name: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	for what, password := range map[string]string{
		"as shown": string(app.Password.Reveal()), "capitals": strings.ToUpper(string(app.Password.Reveal())),
		"a ticket": "pt1_AAAA",
	} {
		r := w.Begin(ctx, login.Start{Client: "roundcube", User: w.user, Password: account.SecretString(password), Addr: home})
		wantReason(t, what, r.Reason, login.AppPasswordAtWebmail)
	}
}

// Nothing has a credential before the last step, and no step works out of order.
func TestAttack03_StepsOutOfOrder(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	r := w.toFactor()
	v := w.visit(r)
	c := oneTimeCode(t, w.answer(v, w.code(totp)))
	other := w.toFactor()
	for what, got := range map[string]login.Result{
		"no code":                      w.Exchange(ctx, "roundcube", r.Transaction, ""),
		"the page's token as a code":   w.Exchange(ctx, "roundcube", r.Transaction, pageToken(t, r)),
		"the transaction as a code":    w.Exchange(ctx, "roundcube", r.Transaction, r.Transaction),
		"the page's as a transaction":  w.Exchange(ctx, "roundcube", pageToken(t, r), c),
		"another login's transaction":  w.Exchange(ctx, "roundcube", other.Transaction, c),
		"another client's transaction": w.Exchange(ctx, "horde", r.Transaction, c),
		"the grant of a code":          w.Renew(ctx, "roundcube", c),
		"the grant of a transaction":   w.Renew(ctx, "roundcube", r.Transaction),
	} {
		if got.Outcome != account.Denied || got.Live != nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if _, reason, _ := w.Open(ctx, r.Transaction, firefox); reason != login.BadTransaction {
		t.Errorf("webmail's transaction as a page: %q", reason)
	}
	if v.Enrolee("") != nil {
		t.Error("a visitor who is asked for a factor can add one")
	}
	if a := w.Enrolled(ctx, v); a.Outcome == account.Granted {
		t.Errorf("enrolled without enrolling: %+v", a)
	}
	if a := w.Postpone(v); a.Outcome == account.Granted {
		t.Errorf("postponed: %+v", a)
	}
	if len(w.account().Values(account.KindSession)) != 0 {
		t.Error("there is a session")
	}
}

func TestExchangeTwiceIsOneSession(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	live, r, c := w.signIn(totp)
	again := w.Exchange(ctx, "roundcube", r.Transaction, c)
	if again.Outcome != account.Granted {
		t.Fatalf("again: %+v", again)
	}
	if n := len(w.account().Values(account.KindSession)); n != 1 {
		t.Errorf("%d sessions", n)
	}
	if got := w.End(ctx, "roundcube", live.Grant); got.Outcome != account.Granted {
		t.Fatalf("logout: %+v", got)
	}
	if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Denied {
		t.Errorf("after logout: %+v", got)
	}
	for what, ticket := range map[string]account.Secret{"first": live.Ticket, "second": again.Live.Ticket} {
		if d := w.door(ticket, account.IMAP, "127.0.0.1"); d.Outcome != account.Denied {
			t.Errorf("%s ticket after logout: %+v", what, d)
		}
	}
	wantReason(t, "renewal after logout", w.Renew(ctx, "roundcube", again.Live.Grant).Reason, login.GrantOver)
}

// One code, two logins: one winner (ATTACKS 4), on two webhooks with many clients.
func TestAttack04_OneCodeManyLogins(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	second, _ := w.node()
	const clients = 24
	type ready struct {
		transaction, code string
		node              *login.SignIn
	}
	var all []ready
	for i := range clients {
		node := w.SignIn
		if i%2 == 1 {
			node = second
		}
		r := w.toFactor()
		v, reason, err := node.Open(ctx, pageToken(t, r), firefox)
		if err != nil || reason != "" {
			t.Fatalf("%q, %v", reason, err)
		}
		a := node.Answer(ctx, v, login.Reply{Method: "totp", Input: map[string]string{"code": w.code(totp)}})
		all = append(all, ready{r.Transaction, oneTimeCode(t, a), node})
	}
	var granted, denied atomic.Int64
	var wait sync.WaitGroup
	for _, one := range all {
		wait.Go(func() {
			switch r := one.node.Exchange(ctx, "roundcube", one.transaction, one.code); {
			case r.Outcome == account.Granted:
				granted.Add(1)
			case r.Reason == login.SpentCode:
				denied.Add(1)
			default:
				t.Errorf("%+v", r)
			}
		})
	}
	wait.Wait()
	if granted.Load() != 1 || denied.Load() != clients-1 {
		t.Errorf("%d winners, %d refused", granted.Load(), denied.Load())
	}
}

// A right code, presented again at the page before the exchange, is not spent yet; after
// it, it is refused, also when the clock jumps back (ATTACKS 30).
func TestAttack30_ClockJumpsBackAtWebmail(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	old := w.code(totp)
	w.signIn(totp)
	r := w.toFactor()
	wantReason(t, "replay", w.answer(w.visit(r), old).Reason, login.SpentCode)
	w.pass(-5 * time.Minute)
	r = w.toFactor()
	wantReason(t, "after the clock jumped back", w.answer(w.visit(r), w.code(totp)).Reason, login.SpentCode)
}

func TestAttack07_WrongCodes(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	wrong := func() login.Answer {
		code := w.code(totp)
		return w.answer(w.visit(w.toFactor()), string('0'+(code[0]-'0'+1)%10)+code[1:])
	}
	for n := 1; n <= 100; n++ {
		wantReason(t, fmt.Sprint("wrong code ", n), wrong().Reason, login.WrongCode)
		if n > 3 && n < 100 {
			a := wrong()
			wantReason(t, fmt.Sprint("at once after ", n), a.Reason, login.Backoff)
			w.pass(a.Wait)
		}
		if got := w.account().State.Failures[account.KindTOTP]; got != uint(n) {
			t.Fatalf("%d counted, want %d: a right password resets nothing", got, n)
		}
	}
	w.pass(24 * time.Hour)
	wantReason(t, "the right code", w.answer(w.visit(w.toFactor()), w.code(totp)).Reason, login.FactorDisabled)
	if !w.account().TwoFactor() {
		t.Error("a disabled factor does not count as 2FA any more (ATTACKS 37)")
	}
	alarms := 0
	for _, e := range w.trail.events {
		if e.Action == "factor_disabled" {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms", alarms)
	}
}

// A right code in between makes the count begin anew.
func TestAttack07_CountIsOfConsecutiveTries(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	v := w.visit(w.toFactor())
	for range 3 {
		w.answer(v, "000000")
	}
	w.pass(time.Minute)
	w.signIn(totp)
	if n := w.account().State.Failures[account.KindTOTP]; n != 0 {
		t.Errorf("%d left", n)
	}
}

func TestAttack07_ParallelTriesAreAllCounted(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	var visits []*login.Visit
	for range 24 {
		visits = append(visits, w.visit(w.toFactor()))
	}
	var wrong, later atomic.Int64
	var wait sync.WaitGroup
	for i, v := range visits {
		wait.Go(func() {
			switch a := w.answer(v, fmt.Sprintf("%06d", i)); a.Reason {
			case login.WrongCode:
				wrong.Add(1)
			case login.Backoff:
				later.Add(1)
			default:
				t.Errorf("%+v", a)
			}
		})
	}
	wait.Wait()
	if n := w.account().State.Failures[account.KindTOTP]; int64(n) != wrong.Load() || n != 4 || later.Load() != 20 {
		t.Errorf("%d counted, %d told wrong, %d told to wait", n, wrong.Load(), later.Load())
	}
}

// A link that was passed on, or copied from a log, opens nothing.
func TestAttack03_PageOfAnotherBrowser(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.enrol()
	r := w.toFactor()
	elsewhere := firefox
	elsewhere.Addr = netip.MustParseAddr("203.0.113.200")
	if _, reason, _ := w.Open(ctx, pageToken(t, r), elsewhere); reason != login.BegunElsewhere {
		t.Errorf("another network: %q", reason)
	}
	w.visit(r)
	another := firefox
	another.Cookie = "another-browser"
	if _, reason, _ := w.Open(ctx, pageToken(t, r), another); reason != login.BegunElsewhere {
		t.Errorf("another browser: %q", reason)
	}
	nobody := firefox
	nobody.Cookie = ""
	if _, reason, _ := w.Open(ctx, pageToken(t, r), nobody); reason != login.BegunElsewhere {
		t.Errorf("no cookie: %q", reason)
	}
	w.pass(10 * time.Minute)
	v, reason, _ := w.Open(ctx, pageToken(t, r), firefox)
	if reason != login.TransactionOver || !strings.HasPrefix(v.ReturnTo(), "https://mail.example.test/") {
		t.Errorf("ten minutes later: %q", reason)
	}
}

// What changes the account between two steps ends the login.
func TestAttack37_ChangeBetweenTheSteps(t *testing.T) {
	for what, change := range map[string]func(w *site) error{
		"reset": func(w *site) error {
			_, err := w.desk.Reset(ctx, desk.Actor{Name: "test"}, w.user)
			return err
		},
		"switched off": func(w *site) error {
			_, err := w.desk.DisableTwoFactor(ctx, desk.Actor{Name: "test"}, w.user)
			return err
		},
		"everything revoked": func(w *site) error {
			_, err := w.desk.RevokeAll(ctx, desk.Actor{Name: "test"}, w.user)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newSite(t, policy.Settings{})
			totp := w.enrol()
			r, asked := w.toFactor(), w.toFactor()
			c := oneTimeCode(t, w.answer(w.visit(r), w.code(totp)))
			v := w.visit(asked)
			if err := change(w); err != nil {
				t.Fatal(err)
			}
			if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Denied {
				t.Errorf("exchange: %+v", got)
			}
			if a := w.answer(v, w.code(totp)); a.Outcome != account.Denied {
				t.Errorf("answer: %+v", a)
			}
			if _, reason, _ := w.Open(ctx, pageToken(t, asked), firefox); reason != login.AccountChanged {
				t.Errorf("page: %q", reason)
			}
		})
	}
}

func TestE8_SessionEnds(t *testing.T) {
	life, idle := policy.Duration(48*time.Hour), policy.Duration(12*time.Hour)
	days := 0
	settings := policy.Settings{SessionLife: &life, SessionIdle: &idle, TrustedDeviceDays: &days}
	t.Run("idle", func(t *testing.T) {
		w := newSite(t, settings)
		live, _, _ := w.signIn(w.enrol())
		w.pass(12*time.Hour + time.Second)
		wantReason(t, "renewal", w.Renew(ctx, "roundcube", live.Grant).Reason, login.GrantOver)
	})
	t.Run("absolute", func(t *testing.T) {
		w := newSite(t, settings)
		live, _, _ := w.signIn(w.enrol())
		var last *login.Live
		for range 8 {
			w.pass(6 * time.Hour)
			r := w.Renew(ctx, "roundcube", live.Grant)
			if r.Outcome != account.Granted {
				wantReason(t, "end", r.Reason, login.BadGrant)
				break
			}
			last = r.Live
			w.gate.Close(ctx) // the last use is written
			w.SignIn, w.gate = w.node()
		}
		if last == nil {
			t.Fatal("never renewed")
		}
		w.pass(time.Second)
		if r := w.Renew(ctx, "roundcube", live.Grant); r.Outcome != account.Denied {
			t.Errorf("after two days: %+v", r)
		}
	})
}

func TestRenewWritesAtMostHourly(t *testing.T) {
	w := newSite(t, policy.Settings{})
	live, _, _ := w.signIn(w.enrol())
	stored := func() string {
		w.gate.Close(ctx)
		w.SignIn, w.gate = w.node()
		return string(w.account().Values(account.KindSession)[0].Stored)
	}
	first := stored()
	w.pass(59 * time.Minute)
	w.Renew(ctx, "roundcube", live.Grant)
	if stored() != first {
		t.Error("written within the hour")
	}
	w.pass(time.Minute)
	w.Renew(ctx, "roundcube", live.Grant)
	if stored() == first {
		t.Error("not written after an hour")
	}
}

func TestB2_TrustedDevice(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	r := w.toFactor()
	a := w.Answer(ctx, w.visit(r), login.Reply{Method: "totp", Input: map[string]string{"code": w.code(totp)}, Trust: true})
	c := oneTimeCode(t, a)
	if a.Device == nil || a.Device.Expires.Sub(w.clock()) != 30*24*time.Hour {
		t.Fatalf("device: %+v", a.Device)
	}
	if got := w.Trusted(ctx, w.visit(w.toFactor()), a.Device.Value); got.Outcome == account.Granted {
		t.Error("trusted before the exchange")
	}
	if got := w.Exchange(ctx, "roundcube", r.Transaction, c); got.Outcome != account.Granted {
		t.Fatalf("%+v", got)
	}
	w.pass(time.Hour)
	r = w.toFactor()
	c = oneTimeCode(t, w.Trusted(ctx, w.visit(r), a.Device.Value))
	got := w.Exchange(ctx, "roundcube", r.Transaction, c)
	if got.Outcome != account.Granted {
		t.Fatalf("by the device: %+v", got)
	}
	if d := w.door(account.SecretString(a.Device.Value), account.IMAP, "127.0.0.1"); d.Outcome == account.Granted {
		t.Error("the device's cookie opened mail")
	}
	t.Run("not for settings", func(t *testing.T) {
		o := w.owner(got.Live.Grant)
		if o.Confirmed(w.clock()) || o.Enrolee(w.clock()) != nil {
			t.Error("a trusted device allows changes")
		}
	})
	t.Run("not for others", func(t *testing.T) {
		other := newSite(t, policy.Settings{})
		other.enrol()
		if got := other.Trusted(ctx, other.visit(other.toFactor()), a.Device.Value); got.Outcome == account.Granted {
			t.Error("trusted for another account")
		}
	})
	t.Run("not after its time", func(t *testing.T) {
		w.pass(30 * 24 * time.Hour)
		if got := w.Trusted(ctx, w.visit(w.toFactor()), a.Device.Value); got.Outcome == account.Granted {
			t.Error("trusted after 30 days")
		}
		w.pass(-30 * 24 * time.Hour)
	})
	t.Run("not after sessions were revoked", func(t *testing.T) {
		if _, err := w.desk.RevokeAll(ctx, desk.Actor{Name: "test"}, w.user); err != nil {
			t.Fatal(err)
		}
		if got := w.Trusted(ctx, w.visit(w.toFactor()), a.Device.Value); got.Outcome == account.Granted {
			t.Error("still trusted")
		}
	})
}

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
	if _, err := w.desk.Reset(ctx, desk.Actor{Name: "test"}, w.user); err != nil {
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
