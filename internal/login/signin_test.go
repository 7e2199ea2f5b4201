package login_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/login"
	"postern/internal/policy"
	"postern/internal/session"
)

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
	app, err := w.desk.CreateAppPassword(ctx, desk.Root("test"), w.user, desk.NewAppPassword{Name: "phone"})
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
			_, err := w.desk.Reset(ctx, desk.Root("test"), w.user)
			return err
		},
		"switched off": func(w *site) error {
			_, err := w.desk.DisableTwoFactor(ctx, desk.Root("test"), w.user)
			return err
		},
		"everything revoked": func(w *site) error {
			_, err := w.desk.RevokeAll(ctx, desk.Root("test"), w.user)
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
		if _, err := w.desk.RevokeAll(ctx, desk.Root("test"), w.user); err != nil {
			t.Fatal(err)
		}
		if got := w.Trusted(ctx, w.visit(w.toFactor()), a.Device.Value); got.Outcome == account.Granted {
			t.Error("still trusted")
		}
	})
}
