package login_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
	"postern/ldapstore"
)

// knowing is a site whose policy lets known devices go on for 14 days.
func knowing(t *testing.T) *site {
	t.Helper()
	return newSite(t, policy.Settings{KnownDeviceDays: new(14)})
}

// mains logs in with the main password, and waits for what is written afterwards.
func (w *site) mains(s account.Service, from string) login.Decision {
	w.t.Helper()
	_, g := w.node()
	defer g.Close(ctx)
	a := login.Attempt{User: w.user, Password: account.SecretString(mailtest.Password), Service: s}
	if from != "" {
		a.Client = netip.MustParseAddr(from)
	}
	return g.Mail(ctx, a)
}

func (w *site) wantMain(s account.Service, from string, want login.Reason) {
	w.t.Helper()
	d := w.mains(s, from)
	in := want == "" || want == login.KnownDevice || want == login.Observed
	if d.Reason != want || (d.Outcome == account.Granted) != in {
		w.t.Errorf("%s from %q: %v %q, want %q", s, from, d.Outcome, d.Reason, want)
	}
}

// E13: after two-factor login is switched on, the main password goes on where it was used
// before, by service and network, for the days of the policy; nowhere else, and never at
// webmail.
func TestE13_KnownDevices(t *testing.T) {
	w := knowing(t)
	w.wantMain(account.IMAP, "192.0.2.7", "")
	w.wantMain(account.Sieve, "2001:db8:1:2::3", "")
	w.wantMain(account.POP3, home.String(), "")
	w.wantMain(account.SMTP, "127.0.0.1", "")
	w.wantMain(account.SMTP, "", "")
	w.wantMain(account.SMTP, "169.254.7.7", "")
	w.wantMain(account.Doveadm, "192.0.2.7", "")
	w.pass(time.Minute)
	w.enrol()
	for _, c := range []struct {
		service account.Service
		from    string
		want    login.Reason
	}{
		{account.IMAP, "192.0.2.7", login.KnownDevice},
		{account.IMAP, "192.0.2.255", login.KnownDevice},
		{account.IMAP, "::ffff:192.0.2.9", login.KnownDevice},
		{account.Sieve, "2001:db8:1:ffff::9", login.KnownDevice},
		{account.POP3, home.String(), login.KnownDevice},

		{account.IMAP, "192.0.3.7", login.AppPasswordRequired},
		{account.IMAP, "2001:db8:1:2::3", login.AppPasswordRequired},
		{account.IMAP, "", login.AppPasswordRequired},
		{account.POP3, "192.0.2.7", login.AppPasswordRequired},
		{account.SMTP, "192.0.2.7", login.AppPasswordRequired},
		{account.Sieve, "192.0.2.7", login.AppPasswordRequired},
		{account.Sieve, "2001:db8:2:2::3", login.AppPasswordRequired},
		{account.SMTP, "127.0.0.1", login.AppPasswordRequired},
		{account.SMTP, "", login.AppPasswordRequired},
		{account.SMTP, "169.254.7.7", login.AppPasswordRequired},
		{account.Doveadm, "192.0.2.7", login.AppPasswordRequired},
		{account.DAV, "192.0.2.7", login.AppPasswordOnly},
	} {
		w.wantMain(c.service, c.from, c.want)
	}
	if d := w.door(account.SecretString("wrong"), account.IMAP, "192.0.2.7"); d.Outcome != account.Denied || d.Reason != login.WrongPassword {
		t.Errorf("a wrong password: %v %q", d.Outcome, d.Reason)
	}
	w.toFactor() // from a network that is known for POP3
	e, n := w.last(effect.KnownDevicesKept)
	if n != 1 || !e.Until.Equal(w.clock().Add(14*day)) || len(w.account().State.Known.Devices) != 3 {
		t.Errorf("%d events, %+v", n, e)
	}
	if end, ends := effect.EndingOf(e); !ends || !end.NotBefore.Equal(e.Until) || end.Credential != "" {
		t.Errorf("connections that are open then: %+v", end)
	}

	w.pass(14*day - time.Second)
	w.wantMain(account.IMAP, "192.0.2.7", login.KnownDevice)
	w.pass(time.Second)
	w.wantMain(account.IMAP, "192.0.2.7", login.AppPasswordRequired)
	if d := w.door(account.SecretString(mailtest.Password), account.IMAP, "192.0.2.7"); d.Outcome != account.Denied {
		t.Errorf("two weeks later: %v", d.Outcome)
	}
}

