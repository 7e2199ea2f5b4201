package login_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/login"
)

// dovecot answers like a Dovecot whose passdb knows one password, and notes what it
// was asked.
type dovecot struct {
	err     error // not nil: nothing can be checked
	user    string
	session string
	asked   int
}

func (d *dovecot) Authenticate(_ context.Context, user string, password account.Secret, session string) error {
	d.user, d.session = user, session
	d.asked++
	if d.err == nil && string(password.Reveal()) != mainPassword {
		return account.ErrWrong
	}
	return d.err
}

// asking is a world whose gate asks a Dovecot for main passwords.
func asking(t *testing.T, p *person, d *dovecot, s login.Settings) *world {
	t.Helper()
	w := settled(t, p, s)
	s.Deadline, s.MaxBinds, s.HashNonce = 5*time.Second, 4, account.SecretString(nonce)
	clock := func() time.Time { return *w.clock }
	w.gate = login.New(login.Parts{Store: w.dir, Prover: p.ring, Recorder: w.trail, Throttle: w.limits, Now: clock,
		Check: login.ByDovecot{Dovecot: d, Prover: p.ring, Now: clock}}, s)
	t.Cleanup(func() { w.gate.Close(context.Background()) })
	return w
}

// TestCheckByDovecot: where the directory cannot check main passwords, nobody asks it,
// at the mail doors or at webmail, and the three outcomes stay apart.
func TestCheckByDovecot(t *testing.T) {
	for name, row := range map[string]struct {
		password string
		err      error
		outcome  account.Outcome
		reason   login.Reason
	}{
		"right":            {mainPassword, nil, account.Granted, ""},
		"wrong":            {wrongMain, nil, account.Denied, login.WrongPassword},
		"away":             {mainPassword, errors.New("no such file"), account.Unavailable, login.PassdbDown},
		"away and wrong":   {wrongMain, context.DeadlineExceeded, account.Unavailable, login.PassdbDown},
		"empty, not asked": {"", nil, account.Denied, login.EmptyPassword},
	} {
		t.Run(name, func(t *testing.T) {
			d := &dovecot{err: row.err}
			w := asking(t, newPerson(t), d, login.Settings{})
			w.dir.bindErr = errors.New("the directory was asked")
			a := imap("Alias@example.test", row.password)
			w.expect(t, a, want{row.outcome, row.reason, 0})
			if row.password != "" && (d.asked != 1 || d.user != "alice@example.test") {
				t.Errorf("asked %d times, about %q", d.asked, d.user)
			}
			a.Session = ""
			if got := w.gate.Main(context.Background(), a); got.Outcome != row.outcome || got.Reason != row.reason {
				t.Errorf("at webmail: %s %s", got.Outcome, got.Reason)
			}
		})
	}
}

// TestCheckByDovecot_TwoFactor: the owner is told why, as with a directory's check.
func TestCheckByDovecot_TwoFactor(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled = true
	w := asking(t, p, &dovecot{}, login.Settings{})
	w.expect(t, imap("alice@example.test", mainPassword), want{account.Denied, login.AppPasswordRequired, 0})
	w.expectPermit(t, question(imap("alice@example.test", mainPassword), ""), login.AppPasswordRequired)
}

// TestAttack41_SlotsOfDovecot: as many checks at once as there are places, also there;
// app passwords need none.
func TestAttack41_SlotsOfDovecot(t *testing.T) {
	p := newPerson(t)
	app := p.app(t, factor.AppPassword{}, nil)
	w := settled(t, p, login.Settings{})
	slow := holding{make(chan struct{}, 2), make(chan struct{})}
	w.gate = login.New(login.Parts{Store: w.dir, Prover: p.ring, Recorder: w.trail, Now: func() time.Time { return now },
		Check: login.ByDovecot{Dovecot: slow, Prover: p.ring, Now: time.Now}}, login.Settings{Deadline: 200 * time.Millisecond, MaxBinds: 1})
	t.Cleanup(func() { w.gate.Close(context.Background()) })
	ended := make(chan login.Decision, 2)
	ask := func(password string) {
		go func() { ended <- w.gate.Mail(context.Background(), imap("alice@example.test", password)) }()
	}
	ask("one")
	<-slow.held
	ask("two")
	select {
	case d := <-ended:
		if d.Outcome != account.Unavailable || d.Reason != login.Busy {
			t.Errorf("the second of two: %s %s", d.Outcome, d.Reason)
		}
	case <-slow.held:
		t.Error("two at once, with one place")
	}
	if d := w.gate.Mail(context.Background(), imap("alice@example.test", app)); d.Outcome != account.Granted {
		t.Errorf("an app password: %s %s", d.Outcome, d.Reason)
	}
	close(slow.release)
	<-ended
}

// holding is a Dovecot with a slow passdb.
type holding struct{ held, release chan struct{} }

func (h holding) Authenticate(context.Context, string, account.Secret, string) error {
	h.held <- struct{}{}
	<-h.release
	return account.ErrWrong
}

// privately is Postern's own question as it comes back to /verify: Dovecot has made
// the name its own way.
func privately(user, password, session string) login.Attempt {
	a := imap(user, password)
	a.Service, a.Session = account.ParseService("postern-main"), session
	return a
}

