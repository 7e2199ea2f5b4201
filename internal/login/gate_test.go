package login_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/policy"
)

// TestMainPassword is the table of every case of the main password.
func TestE1_E2_MainPassword(t *testing.T) {
	mandatory, badJSON := `{"twofactor":"mandatory"}`, `{`
	for name, c := range map[string]struct {
		state    account.State
		status   account.Status
		policy   string
		settings login.Settings
		bindErr  error
		password string
		want     want
	}{
		"right, no factor":            {want: want{account.Granted, "", 1}},
		"wrong, no factor":            {password: wrongMain, want: want{account.Denied, login.WrongPassword, 1}},
		"right, factor":               {state: account.State{Enrolled: true}, want: want{account.Denied, login.AppPasswordRequired, 1}},
		"wrong, factor":               {state: account.State{Enrolled: true}, password: wrongMain, want: want{account.Denied, login.WrongPassword, 1}},
		"right, after a reset":        {state: account.State{MustEnrol: true}, want: want{account.Denied, login.AppPasswordRequired, 1}},
		"right, policy mandatory":     {policy: mandatory, want: want{account.Denied, login.AppPasswordRequired, 1}},
		"right, policy unreadable":    {policy: badJSON, want: want{account.Unavailable, login.PolicyUnreadable, 0}},
		"right, disabled":             {status: account.Disabled, want: want{account.Denied, login.AccountDisabled, 0}},
		"right, lock is over":         {status: account.BindLocked, want: want{account.Granted, "", 1}},
		"wrong or still locked":       {status: account.BindLocked, password: wrongMain, want: want{account.Denied, login.BindLocked, 1}},
		"directory down at bind":      {bindErr: account.ErrUnavailable, want: want{account.Unavailable, login.DirectoryDown, 1}},
		"any other error at bind":     {bindErr: fmt.Errorf("odd"), want: want{account.Unavailable, login.DirectoryDown, 1}},
		"empty":                       {password: "-", want: want{account.Denied, login.EmptyPassword, 0}},
		"ticket-shaped":               {password: "pt1_forged", want: want{account.Denied, login.BadTicket, 0}},
		"site's own passdb, none":     {settings: login.Settings{MainElsewhere: true}, want: want{account.Denied, login.Elsewhere, 0}},
		"site's own passdb, factor":   {settings: login.Settings{MainElsewhere: true}, state: account.State{Enrolled: true}, want: want{account.Denied, login.AppPasswordRequired, 0}},
		"site's own passdb, disabled": {settings: login.Settings{MainElsewhere: true}, status: account.Disabled, want: want{account.Denied, login.AccountDisabled, 0}},
		"site's own passdb, damaged":  {settings: login.Settings{MainElsewhere: true}, state: account.State{Members: []account.Member{{Kind: account.KindTOTP, ID: "x"}}}, want: want{account.Denied, login.AppPasswordRequired, 0}},
		"damaged":                     {state: account.State{Members: []account.Member{{Kind: account.KindTOTP, ID: "x"}}}, want: want{account.Denied, login.AppPasswordRequired, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.state, p.acct.Status = c.state, c.status
			if c.policy != "" {
				p.acct.Policy = policy.Layers{policy.ParseJSON("account", c.policy)}
			}
			w := newWorld(t, p.build(t), p.ring, c.settings)
			w.dir.bindErr = c.bindErr
			password := map[string]string{"": mainPassword, "-": ""}[c.password] + strings.Trim(c.password, "-")
			w.expect(t, imap("alice@example.test", password), c.want)
		})
	}
}