// Without the policy nothing is written down, and nothing goes on.
func TestE13_KnownDevicesAreOptIn(t *testing.T) {
	w := newSite(t, policy.Settings{})
	w.wantMain(account.IMAP, "192.0.2.7", "")
	if w.account().HasHolder {
		t.Error("something was written")
	}
	w.enrol()
	w.wantMain(account.IMAP, "192.0.2.7", login.AppPasswordRequired)
}

// A clock that was set back opens nothing.
func TestE13_KnownDevicesNotBefore(t *testing.T) {
	w := knowing(t)
	w.wantMain(account.IMAP, "192.0.2.7", "")
	w.enrol()
	w.pass(-time.Hour)
	w.wantMain(account.IMAP, "192.0.2.7", login.AppPasswordRequired)
}

// What an account is given back, or ended by, after an incident is the end of what it
// knew; also where two-factor login is switched on anew.
func TestE13_KnownDevicesAreForgotten(t *testing.T) {
	root := desk.Root("test")
	again := func(w *site) error {
		_, err := w.desk.DisableTwoFactor(ctx, root, w.user)
		if err == nil {
			w.enrol()
		}
		return err
	}
	for name, end := range map[string]func(*site) error{
		"reset":      func(w *site) error { _, err := w.desk.Reset(ctx, root, w.user); return err },
		"revoke all": func(w *site) error { _, err := w.desk.RevokeAll(ctx, root, w.user); return err },
		"revoke since, with nothing else to revoke": func(w *site) error {
			_, err := w.desk.RevokeSince(ctx, root, w.user, w.clock())
			return err
		},
		"logged out everywhere": func(w *site) error { _, err := w.desk.EndAllSessions(ctx, root, w.user); return err },
		"off and on again":      again,
		"the only factor removed, another added": func(w *site) error {
			a := w.account()
			_, err := w.desk.RemoveFactor(ctx, root, w.user, desk.Ref{Kind: account.KindTOTP, ID: a.Values(account.KindTOTP)[0].ID})
			if err == nil {
				w.enrol()
			}
			return err
		},
		"reset, enrolled anew": func(w *site) error {
			_, err := w.desk.Reset(ctx, root, w.user)
			w.mains(account.IMAP, "192.0.2.7")
			w.enrol()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := knowing(t)
			w.wantMain(account.IMAP, "192.0.2.7", "")
			w.enrol()
			w.pass(time.Minute)
			w.wantMain(account.IMAP, "192.0.2.7", login.KnownDevice)
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			w.wantMain(account.IMAP, "192.0.2.7", login.AppPasswordRequired)
			if k := w.account().State.Known; k != nil {
				t.Errorf("still there: %+v", k)
			}
		})
	}
}

// Before two-factor login is on, the same changes make what was seen count for nothing.
func TestE13_KnownDevicesAreForgottenBefore(t *testing.T) {
	root := desk.Root("test")
	for name, end := range map[string]func(*site) error{
		"revoke all":   func(w *site) error { _, err := w.desk.RevokeAll(ctx, root, w.user); return err },
		"revoke since": func(w *site) error { _, err := w.desk.RevokeSince(ctx, root, w.user, w.clock()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := knowing(t)
			w.wantMain(account.IMAP, "192.0.2.7", "")
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			w.enrol()
			w.wantMain(account.IMAP, "192.0.2.7", login.AppPasswordRequired)
		})
	}
}

// Once two-factor login is on, no place becomes known: not where it was refused, nor
// where it was let in because the domain is observed.
func TestE13_NoDeviceBecomesKnownLater(t *testing.T) {
	w := knowing(t)
	w.wantMain(account.IMAP, "192.0.2.7", "")
	w.enrol()
	w.wantMain(account.IMAP, "203.0.113.5", login.AppPasswordRequired)
	observing := login.New(login.Parts{Store: w.store, Prover: w.ring, Recorder: w.trail, Now: w.clock},
		login.Settings{Deadline: 10 * time.Second, MaxBinds: 8, Observe: map[string]login.Period{"example.test": {Until: w.clock().Add(day)}}})
	a := login.Attempt{User: w.user, Password: account.SecretString(mailtest.Password), Service: account.IMAP, Client: netip.MustParseAddr("203.0.113.5")}
	if d := observing.Mail(ctx, a); d.Reason != login.Observed {
		t.Errorf("observed: %q", d.Reason)
	}
	observing.Close(ctx)
	w.wantMain(account.IMAP, "203.0.113.5", login.AppPasswordRequired)
	w.wantMain(account.IMAP, "192.0.2.7", login.KnownDevice)
	if n := len(w.account().State.Known.Devices); n != 1 {
		t.Errorf("%d devices", n)
	}
}