// TestAttack08_PrivateService: only what Postern asks itself is passed on to the site's
// passdb, so that nobody can try main passwords past every limit and second factor.
func TestAttack08_PrivateService(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled = true
	d := &dovecot{}
	w := asking(t, p, d, login.Settings{DenialTime: time.Nanosecond})
	w.expect(t, imap("alice@example.test", wrongMain), want{account.Denied, login.WrongPassword, 0})
	session, events, counted := d.session, len(w.trail.events), len(w.limits.wrong)
	ask := func(a login.Attempt) login.Decision { return w.gate.Mail(context.Background(), a) }
	for _, user := range []string{"alice@example.test", "ALICE@example.test", "alice"} {
		if got := ask(privately(user, wrongMain, session)); got.Outcome != account.Denied || got.Reason != login.Elsewhere {
			t.Errorf("Postern's own about %s: %s %s", user, got.Outcome, got.Reason)
		}
	}
	if len(w.trail.events) != events || len(w.limits.wrong) != counted || w.limits.right > 0 {
		t.Error("Postern's own question leaves a trace of its own")
	}
	ask(imap("alice@example.test", mainPassword))
	first := d.session
	ask(imap("alice@example.test", mainPassword))
	if first == session || first == d.session {
		t.Error("two questions are one to the auth policy")
	}
	events = len(w.trail.events)
	master := privately("alice@example.test", wrongMain, session)
	master.Master = "admin"
	parts := strings.Split(session, ".")
	for name, a := range map[string]login.Attempt{
		"another password":     privately("alice@example.test", mainPassword, session),
		"another user":         privately("bob@example.test", wrongMain, session),
		"no session":           privately("alice@example.test", wrongMain, ""),
		"Dovecot's session":    privately("alice@example.test", wrongMain, "m04dNdNgINx/AAAB"),
		"half a session":       privately("alice@example.test", wrongMain, session[:len(session)/2]),
		"another mark":         privately("alice@example.test", wrongMain, strings.Join([]string{parts[0], parts[1], parts[2], "AAAAAAAA", parts[4]}, ".")),
		"another minute":       privately("alice@example.test", wrongMain, strings.Join([]string{parts[0], "hgfedc", parts[2], parts[3], parts[4]}, ".")),
		"another nonce":        privately("alice@example.test", wrongMain, strings.Join([]string{parts[0], parts[1], "aaaaaaaa", parts[3], parts[4]}, ".")),
		"no proof":             privately("alice@example.test", wrongMain, strings.Join(parts[:4], ".")+"."),
		"more behind it":       privately("alice@example.test", wrongMain, session+".x"),
		"another prefix":       privately("alice@example.test", wrongMain, "x"+session),
		"with a master user":   master,
		"the main password":    privately("alice@example.test", mainPassword, "s1"),
		"an app password":      privately("alice@example.test", "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23", "s1"),
		"nobody, and no proof": privately("", "", ""),
	} {
		got := ask(a)
		if got.Outcome != account.Unavailable || got.Reason != login.Unproven {
			t.Errorf("%s: %s %s", name, got.Outcome, got.Reason)
		}
	}
	if len(w.trail.events) == events {
		t.Error("nobody hears of who tries")
	}
	for after, outcome := range map[time.Duration]account.Outcome{
		-time.Minute: account.Denied, time.Minute: account.Denied, 2 * time.Minute: account.Unavailable,
		-2 * time.Minute: account.Unavailable, time.Hour: account.Unavailable,
	} {
		*w.clock = now.Add(after)
		if got := ask(privately("alice@example.test", wrongMain, session)); got.Outcome != outcome {
			t.Errorf("%v later: %s %s", after, got.Outcome, got.Reason)
		}
	}
}

// TestPrivateServiceAndAuthPolicy: Dovecot asks the auth policy about Postern's own
// question like about any other. It passes, counts for nothing, and only a passdb that
// answered past Postern's is stopped by the second net.
func TestPrivateServiceAndAuthPolicy(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled = true
	d := &dovecot{}
	w := asking(t, p, d, login.Settings{})
	w.expect(t, imap("alice@example.test", mainPassword), want{account.Denied, login.AppPasswordRequired, 0})
	own := question(privately("alice", mainPassword, d.session), "")
	finds, counted := w.dir.finds, len(w.limits.wrong)
	for range 2 { // before the passdbs and, after a right password, behind them
		if permit := w.allow(own); permit.Refuse || permit.Wait > 0 {
			t.Errorf("refused: %s", permit.Reason)
		}
	}
	w.gate.Report(context.Background(), login.Report{Ask: own})
	if w.dir.finds != finds || len(w.limits.wrong) != counted || w.limits.right > 0 {
		t.Error("it was looked up, or counted")
	}
	other := question(privately("alice", mainPassword, "m04dNdNgINx/AAAB"), "")
	if permit := w.allow(other); permit.Refuse {
		t.Errorf("the first question of a stranger: %s", permit.Reason)
	}
	if permit := w.allow(other); !permit.Refuse || permit.Reason != login.Unproven {
		t.Error("another passdb let a stranger in, and the second net let him through")
	}
	other.Master = "admin"
	if permit := w.allow(other); permit.Reason != login.Impersonation {
		t.Errorf("a master user: %s", permit.Reason)
	}
}
