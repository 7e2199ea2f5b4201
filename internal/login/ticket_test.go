package login_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/policy"
	"postern/internal/seal"
	"postern/internal/session"
)

const (
	sessionID = "sessionidofours"
	epoch     = int64(1_799_000_000)
)

// webmail is where tickets come from in these tests, browser somewhere else.
var (
	webmail         = netip.MustParseAddr("198.51.100.3")
	browser         = netip.MustParseAddr("203.0.113.77")
	webmailNetworks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/29"), netip.MustParsePrefix("2001:db8:1::/64")}
)

// visit is one session of webmail and the ticket for it.
type visit struct {
	record account.Record
	body   session.Session
	ticket session.Ticket
	key    account.ID // that the ticket is signed for
}

func newVisit() visit {
	return visit{
		record: account.Record{Kind: account.KindSession, ID: sessionID, Created: now.Add(-time.Hour), Expires: now.Add(time.Hour),
			Used: account.Use{At: now.Add(-30 * time.Minute)}},
		body: session.Session{Epoch: epoch, Client: "roundcube", Strong: true, Via: "totp:abcd"},
		ticket: session.Ticket{Session: sessionID, Epoch: epoch, Expires: now.Add(10 * time.Minute),
			Services: []account.Service{account.IMAP, account.SMTP, account.Sieve}},
		key: "key-1",
	}
}

// visit stores the session and returns the ticket.
func (p *person) visit(t *testing.T, v visit) string {
	t.Helper()
	body, err := account.Encode(v.body)
	if err != nil {
		t.Fatal(err)
	}
	if v.record.Body == nil {
		v.record.Body = body
	}
	p.put(t, &v.record)
	p.state.Members = append(p.state.Members, account.Member{Kind: account.KindSession, ID: v.record.ID})
	return p.ticket(t, v)
}