// A change of the main password ends it, before two-factor login is switched on and after
// (ATTACKS 36).
func TestE13_KnownDevicesEndWithThePassword(t *testing.T) {
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]bool{"before": true, "after": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := knowing(t)
			var err error
			if w.store, err = ldapstore.Open(ldapstore.Config{
				ReadURIs: []string{directory.URI()}, BindDN: mailtest.ServiceDN, BindPassword: account.SecretString(mailtest.Password),
				Base: mailtest.Base, UserFilter: "(mail=%u)", PosternBase: mailtest.PosternBase, Timeout: 5 * time.Second, PasswordChanged: "pwdChangedTime",
				DefaultPolicy: policy.Layer{Origin: "default", Settings: policy.Settings{KnownDeviceDays: new(14)}},
			}, w.ring); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.store.Close)
			w.desk.Store = w.store
			change := func() {
				t.Helper()
				was := w.account().PasswordStamp()
				for w.account().PasswordStamp() == was { // the directory knows seconds
					if err := directory.SetAttr(w.user, "userPassword", mailtest.SSHA(mailtest.Password)); err != nil {
						t.Fatal(err)
					}
				}
			}
			change()
			w.wantMain(account.IMAP, "192.0.2.7", "")
			if before {
				change()
				w.enrol()
			} else {
				w.enrol()
				w.wantMain(account.IMAP, "192.0.2.7", login.KnownDevice)
				change()
			}
			w.wantMain(account.IMAP, "192.0.2.7", login.AppPasswordRequired)
		})
	}
}

// Webmail's own logins, for itself or for the browser that it names, are no device's:
// else whoever gets past webmail's plug-in would need no code.
func TestE13_WebmailIsNoDevice(t *testing.T) {
	webmail := netip.MustParsePrefix("203.0.113.0/28")
	for name, a := range map[string]login.Attempt{
		"itself":            {Client: netip.MustParseAddr("203.0.113.2")},
		"itself, as IPv6":   {Client: netip.MustParseAddr("::ffff:203.0.113.2")},
		"forwards a client": {Client: netip.MustParseAddr("192.0.2.7"), Peer: netip.MustParseAddr("203.0.113.2")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := knowing(t)
			a.User, a.Password, a.Service = w.user, account.SecretString(mailtest.Password), account.IMAP
			try := func(webmails ...netip.Prefix) login.Reason {
				g := login.New(login.Parts{Store: w.store, Prover: w.ring, Recorder: w.trail, Now: w.clock},
					login.Settings{Deadline: 10 * time.Second, MaxBinds: 8, WebmailNetworks: webmails})
				defer g.Close(ctx)
				return g.Mail(ctx, a).Reason
			}
			wantReason(t, "before", try(webmail), "")
			if k := w.account().State.Known; k != nil {
				t.Errorf("written down: %+v", k)
			}
			try() // as it was before webmail had a plug-in
			w.enrol()
			wantReason(t, "where it is no webmail", try(), login.KnownDevice)
			wantReason(t, "after", try(webmail), login.AppPasswordRequired)
		})
	}
}

