package login_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/policy"
)

// TestA16_DryRunIsTheDecision: for every combination, what a dry run says of a right
// main password and of an app password is what the gate then decides.
func TestA16_DryRunIsTheDecision(t *testing.T) {
	for _, enrolled := range []bool{false, true} {
		for _, allowed := range []bool{false, true} {
			for _, status := range []account.Status{account.Active, account.BindLocked, account.Disabled} {
				for _, off := range []bool{false, true} {
					for _, s := range []login.Settings{{}, {MainElsewhere: true}, {Observe: map[string]login.Period{"example.test": {Until: now.Add(time.Hour)}}}} {
						compareDry(t, dryCase{enrolled, allowed, off, status, s})
					}
				}
			}
		}
	}
}

type dryCase struct {
	enrolled, allowed, off bool
	status                 account.Status
	settings               login.Settings
}

func compareDry(t *testing.T, c dryCase) {
	t.Helper()
	p := newPerson(t)
	p.state.Enrolled = c.enrolled
	right := p.app(t, factor.AppPassword{Services: []account.Service{account.IMAP}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil)
	gone := p.app(t, factor.AppPassword{}, func(r *account.Record) { r.Ended = now })
	p.acct.Status, p.acct.SwitchedOff = c.status, c.off
	p.acct.Policy = policy.Layers{{Origin: "default", Settings: policy.Settings{AppPasswords: &c.allowed}}}
	w := newWorld(t, p.build(t), p.ring, c.settings)
	c.settings.Deadline, c.settings.MaxBinds = 5*time.Second, 1
	dry := login.NewDryRun(login.Parts{Store: w.dir, Prover: p.ring, Tickets: p.ring, Now: func() time.Time { return now }}, c.settings)
	defer dry.Close(context.Background())
	for _, service := range []account.Service{account.IMAP, account.SMTP, account.DAV} {
		for _, from := range []string{"192.0.2.7", "198.51.100.1"} {
			a := imap("alice@example.test", "")
			a.Service, a.Client = service, netip.MustParseAddr(from)
			same(t, c, a, dry.Main(context.Background(), a), w.with(a, mainPassword))
			for _, plain := range []string{right, gone} {
				a.Password = account.SecretString(plain)
				d, _ := dry.App(a, &p.acct, factor.Classify(a.Password).ID)
				same(t, c, a, d, w.with(a, plain))
			}
		}
	}
}

func (w *world) with(a login.Attempt, password string) login.Decision {
	a.Password = account.SecretString(password)
	return w.gate.Mail(context.Background(), a)
}

func same(t *testing.T, c dryCase, a login.Attempt, dry, real login.Decision) {
	t.Helper()
	if dry.Outcome != real.Outcome || dry.Reason != real.Reason {
		t.Errorf("%+v, %s from %s: the dry run says %s %s, the gate %s %s", c, a.Service, a.Client, dry.Outcome, dry.Reason, real.Outcome, real.Reason)
	}
}