// TestAppPassword is the table of every case of an app password. None of them
// may ever cause a bind (ATTACKS 8).
func TestE1_P2_AppPassword(t *testing.T) {
	ended := func(r *account.Record) { r.Ended = now.Add(-time.Hour) }
	expired := func(r *account.Record) { r.Expires = now }
	home := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for name, c := range map[string]struct {
		scope   factor.AppPassword
		change  func(*account.Record)
		state   account.State
		status  account.Status
		policy  string
		service account.Service
		want    want
	}{
		"right, factor":             {state: account.State{Enrolled: true}, want: want{account.Granted, "", 0}},
		"right, no factor":          {want: want{account.Granted, "", 0}},
		"right, locked by binds":    {status: account.BindLocked, want: want{account.Granted, "", 0}},
		"right, disabled":           {status: account.Disabled, want: want{account.Denied, login.AccountDisabled, 0}},
		"revoked":                   {change: ended, want: want{account.Denied, login.AppPasswordRevoked, 0}},
		"expired":                   {change: expired, want: want{account.Denied, login.AppPasswordExpired, 0}},
		"another service":           {scope: factor.AppPassword{Services: []account.Service{account.SMTP}}, want: want{account.Denied, login.WrongService, 0}},
		"dav by default not":        {service: account.DAV, want: want{account.Denied, login.WrongService, 0}},
		"unknown service":           {service: "xmpp", want: want{account.Denied, login.WrongService, 0}},
		"no service":                {service: "-", want: want{account.Denied, login.WrongService, 0}},
		"another network":           {scope: factor.AppPassword{Networks: home}, want: want{account.Denied, login.WrongNetwork, 0}},
		"forbidden by policy":       {policy: `{"app_passwords":false}`, want: want{account.Denied, login.AppPasswordsForbidden, 0}},
		"body damaged":              {change: func(r *account.Record) { r.Body = []byte{0xa0} }, want: want{account.Denied, login.Damaged, 0}},
		"right, another is missing": {state: account.State{Members: []account.Member{{Kind: account.KindTOTP, ID: "gone"}}}, want: want{account.Granted, "", 0}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.state, p.acct.Status = c.state, c.status
			if c.policy != "" {
				p.acct.Policy = policy.Layers{policy.ParseJSON("account", c.policy)}
			}
			password := p.app(t, c.scope, c.change)
			w := newWorld(t, p.build(t), p.ring, login.Settings{})
			a := imap("alice@example.test", password)
			if c.service != "" {
				a.Service = account.Service(strings.Trim(string(c.service), "-"))
			}
			w.expect(t, a, c.want)
		})
	}
}

func TestAppPasswordsOfOthersAndWrongOnes(t *testing.T) {
	p := newPerson(t)
	right := p.app(t, factor.AppPassword{}, nil)
	stranger, _, _ := factor.NewAppPassword(factor.AppPassword{})
	acct := p.build(t)
	// The id of a record, with another verifier.
	var other string
	for other == "" {
		plain, _, _ := factor.NewAppPassword(factor.AppPassword{})
		s := right[:4] + string(plain.Reveal())[4:33]
		for _, c := range "abcdefghijklmnopqrstuvwxyz234567" {
			if factor.Classify(account.SecretString(s+string(c))).Shape == factor.App {
				other = s + string(c)
			}
		}
	}
	for password, want := range map[string]want{
		string(stranger.Reveal()):           {account.Denied, login.AppPasswordUnknown, 0},
		other:                               {account.Denied, login.AppPasswordWrong, 0},
		strings.ToUpper(right):              {account.Denied, login.NearMiss, 0},
		right[:33]:                          {account.Denied, login.NearMiss, 0},
		right + "x":                         {account.Denied, login.NearMiss, 0},
		strings.ReplaceAll(right, "-", " "): {account.Granted, "", 0},
	} {
		newWorld(t, acct, p.ring, login.Settings{}).expect(t, imap("alice@example.test", password), want)
	}
}

func TestAttack11_13_WhatIsNotEvenLookedUp(t *testing.T) {
	p := newPerson(t)
	acct := p.build(t)
	for name, c := range map[string]struct {
		change func(*login.Attempt)
		reason login.Reason
	}{
		"no name":     {func(a *login.Attempt) { a.User = "" }, login.BadName},
		"10 kB":       {func(a *login.Attempt) { a.User = strings.Repeat("a", 10<<10) }, login.BadName},
		"NUL":         {func(a *login.Attempt) { a.User = "alice\x00" }, login.BadName},
		"control":     {func(a *login.Attempt) { a.User = "alice\n" }, login.BadName},
		"not UTF-8":   {func(a *login.Attempt) { a.User = "alice\xff" }, login.BadName},
		"master user": {func(a *login.Attempt) { a.Master = "root" }, login.Impersonation},
		"no password": {func(a *login.Attempt) { a.Password = account.Secret{} }, login.EmptyPassword},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, acct, p.ring, login.Settings{})
			a := imap("alice@example.test", mainPassword)
			c.change(&a)
			w.expect(t, a, want{account.Denied, c.reason, 0})
			if w.dir.finds != 0 {
				t.Error("was looked up")
			}
		})
	}
}

