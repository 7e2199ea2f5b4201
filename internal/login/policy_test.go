package login_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/authpolicy"
	"postern/internal/factor"
	"postern/internal/login"
)

const nonce = "testnonce"

// limits is a Throttle that gives fixed advice and keeps what it was told. The
// real ones are package throttle's.
type limits struct {
	mu      sync.Mutex
	prefix  login.Advice
	account login.Advice
	wrong   []bool // main
	right   int
}

func (l *limits) Prefix(context.Context, login.Try) login.Advice  { return l.prefix }
func (l *limits) Account(context.Context, login.Try) login.Advice { return l.account }

func (l *limits) Wrong(_ context.Context, _ login.Try, main bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, main)
}

func (l *limits) Right(context.Context, login.Try) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.right++
}

// question is the auth policy's about the same login as a.
func question(a login.Attempt, credID string) login.Ask {
	return login.Ask{Login: a.User, PwHash: authpolicy.Hash([]byte(nonce), a.User, a.Password.Reveal()), Service: a.Service,
		Client: a.Client, Session: a.Session, Mech: a.Mech, Master: a.Master, CredID: credID}
}

func enrolled(t *testing.T, s login.Settings) *world {
	t.Helper()
	p := newPerson(t)
	p.state.Enrolled = true
	return settled(t, p, s)
}

func settled(t *testing.T, p *person, s login.Settings) *world {
	t.Helper()
	s.HashNonce, s.HelpURL = account.SecretString(nonce), "https://mail.example.test/2fa"
	return newWorld(t, p.build(t), p.ring, s)
}

func (w *world) allow(a login.Ask) login.Permit { return w.gate.Allow(context.Background(), a) }

func (w *world) expectPermit(t *testing.T, a login.Ask, reason login.Reason) login.Permit {
	t.Helper()
	p := w.allow(a)
	if p.Reason != reason || p.Refuse != (reason != "") || (p.Text != "") != p.Refuse {
		t.Errorf("got %+v, want reason %q", p, reason)
	}
	return p
}

// login passes through question, decision, question, report, as Dovecot does.
func (w *world) login(t *testing.T, a login.Attempt) (first login.Permit, d login.Decision) {
	t.Helper()
	ask := question(a, "")
	if first = w.allow(ask); first.Refuse {
		w.gate.Report(context.Background(), login.Report{Ask: ask, Refused: true})
		return first, login.Decision{Outcome: account.Denied}
	}
	d = w.gate.Mail(context.Background(), a)
	if d.Outcome == account.Granted {
		ask.CredID = d.CredID
		w.expectPermit(t, ask, "")
	}
	w.gate.Report(context.Background(), login.Report{Ask: ask, Success: d.Outcome == account.Granted})
	return first, d
}

// E9: a phone with the main password fails plainly once, and from then on is told
// why, without any bind and without being counted.
func TestE9_RefusalSaysWhyFromTheSecondTryOn(t *testing.T) {
	w := enrolled(t, login.Settings{})
	a := imap("alice@example.test", mainPassword)
	if first, d := w.login(t, a); first.Refuse || d.Reason != login.AppPasswordRequired {
		t.Fatalf("first try: %+v %+v", first, d)
	}
	for range 3 {
		a.Session += "x"
		first, _ := w.login(t, a)
		if first.Reason != login.AppPasswordRequired || !strings.Contains(first.Text, "https://mail.example.test/2fa") {
			t.Fatalf("a later try: %+v", first)
		}
	}
	if w.dir.binds != 1 || len(w.limits.wrong) != 0 {
		t.Errorf("%d binds, %d counted", w.dir.binds, len(w.limits.wrong))
	}
	// Another password, another neighbourhood: not remembered.
	other := imap("alice@example.test", wrongMain)
	other.Session = "o"
	w.expectPermit(t, question(other, ""), "")
	far := a
	far.Client, far.Session = netip.MustParseAddr("198.51.100.9"), "f"
	w.expectPermit(t, question(far, ""), "")
	// An hour later it is forgotten.
	*w.clock = now.Add(time.Hour + time.Second)
	a.Session = "later"
	w.expectPermit(t, question(a, ""), "")
}