// A known device is written down once a day, and between costs not even a look at the
// write server.
func TestE13_OneWriteADay(t *testing.T) {
	p := newPerson(t)
	p.acct.Policy = policy.Layers{policy.ParseJSON("account", `{"known_device_days":14}`)}
	w := newWorld(t, p.build(t), p.ring, login.Settings{})
	at := func(passed time.Duration) (writes, reads int) {
		t.Helper()
		*w.clock = now.Add(passed)
		w.dir.mu.Lock()
		w.dir.edits, w.dir.reads = nil, 0
		acct := w.dir.acct
		w.dir.mu.Unlock()
		g := login.New(login.Parts{Store: w.dir, Prover: p.ring, Recorder: w.trail, Now: func() time.Time { return *w.clock }}, login.Settings{Deadline: 5 * time.Second, MaxBinds: 4})
		for range 3 {
			if d := g.Mail(ctx, imap("alice@example.test", mainPassword)); d.Outcome != account.Granted {
				t.Fatalf("%+v", d)
			}
		}
		g.Close(ctx)
		if len(w.dir.edits) > 0 {
			state, err := account.DecodeState(w.dir.edits[0].Now.Body)
			if err != nil {
				t.Fatal(err)
			}
			acct.State = state
		}
		return len(w.dir.edits), w.dir.reads
	}
	for _, c := range []struct {
		passed        time.Duration
		writes, reads int
	}{{0, 1, 1}, {time.Minute, 0, 0}, {23 * time.Hour, 0, 0}, {day + time.Minute, 1, 1}, {day + time.Hour, 0, 0}} {
		if writes, reads := at(c.passed); writes != c.writes || reads != c.reads {
			t.Errorf("after %v: %d writes, %d reads; want %d and %d", c.passed, writes, reads, c.writes, c.reads)
		}
	}
	if n := len(w.dir.acct.State.Known.Devices); n != 1 {
		t.Errorf("%d devices", n)
	}
}

// What was right a moment ago is not written down once the write server says that
// two-factor login is on, or that the password is another one.
func TestE13_SwitchedOnMeanwhile(t *testing.T) {
	for name, change := range map[string]func(*person){
		"as it was":        func(*person) {},
		"2FA on":           func(p *person) { p.state.Enrolled = true },
		"must enrol":       func(p *person) { p.state.MustEnrol = true },
		"password changed": func(p *person) { p.acct.PasswordChanged = now.Add(-time.Second) },
		"another epoch":    func(p *person) { p.state.Epoch = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.acct.Policy = policy.Layers{policy.ParseJSON("account", `{"known_device_days":14}`)}
			w := newWorld(t, p.build(t), p.ring, login.Settings{})
			later := newPerson(t)
			later.ring = p.ring
			change(later)
			w.dir.fresh = later.build(t)
			if d := w.ask(t, imap("alice@example.test", mainPassword)); d.Outcome != account.Granted {
				t.Fatalf("%+v", d)
			}
			w.gate.Close(ctx)
			if got, want := len(w.dir.edits), 0; name == "as it was" != (got > want) {
				t.Errorf("%d edits", got)
			}
		})
	}
}

// Where the site's own passdb checks main passwords, Dovecot's report says that one was
// right; afterwards the second question lets pass what comes from a known device.
func TestE13_KnownDevicesOfOwnPassdb(t *testing.T) {
	w := knowing(t)
	settings := login.Settings{Deadline: 10 * time.Second, MaxBinds: 8, MainElsewhere: true, HashNonce: account.SecretString(nonce)}
	at := func(from string, success bool) (login.Decision, login.Permit) {
		t.Helper()
		g := login.New(login.Parts{Store: w.store, Prover: w.ring, Recorder: w.trail, Now: w.clock}, settings)
		defer g.Close(ctx)
		a := imap(w.user, "the passdb's")
		a.Client = netip.MustParseAddr(from)
		q := question(a, "")
		g.Allow(ctx, q)
		d := g.Mail(ctx, a)
		var second login.Permit
		if success {
			second = g.Allow(ctx, q)
		}
		g.Report(context.Background(), login.Report{Ask: q, Success: success && !second.Refuse, Refused: second.Refuse})
		return d, second
	}
	at("192.0.2.7", true)
	at("203.0.113.5", false)
	if k := w.account().State.Known; k == nil || len(k.Devices) != 1 {
		t.Fatalf("%+v", k)
	}
	w.enrol()
	if d, p := at("192.0.2.9", true); d.Reason != login.Elsewhere || p.Refuse || p.Reason != login.KnownDevice {
		t.Errorf("known: %q, %+v", d.Reason, p)
	}
	if d, p := at("203.0.113.5", true); d.Reason != login.AppPasswordRequired || !p.Refuse {
		t.Errorf("not known: %q, %+v", d.Reason, p)
	}
	w.pass(14 * day)
	if d, p := at("192.0.2.9", true); d.Reason != login.AppPasswordRequired || !p.Refuse {
		t.Errorf("two weeks later: %q, %+v", d.Reason, p)
	}
}