func TestNamesThatFindNoOneEntry(t *testing.T) {
	p := newPerson(t)
	app, _, _ := factor.NewAppPassword(factor.AppPassword{})
	elsewhere := login.Settings{UnknownElsewhere: true}
	for name, c := range map[string]struct {
		err      error
		settings login.Settings
		password string
		want     want
	}{
		"unknown":                           {account.ErrUnknown, login.Settings{}, mainPassword, want{account.Denied, login.UnknownUser, 0}},
		"ambiguous":                         {account.ErrAmbiguous, login.Settings{}, mainPassword, want{account.Denied, login.AmbiguousUser, 0}},
		"damaged":                           {account.ErrDamaged, login.Settings{}, mainPassword, want{account.Denied, login.Damaged, 0}},
		"directory down":                    {account.ErrUnavailable, login.Settings{}, mainPassword, want{account.Unavailable, login.DirectoryDown, 0}},
		"unknown, left to the site":         {account.ErrUnknown, elsewhere, mainPassword, want{account.Denied, login.Elsewhere, 0}},
		"unknown, app password, the site's": {account.ErrUnknown, elsewhere, string(app.Reveal()), want{account.Denied, login.UnknownUser, 0}},
		"ambiguous, the site's":             {account.ErrAmbiguous, elsewhere, mainPassword, want{account.Denied, login.AmbiguousUser, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, p.ring, c.settings)
			w.dir.findErr = c.err
			w.expect(t, imap("nobody@example.test", c.password), c.want)
		})
	}
}

// A lookup never verifies a password and never lets a master user through.
func TestAttack13_Lookups(t *testing.T) {
	p := newPerson(t)
	w := newWorld(t, p.build(t), p.ring, login.Settings{})
	a := imap("alice@example.test", mainPassword)
	d := w.gate.Lookup(context.Background(), a)
	if d.Outcome != account.Granted || w.dir.binds != 0 || d.CredID != "" {
		t.Errorf("%s, %d binds, cred_id %q", d.Outcome, w.dir.binds, d.CredID)
	}
	a.Master = "root"
	if d := w.gate.Lookup(context.Background(), a); d.Outcome != account.Denied || d.Reason != login.Impersonation {
		t.Errorf("with a master user: %s %s", d.Outcome, d.Reason)
	}
	elsewhere := newWorld(t, w.dir.acct, p.ring, login.Settings{MainElsewhere: true})
	if d := elsewhere.gate.Lookup(context.Background(), imap("alice@example.test", "")); d.Reason != login.Elsewhere {
		t.Errorf("the site's own passdb supplies the fields: %s %s", d.Outcome, d.Reason)
	}
}

// Damage is denied quietly at the door and shouted about in the audit log.
func TestAttack20_DamageIsAnAlarm(t *testing.T) {
	p := newPerson(t)
	p.state.Members = []account.Member{{Kind: account.KindApp, ID: "gone"}}
	w := newWorld(t, p.build(t), p.ring, login.Settings{})
	w.expect(t, imap("alice@example.test", mainPassword), want{account.Denied, login.AppPasswordRequired, 1})
	if len(w.trail.events) != 2 || w.trail.events[1].Action != effect.Damage || w.trail.events[1].Account != "key-1" {
		t.Errorf("events: %+v", w.trail.events)
	}
}

// ATTACKS 14: an attribute whose value would break Dovecot's line is no login.
func TestAttack14_HostileAttributeInTheReply(t *testing.T) {
	for _, value := range []string{"/home/a\tuser=root", "a\nb", "a\x00b", "a\x01b", "a\rb"} {
		p := newPerson(t)
		p.acct.Fields = map[string]string{"userdb_home": value}
		newWorld(t, p.build(t), p.ring, login.Settings{}).expect(t, imap("alice@example.test", mainPassword), want{account.Unavailable, login.BadField, 1})
	}
}

