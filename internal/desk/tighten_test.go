package desk

import (
	"context"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
)

// watched is an account that is swept where live sessions can be ended, under policies
// that change.
type watched struct {
	*harness
	t        *testing.T
	observed bool
	under    func(policy.Settings)
}

func newWatched(t *testing.T, s policy.Settings) *watched {
	w := &watched{harness: newHarness(t, s), t: t}
	ring := newRing(t)
	w.store = openStoreWith(t, s, ring)
	w.Store = w.store
	w.under = func(s policy.Settings) {
		w.store = openStoreWith(t, s, ring)
		w.Store = w.store
	}
	return w
}

// both lists one account as the real store does, with records or without.
type both struct {
	only
	boxes Mailboxes
}

func (a both) Mailboxes(ctx context.Context, domain string, f func(*account.Account) error) error {
	return a.boxes.Mailboxes(ctx, domain, func(x *account.Account) error {
		if x.Name != a.user {
			return nil
		}
		return f(x)
	})
}

// sweepEnds sweeps and wants so many live sessions to end; and none by one more sweep.
func (w *watched) sweepEnds(when string, want int) {
	w.t.Helper()
	for _, want := range []int{want, 0} {
		w.events.take()
		done, err := w.Sweep(ctx, operator, both{only{w.store, w.user}, w.store},
			Sweep{Observed: func(string, time.Time) bool { return w.observed }, MostEndings: 1})
		ends := 0
		for _, e := range w.events.take() {
			if end, yes := effect.EndingOf(e); yes && e.Action == effect.AccessTightened && end.Credential == "" && end.User == w.user {
				ends++
			}
		}
		if err != nil || done.Endings != want || ends != want || done.Deferred != 0 {
			w.t.Errorf("%s: %+v, %d events, %v; want %d", when, done, ends, err, want)
		}
	}
}

var mandatory = policy.Settings{TwoFactor: new(policy.Mandatory)}

func TestE10_GraceOverEndsLiveSessions(t *testing.T) {
	grace := policy.Settings{TwoFactor: new(policy.Mandatory), Grace: new(policy.Duration(14 * day))}
	w := newWatched(t, grace)
	w.edit(func(s *account.State) { s.GraceStart = w.now })
	w.sweepEnds("in the grace", 0)
	w.now = w.now.Add(14*day - time.Second)
	w.sweepEnds("a second before", 0)
	w.now = w.now.Add(time.Second)
	w.sweepEnds("over", 1)
	w.totp()
	w.sweepEnds("enrolled", 0)
}

// Also an account of which nothing is known yet.
func TestE10_MandatoryEndsLiveSessions(t *testing.T) {
	w := newWatched(t, policy.Settings{})
	w.sweepEnds("optional", 0)
	if w.account().HasHolder {
		t.Error("a sweep that had nothing to do has written")
	}
	w.under(mandatory)
	w.sweepEnds("mandatory", 1)
	w.under(policy.Settings{})
	w.sweepEnds("optional again", 0)
	if w.account().State.Access != 0 {
		t.Error("what was seen is not forgotten")
	}
	w.under(mandatory)
	w.sweepEnds("mandatory again", 1)
}

// Who has a factor loses nothing: that ended sessions when it was added.
func TestE10_EnrolledSessionsGoOn(t *testing.T) {
	w := newWatched(t, policy.Settings{})
	w.totp()
	before := w.kept()
	w.sweepEnds("optional", 0)
	w.under(mandatory)
	w.sweepEnds("mandatory", 0)
	for k, v := range w.kept() {
		if before[k] != v {
			t.Errorf("%s was written", k)
		}
	}
}

func TestE10_ObservedIsOver(t *testing.T) {
	w := newWatched(t, policy.Settings{})
	w.totp()
	w.observed = true
	w.sweepEnds("observed", 0)
	w.observed = false
	w.sweepEnds("not any more", 1)
	w.observed = true
	w.sweepEnds("observed again", 0)
	if _, err := w.DisableTwoFactor(ctx, operator, w.user); err != nil {
		t.Fatal(err)
	}
	w.observed = false
	w.sweepEnds("two-factor login was switched off meanwhile", 0)
}

func TestE3_AppPasswordsForbiddenEndsLiveSessions(t *testing.T) {
	none := policy.Settings{AppPasswords: new(false)}
	w := newWatched(t, policy.Settings{})
	w.under(none)
	w.totp()
	w.sweepEnds("there is none", 0)
	w.under(policy.Settings{})
	w.app("phone")
	w.sweepEnds("allowed", 0)
	w.under(none)
	w.sweepEnds("forbidden", 1)
}

func TestAttack23_DisabledEndsLiveSessions(t *testing.T) {
	w := newWatched(t, policy.Settings{})
	w.user = newUser(t, map[string][]string{"objectClass": {"shadowAccount"}})
	w.app("phone")
	w.sweepEnds("active", 0)
	if err := directory.SetAttr(w.user, "shadowExpire", "1"); err != nil {
		t.Fatal(err)
	}
	w.sweepEnds("disabled", 1)
}

// While a bypass is open nothing ends; one account at a time, if no more may.
func TestA17_BypassIsNotTightened(t *testing.T) {
	w := newWatched(t, mandatory)
	if _, err := w.Bypass(ctx, operator, w.user, NewBypass{For: time.Hour, Reason: "lost the phone"}); err != nil {
		t.Fatal(err)
	}
	w.sweepEnds("bypass", 0)
	w.now = w.now.Add(2 * time.Hour)
	w.sweepEnds("over", 1)
}

func TestE10_EndingsAreBounded(t *testing.T) {
	w := newWatched(t, mandatory)
	s := Sweep{Observed: func(string, time.Time) bool { return false }}
	done, err := w.Sweep(ctx, operator, both{only{w.store, w.user}, w.store}, s)
	if err != nil || done.Endings != 0 || done.Deferred != 1 || w.account().State.Access != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	w.sweepEnds("the next pass", 1)
}