// Once 2FA is off again, what was remembered must not refuse.
func TestRememberedRefusalIsCheckedAgain(t *testing.T) {
	w := enrolled(t, login.Settings{})
	a := imap("alice@example.test", mainPassword)
	w.login(t, a)
	plain := newPerson(t)
	w.dir.set(plain.build(t), nil)
	a.Session = "s2"
	w.expectPermit(t, question(a, ""), "")
}

// ATTACKS 18: a cred_id is good for its user, service, address and minute only.
func TestAttack18_CredID(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled = true
	password := p.app(t, factor.AppPassword{}, nil)
	w := settled(t, p, login.Settings{})
	a := imap("alice@example.test", password)
	d := w.ask(t, a)
	good := question(a, d.CredID)
	finds := w.dir.finds
	w.expectPermit(t, good, "")
	if w.dir.finds != finds {
		t.Error("a valid cred_id needs no search")
	}
	for name, change := range map[string]func(*login.Ask){
		"another user":    func(q *login.Ask) { q.Login = "bob@example.test" },
		"another service": func(q *login.Ask) { q.Service = account.POP3 },
		"another address": func(q *login.Ask) { q.Client = netip.MustParseAddr("192.0.2.8") },
		"edited":          func(q *login.Ask) { q.CredID = "app:aaaa" + q.CredID[8:] },
		"cut":             func(q *login.Ask) { q.CredID = q.CredID[:len(q.CredID)-8] },
		"made up":         func(q *login.Ask) { q.CredID = "x" },
	} {
		q := good
		change(&q)
		t.Run(name, func(t *testing.T) { w.expectPermit(t, q, login.AppPasswordRequired) })
	}
	*w.clock = now.Add(2 * time.Minute)
	w.expectPermit(t, good, login.AppPasswordRequired)
	*w.clock = now.Add(-2 * time.Minute)
	w.expectPermit(t, good, login.AppPasswordRequired)
}