func (p *person) ticket(t *testing.T, v visit) string {
	t.Helper()
	text, err := v.ticket.Issue(p.ring, v.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(text.Reveal())
}

// fromWebmail is an attempt by webmail, which tells Dovecot the browser's address.
func fromWebmail(ticket string) login.Attempt {
	a := imap("alice@example.test", ticket)
	a.Client, a.Peer = browser, webmail
	return a
}

// TestAttack24_Tickets is the table of every case of a ticket. None of them may ever
// cause a bind or a write, and only a forged one counts as a guess.
func TestAttack24_Tickets(t *testing.T) {
	for name, c := range map[string]struct {
		visit   func(*visit)
		attempt func(*login.Attempt)
		person  func(*person)
		reason  login.Reason
	}{
		"right":                  {},
		"right, locked by binds": {person: func(p *person) { p.acct.Status = account.BindLocked }},
		"right, by submission":   {attempt: func(a *login.Attempt) { a.Service = account.SMTP }},
		"right, by sieve":        {attempt: func(a *login.Attempt) { a.Service = account.Sieve }},
		"right, without a peer":  {attempt: func(a *login.Attempt) { a.Client, a.Peer = webmail, netip.Addr{} }},
		"right, by IPv6":         {attempt: func(a *login.Attempt) { a.Peer = netip.MustParseAddr("2001:db8:1::7%eth0") }},
		"right, IPv4 in IPv6":    {attempt: func(a *login.Attempt) { a.Peer = netip.MustParseAddr("::ffff:198.51.100.3") }},
		"right, another name":    {attempt: func(a *login.Attempt) { a.User = "an.alias@example.test" }},
		"right, weak, no 2FA":    {visit: func(v *visit) { v.body.Strong = false }, person: func(p *person) { p.state.Enrolled = false }},
		"right, password's age known by now": {visit: func(v *visit) { v.ticket.Epoch = epoch + now.Add(-2*time.Hour).UnixMicro() },
			person: func(p *person) { p.acct.PasswordChanged = now.Add(-2 * time.Hour) }},
		"right, no app passwords": {person: func(p *person) { p.acct.Policy = policy.Layers{policy.ParseJSON("account", `{"app_passwords":false}`)} }},

		"of another account":      {visit: func(v *visit) { v.key = "key-2" }, reason: login.BadTicket},
		"expired":                 {visit: func(v *visit) { v.ticket.Expires = now }, reason: login.TicketExpired},
		"by POP3":                 {attempt: func(a *login.Attempt) { a.Service = account.POP3 }, reason: login.WrongService},
		"by DAV":                  {attempt: func(a *login.Attempt) { a.Service = account.DAV }, reason: login.WrongService},
		"by doveadm":              {attempt: func(a *login.Attempt) { a.Service = account.Doveadm }, reason: login.WrongService},
		"by nothing":              {attempt: func(a *login.Attempt) { a.Service = "" }, reason: login.WrongService},
		"for no service":          {visit: func(v *visit) { v.ticket.Services = nil }, reason: login.WrongService},
		"from elsewhere":          {attempt: func(a *login.Attempt) { a.Client, a.Peer = browser, browser }, reason: login.WrongNetwork},
		"forwarded as webmail":    {attempt: func(a *login.Attempt) { a.Client, a.Peer = webmail, browser }, reason: login.WrongNetwork},
		"elsewhere, no peer":      {attempt: func(a *login.Attempt) { a.Peer = netip.Addr{} }, reason: login.WrongNetwork},
		"from nowhere":            {attempt: func(a *login.Attempt) { a.Client, a.Peer = netip.Addr{}, netip.Addr{} }, reason: login.WrongNetwork},
		"session removed":         {visit: func(v *visit) { v.ticket.Session = "another" }, reason: login.SessionEnded},
		"session ended":           {visit: func(v *visit) { v.record.Ended = now.Add(-time.Second) }, reason: login.SessionEnded},
		"session expired":         {visit: func(v *visit) { v.record.Expires = now }, reason: login.SessionEnded},
		"session idle":            {visit: func(v *visit) { v.record.Used.At = now.Add(-13 * time.Hour) }, reason: login.SessionEnded},
		"session too old by now":  {visit: func(v *visit) { v.record.Created = now.Add(-3 * time.Hour) }, person: func(p *person) { p.acct.Policy = policy.Layers{policy.ParseJSON("account", `{"session_life":"2h"}`)} }, reason: login.SessionEnded},
		"epoch of the account":    {person: func(p *person) { p.state.Epoch = epoch + 1 }, reason: login.SessionEnded},
		"epoch of the session":    {visit: func(v *visit) { v.body.Epoch = epoch - 1 }, reason: login.SessionEnded},
		"epoch of the ticket":     {visit: func(v *visit) { v.ticket.Epoch = epoch - 1 }, reason: login.SessionEnded},
		"epochs of both":          {visit: func(v *visit) { v.ticket.Epoch, v.body.Epoch = epoch-1, epoch-1 }, reason: login.SessionEnded},
		"password changed since":  {person: func(p *person) { p.acct.PasswordChanged = now.Add(-time.Minute) }, reason: login.SessionEnded},
		"account disabled":        {person: func(p *person) { p.acct.Status = account.Disabled }, reason: login.AccountDisabled},
		"weak, 2FA by now":        {visit: func(v *visit) { v.body.Strong = false }, reason: login.SessionWeak},
		"weak, mandatory by now":  {visit: func(v *visit) { v.body.Strong = false }, person: mandatory, reason: login.SessionWeak},
		"weak, after a reset":     {visit: func(v *visit) { v.body.Strong = false }, person: func(p *person) { p.state.Enrolled, p.state.MustEnrol = false, true }, reason: login.SessionWeak},
		"weak, records missing":   {visit: func(v *visit) { v.body.Strong = false }, person: func(p *person) { p.state.Enrolled = false; p.missing() }, reason: login.SessionWeak},
		"session's body damaged":  {visit: func(v *visit) { v.record.Body = []byte{0xa0, 0} }, reason: login.Damaged},
		"session not of State":    {person: func(p *person) { p.state.Members = nil }, reason: login.Damaged},
		"session revived":         {person: func(p *person) { p.state.Members[0].Ended = true }, reason: login.Damaged},
		"policy unreadable":       {person: func(p *person) { p.acct.Policy = policy.Layers{policy.ParseJSON("account", `{`)} }, reason: login.PolicyUnreadable},
		"a master user":           {attempt: func(a *login.Attempt) { a.Master = "root" }, reason: login.Impersonation},
		"other record is missing": {person: (*person).missing},
	} {
		t.Run(name, func(t *testing.T) {
			p, v := newPerson(t), newVisit()
			p.state.Enrolled, p.state.Epoch = true, epoch
			if c.visit != nil {
				c.visit(&v)
			}
			ticket := p.visit(t, v)
			if c.person != nil {
				c.person(p)
			}
			w := newWorld(t, p.build(t), p.ring, login.Settings{WebmailNetworks: webmailNetworks})
			a := fromWebmail(ticket)
			if c.attempt != nil {
				c.attempt(&a)
			}
			outcome := account.Granted
			switch c.reason {
			case "":
			case login.PolicyUnreadable:
				outcome = account.Unavailable
			default:
				outcome = account.Denied
			}
			w.expect(t, a, want{outcome, c.reason, 0})
			if guess := c.reason == login.BadTicket; guess != (len(w.limits.wrong) == 1) {
				t.Errorf("%d wrong tries counted", len(w.limits.wrong))
			}
			w.gate.Close(t.Context()) // last uses are written until then
			if c.reason == "" && (w.dir.finds != 1 || w.dir.reads != 0 || len(w.dir.edits) != 0) {
				t.Errorf("%d searches, %d at the write server, %d edits", w.dir.finds, w.dir.reads, len(w.dir.edits))
			}
		})
	}
}

func mandatory(p *person) {
	p.state.Enrolled = false
	p.acct.Policy = policy.Layers{policy.ParseJSON("account", `{"twofactor":"mandatory"}`)}
}

// missing lets State name a record that is not there.
func (p *person) missing() {
	p.state.Members = append(p.state.Members, account.Member{Kind: account.KindTOTP, ID: "gone"})
}

// TestAttack24_ForgedTicketsCount: each is refused without a bind, and is a guess.
func TestAttack24_ForgedTicketsCount(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled, p.state.Epoch = true, epoch
	right := p.visit(t, newVisit())
	acct := p.build(t)
	stranger := newPerson(t).ticket(t, newVisit())
	for name, ticket := range map[string]string{
		"nothing behind pt1_": "pt1_", "a main password": "pt1_" + mainPassword, "too long": "pt1_" + strings.Repeat("A", 5000),
		"of another site's key": stranger, "cut off": right[:len(right)-1], "longer": right + "A",
		"of another session": right[:40] + flip(right[40]) + right[41:], "edited signature": right[:len(right)-5] + flip(right[len(right)-5]) + right[len(right)-4:],
		"another key id": right[:5] + flip(right[5]) + right[6:],
	} {
		w := newWorld(t, acct, p.ring, login.Settings{WebmailNetworks: webmailNetworks})
		a := fromWebmail(ticket)
		if strings.Contains(name, "key") {
			a.Peer = browser
		}
		w.expect(t, a, want{account.Denied, login.BadTicket, 0})
		if len(w.limits.wrong) != 1 || w.limits.wrong[0] {
			t.Errorf("%s: counted %v", name, w.limits.wrong)
		}
		if e := w.trail.events[0]; e.Credential != "" {
			t.Errorf("%s: the log says that it is credential %q", name, e.Credential)
		}
	}
}

// flip is another character of base64.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// TestTicketOfAKeyThatIsNotKnownHere: a mail host with an old ticket.pub takes nothing
// that it cannot check, and does not shut webmail out for it either.
func TestTicketOfAKeyThatIsNotKnownHere(t *testing.T) {
	p := newPerson(t)
	p.visit(t, newVisit())
	w := newWorld(t, p.build(t), p.ring, login.Settings{WebmailNetworks: webmailNetworks})
	w.expect(t, fromWebmail(newPerson(t).ticket(t, newVisit())), want{account.Unavailable, login.NoTicketKey, 0})
	if len(w.limits.wrong) != 0 {
		t.Errorf("counted %v", w.limits.wrong)
	}
}

// A site that was not given ticket.pub cannot say that a ticket is wrong.
func TestTicketWithoutKey(t *testing.T) {
	p := newPerson(t)
	ticket := p.visit(t, newVisit())
	acct := p.build(t)
	empty, err := seal.NewRing(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]session.Verifier{"none": nil, "without keys": empty} {
		for _, text := range []string{ticket, "pt1_forged"} {
			w := newWorld(t, acct, p.ring, login.Settings{WebmailNetworks: webmailNetworks})
			w.replace(t, v)
			w.expect(t, fromWebmail(text), want{account.Unavailable, login.NoTicketKey, 0})
			if w.dir.finds != 0 || len(w.limits.wrong) != 0 {
				t.Errorf("%s: %d searches, %d tries counted", name, w.dir.finds, len(w.limits.wrong))
			}
		}
	}
}

// replace gives the world a gate that checks tickets by v.
func (w *world) replace(t *testing.T, v session.Verifier) {
	t.Helper()
	w.gate = login.New(login.Parts{Store: w.dir, Prover: newPerson(t).ring, Recorder: w.trail, Throttle: w.limits, Tickets: v,
		Now: func() time.Time { return *w.clock }}, login.Settings{Deadline: time.Second, WebmailNetworks: webmailNetworks})
	t.Cleanup(func() { w.gate.Close(context.Background()) })
}

// TestTicketOfASessionThatIsNotReplicatedYet: webmail logs in right after the session
// began; a door that reads a replica which lags behind asks the write server before it
// says that the session has ended.
func TestTicketOfASessionThatIsNotReplicatedYet(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled, p.state.Epoch = true, epoch
	old := *p.build(t)
	p.values = make(map[account.Kind][]account.Value)
	ticket := p.visit(t, newVisit())
	fresh := *p.build(t)
	disabled := fresh
	disabled.Status = account.Disabled
	for name, c := range map[string]struct {
		fresh *account.Account
		err   error
		want  want
	}{
		"begun a moment ago":       {&fresh, nil, want{account.Granted, "", 0}},
		"ended":                    {&old, nil, want{account.Denied, login.SessionEnded, 0}},
		"account disabled":         {&disabled, nil, want{account.Denied, login.SessionEnded, 0}},
		"account removed":          {nil, account.ErrUnknown, want{account.Denied, login.SessionEnded, 0}},
		"no write server":          {nil, account.ErrUnavailable, want{account.Unavailable, login.DirectoryDown, 0}},
		"a write server in error":  {nil, context.DeadlineExceeded, want{account.Unavailable, login.DirectoryDown, 0}},
		"an entry without its key": {nil, account.ErrDamaged, want{account.Unavailable, login.DirectoryDown, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &old, p.ring, login.Settings{WebmailNetworks: webmailNetworks})
			w.dir.fresh, w.dir.readErr = c.fresh, c.err
			w.expect(t, fromWebmail(ticket), c.want)
			if w.dir.reads != 1 || len(w.limits.wrong) != 0 {
				t.Errorf("%d reads, %d tries counted", w.dir.reads, len(w.limits.wrong))
			}
		})
	}
}

// The second question of the auth policy passes by the proof of the session's
// credential, for an account whose main password would not.
func TestTicketPassesTheSecondNet(t *testing.T) {
	p := newPerson(t)
	p.state.Enrolled, p.state.Epoch = true, epoch
	ticket := p.visit(t, newVisit())
	w := newWorld(t, p.build(t), p.ring, login.Settings{WebmailNetworks: webmailNetworks})
	a := fromWebmail(ticket)
	d := w.ask(t, a)
	if d.Credential != "session:"+sessionID || w.trail.events[0].Credential != d.Credential {
		t.Errorf("credential %q, in the log %q", d.Credential, w.trail.events[0].Credential)
	}
	if permit := w.gate.Allow(t.Context(), question(a, d.CredID)); permit.Refuse || w.dir.finds != 1 {
		t.Errorf("%+v after %d searches", permit, w.dir.finds)
	}
	a.Client = webmail // another address than the proof's
	if permit := w.gate.Allow(t.Context(), question(a, d.CredID)); !permit.Refuse {
		t.Error("a proof of another address passes")
	}
	if w.limits.right != 1 {
		t.Errorf("%d known-good pairs", w.limits.right)
	}
}
