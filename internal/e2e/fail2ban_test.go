package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailtest"
)

// TestFail2banCountsAttacksOnly: contrib's filter, run by Fail2Ban's own tool over
// a real audit log, counts guesses for the address they came from, and nothing else.
func TestFail2banCountsAttacksOnly(t *testing.T) {
	t.Parallel()
	dir, err := programs()
	must(t, err)
	w := fresh(t, mailtest.Options{Binaries: dir})
	want := w.guesses()
	w.innocent()
	w.forged()
	want["198.51.100.99"] = 1
	if got := w.fail2ban(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// askFrom asks /verify from an address, which must be denied for a reason.
func (w *world) askFrom(address, user, password string, want login.Reason) {
	w.t.Helper()
	m := w.now()
	w.ask(user, password, "remote_ip", address)
	events := w.since(m, "")
	if len(events) == 0 || events[len(events)-1].Reason != string(want) {
		w.t.Errorf("%q from %s: %+v, want reason %s", user, address, events, want)
	}
}

// guesses makes one of each kind from an address of its own.
func (w *world) guesses() map[string]int {
	w.t.Helper()
	user, other := w.twoFactor(w.user("main password")), w.user("main password")
	app, others := reveal(w.app(user).Password), reveal(w.app(other).Password)
	hostile := `x","client":"203.0.113.99","y":"\`
	want := map[string]int{}
	for i, c := range []struct {
		user, password string
		reason         login.Reason
	}{
		{user, "wrong", login.WrongPassword},
		{"nobody@example.test", "wrong", login.UnknownUser},
		{hostile, "wrong", login.UnknownUser},
		{strings.TrimSuffix(hostile, `\`), "wrong", login.UnknownUser},
		{user, others, login.AppPasswordUnknown},
		{user, strings.ToUpper(app), login.NearMiss},
		{user, "pt1_" + strings.Repeat("a", 60), login.BadTicket},
	} {
		address := fmt.Sprintf("198.51.100.%d", i+1)
		w.askFrom(address, c.user, c.password, c.reason)
		want[address] = 1
	}
	w.askFrom("2001:db8::7", user, "wrong again", login.WrongPassword)
	w.askFrom("2001:db8::7", other, "wrong again", login.WrongPassword)
	want["2001:db8::7"] = 2
	return want
}

// innocent are refusals that no attack is behind.
func (w *world) innocent() {
	w.t.Helper()
	user, closed := w.twoFactor(w.user("main password")), w.twoFactor(w.user("main password"))
	w.disable(closed)
	w.askFrom("203.0.113.1", user, "main password", login.AppPasswordRequired)
	w.askFrom("203.0.113.2", user, w.revoked(user), login.AppPasswordRevoked)
	w.askFrom("203.0.113.3", user, w.expired(user), login.AppPasswordExpired)
	w.askFrom("203.0.113.4", user, reveal(w.app(user, account.DAV).Password), login.WrongService)
	w.askFrom("203.0.113.5", closed, "main password", login.AccountDisabled)
	w.askFrom("203.0.113.6", user, "", login.EmptyPassword)
	w.askFrom("203.0.113.7", user, reveal(w.app(user).Password), "")
	w.Slapd.Shutdown()
	w.askFrom("203.0.113.8", user, "wrong", login.DirectoryDown)
}

// forged writes events that are hard to come by into the same log, by what the
// programs write it with.
func (w *world) forged() {
	w.t.Helper()
	log, err := effect.OpenAudit(w.Audit, effect.AddressFull, func(err error) { w.t.Error(err) })
	must(w.t, err)
	for _, e := range []effect.Event{
		{Action: effect.Login, Outcome: "denied", Reason: string(login.AppPasswordWrong), Client: netip.MustParseAddr("198.51.100.99")},
		{Action: effect.Login, Outcome: "denied", Reason: string(login.Throttled)},
		{Action: effect.Policy, Outcome: "denied", Reason: string(login.AppPasswordRequired)},
		{Action: effect.Lookup, Outcome: "denied", Reason: string(login.UnknownUser)},
		{Action: effect.Login, Outcome: "unavailable", Reason: string(login.Busy)},
		{Action: effect.Login, Outcome: "granted", Reason: string(login.Observed)},
		// The client is not known: nobody is to be banned for it.
		{Action: effect.Login, Outcome: "denied", Reason: string(login.WrongPassword), Peer: netip.MustParseAddr("203.0.113.8")},
	} {
		e.Time, e.User = time.Now(), "alice@example.test"
		if !e.Peer.IsValid() && !e.Client.IsValid() {
			e.Client = netip.MustParseAddr("203.0.113.9")
		}
		log.Record(e)
	}
	must(w.t, log.Close())
}

// fail2ban counts failures by address, as the filter sees the audit log.
func (w *world) fail2ban() map[string]int {
	w.t.Helper()
	filter, err := filepath.Abs("../../contrib/fail2ban/filter.d/postern.conf")
	must(w.t, err)
	_, err = os.Stat(filter) // so that go test does not answer from its cache when it changes
	must(w.t, err)
	cmd := exec.CommandContext(w.t.Context(), "fail2ban-regex", "--out", "ip", w.Audit, filter)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("fail2ban-regex (package fail2ban: scripts/deps test): %v: %s", err, out)
	}
	counted := map[string]int{}
	for _, ip := range strings.Fields(string(out)) {
		counted[ip]++
	}
	return counted
}