// ATTACKS 19: whatever passdb let the main password in, the second question stops
// it: one after ours, one before ours, with Dovecot's session and, for Postfix,
// without.
func TestAttack19_AnotherPassdb(t *testing.T) {
	for name, session := range map[string]string{"with a session": "s1", "Postfix": ""} {
		t.Run(name, func(t *testing.T) {
			for _, asked := range []bool{true, false} {
				w := enrolled(t, login.Settings{})
				a := imap("alice@example.test", "the other passdb's password")
				a.Session = session
				w.expectPermit(t, question(a, ""), "")
				if !asked {
					w.expectPermit(t, question(a, ""), login.AppPasswordRequired)
					continue
				}
				// Ours found it wrong. It may be a stranger's wrong password sent twice in
				// a hurry, too: the refusal must not say why (ATTACKS 10).
				w.ask(t, a)
				if p := w.allow(question(a, "")); !p.Refuse || p.Reason != login.AppPasswordRequired || p.Text != "" {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

// The net lets through accounts without 2FA and those it does not know.
func TestSecondNetPasses(t *testing.T) {
	w := settled(t, newPerson(t), login.Settings{})
	a := imap("plain@example.test", "x")
	w.expectPermit(t, question(a, ""), "")
	w.expectPermit(t, question(a, ""), "")
	w.dir.set(nil, account.ErrUnknown)
	w.expectPermit(t, question(a, ""), "")
	w.dir.set(nil, account.ErrUnavailable)
	p := w.expectPermit(t, question(a, ""), login.DirectoryDown)
	if !strings.Contains(p.Text, "later") {
		t.Errorf("%q", p.Text)
	}
}

// A failed login on the same connection, and then a right one, is no second
// question.
func TestRetryOnOneConnection(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled = true
	password := p.app(t, factor.AppPassword{}, nil)
	w := settled(t, p, login.Settings{})
	w.login(t, imap("alice@example.test", wrongMain))
	if first, d := w.login(t, imap("alice@example.test", password)); first.Refuse || d.Outcome != account.Granted {
		t.Errorf("%+v %+v", first, d)
	}
}

// Postfix's logins have no session: a second connection with an app password that
// was just granted looks like a second question, and passes.
func TestParallelPostfixLogins(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled = true
	password := p.app(t, factor.AppPassword{}, nil)
	w := settled(t, p, login.Settings{})
	a := imap("alice@example.test", password)
	a.Session, a.Service = "", account.SMTP
	w.expectPermit(t, question(a, ""), "")
	w.ask(t, a)
	w.expectPermit(t, question(a, ""), "")
}

// ATTACKS 38: a strong passdb of the site passes by its token, for its mechanism.
func TestAttack38_DeclaredMechanism(t *testing.T) {
	w := enrolled(t, login.Settings{})
	token, err := w.gate.DeclareMechanism("gssapi")
	if err != nil {
		t.Fatal(err)
	}
	a := question(imap("alice@example.test", ""), token)
	a.Mech = "GSSAPI"
	w.expectPermit(t, a, "")
	a.Mech = "CRAM-MD5"
	w.expectPermit(t, a, login.AppPasswordRequired)
	const forged = "declared.AAAAAAAAAAAAAAAAAAAAAA"
	a.Mech, a.CredID = "GSSAPI", forged
	w.expectPermit(t, a, login.AppPasswordRequired)
	a.CredID = forged + "," + token // one passdb for several mechanisms
	w.expectPermit(t, a, "")
	a.Mech = "CRAM-MD5"
	w.expectPermit(t, a, login.AppPasswordRequired)
}

// ATTACKS 13: master users come from the allow-list and its networks only.
func TestAttack13_MasterUsers(t *testing.T) {
	office := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	w := enrolled(t, login.Settings{Masters: map[string][]netip.Prefix{"support": office}})
	a := question(imap("alice@example.test", ""), "")
	a.Master = "root"
	w.expectPermit(t, a, login.Impersonation)
	a.Master = "support"
	w.expectPermit(t, a, "")
	w.expectPermit(t, a, "")
	a.Client, a.Session = netip.MustParseAddr("198.51.100.1"), "elsewhere"
	w.expectPermit(t, a, login.Impersonation)
}

// E10: while a domain is observed nothing is refused, but noted; afterwards it is
// enforced by itself.
func TestE10_Observe(t *testing.T) {
	until := now.Add(time.Hour)
	w := enrolled(t, login.Settings{Observe: map[string]login.Period{"example.test": {From: now.Add(-time.Hour), Until: until}}})
	a := imap("alice@example.test", mainPassword)
	if _, d := w.login(t, a); d.Outcome != account.Granted || d.Reason != login.Observed {
		t.Fatalf("observed: %+v", d)
	}
	a.Session = "after"
	*w.clock = until
	if _, d := w.login(t, a); d.Outcome != account.Denied || d.Reason != login.AppPasswordRequired {
		t.Fatalf("after the deadline: %+v", d)
	}
	w.gate.Close(context.Background())
	if len(w.dir.edits) == 0 || w.dir.edits[0].Now.Kind != account.KindState {
		t.Fatal("the use of the main password was not noted")
	}
	state, err := account.DecodeState(w.dir.edits[0].Now.Body)
	if err != nil || len(state.MainUses) != 1 || state.MainUses[0].Service != account.IMAP {
		t.Errorf("%+v, %v", state, err)
	}
}

// What is told to the limits: guesses, and only guesses.
func TestWhatCounts(t *testing.T) {
	app, _, _ := factor.NewAppPassword(factor.AppPassword{})
	for name, c := range map[string]struct {
		password string
		change   func(*world)
		wrong    []bool
		right    int
	}{
		"wrong main":             {wrongMain, nil, []bool{true}, 0},
		"app password of nobody": {string(app.Reveal()), nil, []bool{false}, 0},
		"right main, 2FA":        {mainPassword, nil, nil, 0},
		"directory down":         {mainPassword, func(w *world) { w.dir.bindErr = account.ErrUnavailable }, nil, 0},
		"throttled by address":   {wrongMain, func(w *world) { w.limits.prefix.Refuse = true }, nil, 0},
		"throttled by account":   {wrongMain, func(w *world) { w.limits.account.Refuse = true }, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := enrolled(t, login.Settings{})
			if c.change != nil {
				c.change(w)
			}
			d := w.ask(t, imap("alice@example.test", c.password))
			if len(w.limits.wrong) != len(c.wrong) || len(c.wrong) > 0 && w.limits.wrong[0] != c.wrong[0] || w.limits.right != c.right {
				t.Errorf("told %v wrong, %d right; want %v, %d (%s)", w.limits.wrong, w.limits.right, c.wrong, c.right, d.Reason)
			}
			if strings.HasPrefix(name, "throttled") && (d.Reason != login.Throttled || w.dir.binds != 0) {
				t.Errorf("%s with %d binds", d.Reason, w.dir.binds)
			}
		})
	}
}

// A report counts only what was left to the site's own passdb.
func TestReportCounts(t *testing.T) {
	for name, c := range map[string]struct {
		elsewhere bool
		report    login.Report
		wrong     int
		right     int
	}{
		"own, failed":                {true, login.Report{}, 1, 0},
		"own, success":               {true, login.Report{Success: true}, 0, 1},
		"own, outage (2.4)":          {true, login.Report{Internal: true}, 0, 0},
		"own, refused by policy":     {true, login.Report{Refused: true}, 0, 0},
		"ours, outage (2.3's words)": {false, login.Report{}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := settled(t, newPerson(t), login.Settings{MainElsewhere: c.elsewhere})
			w.dir.bindErr = account.ErrUnavailable
			a := imap("alice@example.test", mainPassword)
			w.ask(t, a)
			c.report.Ask = question(a, "")
			w.gate.Report(context.Background(), c.report)
			w.gate.Report(context.Background(), c.report) // twice is once
			if len(w.limits.wrong) != c.wrong || w.limits.right != c.right {
				t.Errorf("%d wrong, %d right", len(w.limits.wrong), w.limits.right)
			}
		})
	}
}

// ATTACKS 15: Postfix knows no temporary failure; the refusal's text must say it.
func TestAttack15_PostfixIsToldThatItIsTemporary(t *testing.T) {
	w := enrolled(t, login.Settings{})
	w.dir.findErr = account.ErrUnavailable
	a := imap("alice@example.test", mainPassword)
	a.Session, a.Service = "", account.SMTP
	w.ask(t, a)
	w.expectPermit(t, question(imap("bob@example.test", "x"), ""), "") // IMAP says it better by itself
	p := w.expectPermit(t, question(a, ""), login.DirectoryDown)
	if !strings.Contains(p.Text, "later") {
		t.Errorf("%q", p.Text)
	}
	*w.clock = now.Add(3 * time.Second)
	a.Client = netip.MustParseAddr("198.51.100.1")
	w.expectPermit(t, question(a, ""), "")
}

// Text tells strangers nothing.
func TestAttack10_TextsTellStrangersNothing(t *testing.T) {
	w := enrolled(t, login.Settings{})
	w.limits.prefix.Refuse = true
	known := w.allow(question(imap("alice@example.test", wrongMain), ""))
	w2 := enrolled(t, login.Settings{})
	w2.limits.prefix.Refuse = true
	w2.dir.acct, w2.dir.findErr = nil, account.ErrUnknown
	unknown := w2.allow(question(imap("nobody@example.test", wrongMain), ""))
	if known.Text != unknown.Text || known.Text == "" {
		t.Errorf("%q and %q", known.Text, unknown.Text)
	}
}

// A passdb that lets the main password in may change the user as well: the second
// question then carries another name and hash, and is one all the same (ATTACKS 19).
func TestAttack19_AnotherPassdbRenamesTheUser(t *testing.T) {
	w := enrolled(t, login.Settings{})
	w.expectPermit(t, question(imap("alice@example.test", mainPassword), ""), "")
	w.expectPermit(t, question(imap("alice", mainPassword), ""), login.AppPasswordRequired)
}

// Every denial takes a whole multiple of the grain, whatever it took to decide
// (ATTACKS 10).
func TestAttack10_DenialsTakeEquallyLong(t *testing.T) {
	const grain = 40 * time.Millisecond
	for name, password := range map[string]string{"wrong": wrongMain, "not even looked up": ""} {
		w := enrolled(t, login.Settings{DenialTime: grain})
		began := time.Now()
		w.ask(t, imap("alice@example.test", password))
		if took := time.Since(began); took < grain {
			t.Errorf("%s: denied after %v", name, took)
		}
	}
}