// ATTACKS 31: a credential pasted where the name belongs is not logged.
func TestAttack31_CredentialAsName(t *testing.T) {
	p := newPerson(t)
	password := p.app(t, factor.AppPassword{}, nil)
	for _, name := range []string{password, strings.ToUpper(password), "pt1_abcdef"} {
		w := newWorld(t, nil, p.ring, login.Settings{})
		w.dir.findErr = account.ErrUnknown
		w.ask(t, imap(name, wrongMain))
		if line, _ := json.Marshal(w.trail.events); strings.Contains(string(line), name) {
			t.Errorf("logged: %s", line)
		}
	}
}

// ATTACKS 41: binds that hang take only their own places.
func TestAttack41_SlowBindsDoNotStarveAppPasswords(t *testing.T) {
	p := newPerson(t)
	password := p.app(t, factor.AppPassword{}, nil)
	dir := &stuck{directory: directory{acct: p.build(t)}, arrived: make(chan struct{}, 64), release: make(chan struct{})}
	gate := login.New(login.Parts{Store: dir, Prover: p.ring, Recorder: &trail{}, Now: func() time.Time { return now }},
		login.Settings{Deadline: time.Minute, MaxBinds: 2})
	defer gate.Close(context.Background())
	var waiting sync.WaitGroup
	for i := range 20 {
		waiting.Go(func() { gate.Mail(context.Background(), imap("alice@example.test", fmt.Sprint("password ", i))) })
	}
	<-dir.arrived
	<-dir.arrived
	for range 50 {
		if d := gate.Mail(context.Background(), imap("alice@example.test", password)); d.Outcome != account.Granted {
			t.Fatalf("%s %s", d.Outcome, d.Reason)
		}
	}
	if n := len(dir.arrived); n != 0 {
		t.Errorf("%d more binds than allowed", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if d := gate.Mail(ctx, imap("alice@example.test", mainPassword)); d.Outcome != account.Unavailable || d.Reason != login.Busy {
		t.Errorf("past the limit and the deadline: %s %s", d.Outcome, d.Reason)
	}
	close(dir.release)
	waiting.Wait()
}

// The same wrong password many times at once is one bind: the directory would
// otherwise count each, and lock the account (ATTACKS 8).
func TestAttack08_OneBindForTheSamePassword(t *testing.T) {
	p := newPerson(t)
	dir := &stuck{directory: directory{acct: p.build(t), bindErr: account.ErrWrong}, arrived: make(chan struct{}, 64), release: make(chan struct{})}
	gate := login.New(login.Parts{Store: dir, Prover: p.ring, Recorder: &trail{}, Now: func() time.Time { return now }},
		login.Settings{Deadline: time.Minute, MaxBinds: 8})
	defer gate.Close(context.Background())
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			a := imap("alice@example.test", wrongMain)
			a.Client = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			if d := gate.Mail(context.Background(), a); d.Reason != login.WrongPassword && d.Reason != login.Busy {
				t.Errorf("%s %s", d.Outcome, d.Reason)
			}
		})
	}
	<-dir.arrived
	close(dir.release)
	all.Wait()
	if n := len(dir.arrived); n != 0 {
		t.Errorf("%d binds too many", n)
	}
}

type stuck struct {
	directory
	arrived, release chan struct{}
}

func (s *stuck) Bind(context.Context, *account.Account, account.Secret) error {
	s.arrived <- struct{}{}
	<-s.release
	return s.bindErr
}

// The last use is written once an hour, and only while the credential lives.
func TestP3_LastUse(t *testing.T) {
	for name, c := range map[string]struct {
		used time.Duration // before now
		want int
	}{"never": {0, 1}, "two hours ago": {2 * time.Hour, 1}, "a minute ago": {time.Minute, 0}} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			password := p.app(t, factor.AppPassword{}, func(r *account.Record) {
				if c.used != 0 {
					r.Used.At = now.Add(-c.used)
				}
			})
			w := newWorld(t, p.build(t), p.ring, login.Settings{})
			for range 3 {
				w.ask(t, imap("alice@example.test", password))
			}
			w.gate.Close(context.Background())
			if len(w.dir.edits) != c.want {
				t.Fatalf("%d writes, want %d", len(w.dir.edits), c.want)
			}
			if c.want == 1 {
				use := w.dir.edits[0].Now.Used
				if !use.At.Equal(now) || use.Service != account.IMAP || use.From.String() != "192.0.2.7" {
					t.Errorf("%+v", use)
				}
			}
		})
	}
}
