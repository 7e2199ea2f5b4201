package desk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/internal/account"
	"postern/internal/policy"
)

// levels is a desk for policies, with a domain and a class that no other test uses,
// and a user of both.
type levels struct {
	*harness
	Policies
	domain, class, own policy.Level
}

func newLevels(t *testing.T) *levels {
	t.Helper()
	l := &levels{harness: newHarness(t, policy.Settings{})}
	l.Policies = Policies{Desk: l.harness.Desk, Store: l.store}
	n := userNumber.Add(1)
	l.user = fmt.Sprintf("desk%d@levels%d.test", n, n)
	l.must(directory.AddUser(l.user, "x", nil))
	l.domain = policy.Level{Kind: policy.LevelDomain, Name: fmt.Sprintf("levels%d.test", n)}
	l.class = policy.Level{Kind: policy.LevelClass, Name: fmt.Sprintf("class%d", n)}
	l.own = policy.Level{Kind: policy.LevelAccount, Name: l.user}
	_, err := l.SetClass(ctx, operator, l.user, strings.ToUpper(l.class.Name))
	l.must(err)
	l.events.lines()
	t.Cleanup(func() { // whatever is left could contradict what other tests set
		for _, at := range []policy.Level{l.domain, l.class} {
			_, _ = l.UnsetAll(ctx, operator, at)
		}
	})
	return l
}

func (l *levels) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// set changes a level by key=value; key alone unsets.
func (l *levels) set(at policy.Level, changes ...string) (ChangedPolicy, error) {
	var list []Assignment
	for _, c := range changes {
		key, value, set := strings.Cut(c, "=")
		list = append(list, Assignment{key, value, !set})
	}
	return l.Set(ctx, operator, at, list...)
}

func (l *levels) effective() policy.Effective {
	l.t.Helper()
	s, err := l.Policies.Show(ctx, l.own)
	l.must(err)
	return s.Effective
}

// details are those of the events since the last call.
func (l *levels) details() []string {
	l.events.mu.Lock()
	defer l.events.mu.Unlock()
	var list []string
	for _, e := range l.events.list {
		list = append(list, e.User+"|"+e.Domain+"|"+e.Actor+"|"+e.Detail)
	}
	l.events.list = nil
	return list
}

// TestA2_SetPolicy: each level is changed, key by key, and every change is audited
// with its old and new value.
func TestA2_SetPolicy(t *testing.T) {
	l := newLevels(t)
	for _, c := range []struct {
		at      policy.Level
		changes string
		origin  string
		events  []string
	}{
		{l.domain, "twofactor=mandatory grace=14d", l.domain.String(), []string{
			"|{D}|test root@host|domain {D}: twofactor: not set → mandatory", "|{D}|test root@host|domain {D}: grace: not set → 14d"}},
		{l.domain, "grace=7d twofactor=mandatory", l.domain.String(), []string{"|{D}|test root@host|domain {D}: grace: 14d → 7d"}},
		{l.class, "twofactor=optional", l.class.String(), []string{"||test root@host|class {C}: twofactor: not set → optional"}},
		{l.own, "twofactor=off methods=totp", "account", []string{
			"{U}|{D}|test root@host|twofactor: not set → off", "{U}|{D}|test root@host|methods: not set → totp"}},
		{l.own, "twofactor", l.class.String(), []string{"{U}|{D}|test root@host|twofactor: off → not set"}},
		{l.class, "twofactor backup_codes", l.domain.String(), []string{"||test root@host|class {C}: twofactor: optional → not set"}},
		{l.own, "methods", l.domain.String(), []string{"{U}|{D}|test root@host|methods: totp → not set"}},
		{l.domain, "grace=7d", l.domain.String(), nil},
	} {
		changed, err := l.set(c.at, strings.Fields(c.changes)...)
		if err != nil {
			t.Fatalf("%s %s: %v", c.at, c.changes, err)
		}
		names := strings.NewReplacer("{D}", l.domain.Name, "{C}", l.class.Name, "{U}", l.user)
		var want []string
		for _, e := range c.events {
			want = append(want, names.Replace(e))
		}
		if got := l.details(); !slices.Equal(got, want) || len(changed.Changes) != len(want) {
			t.Errorf("%s %s: events %q, want %q; %q", c.at, c.changes, got, want, changed.Changes)
		}
		if e := l.effective(); e.Origin["twofactor"] != c.origin {
			t.Errorf("%s %s: twofactor is from %s", c.at, c.changes, e.Origin["twofactor"])
		}
	}
	if a := l.account(); a.Policy[len(a.Policy)-1].Origin == "account" {
		t.Error("an empty policy stays on the account")
	}
}

// TestA2_RefusedPolicies: what cannot be is refused as a whole, and audited.
func TestA2_RefusedPolicies(t *testing.T) {
	l := newLevels(t)
	_, err := l.set(l.domain, "session_life=20d")
	l.must(err)
	_, err = l.set(l.class, "methods=")
	l.must(err)
	l.events.lines()
	for _, c := range []struct {
		at            policy.Level
		changes, want string
	}{
		{l.domain, "grace=14d colour=red", "no such policy setting"},
		{l.domain, "grace=14d twofactor=maybe", "twofactor must be off, optional or mandatory"},
		{l.domain, "grace=14d session_life=40d", "trusted_device_days (30, built in) must exceed session_life (40d, " + l.domain.String() + ")"},
		{l.class, "grace=14d trusted_device_days=5", "trusted_device_days (5, " + l.class.String() + ") must exceed session_life (20d, " + l.domain.String() + ")"},
		{l.own, "grace=14d twofactor=mandatory", "twofactor (mandatory, account) while methods (none, " + l.class.String() + ") allows none"},
		{l.domain, "grace=14d twofactor=mandatory", "twofactor (mandatory, " + l.domain.String() + ") while methods (none, " + l.class.String() + ")"},
		{policy.Level{Kind: policy.LevelDefault}, "grace=14d", "configuration file"},
	} {
		if _, err := l.set(c.at, strings.Fields(c.changes)...); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.at, c.changes, err)
		}
		l.wantEvents("policy_changed refused invalid")
		if e := l.effective(); e.Origin["grace"] != policy.BuiltIn {
			t.Errorf("%s %s: half of it was done", c.at, c.changes)
		}
	}
	if _, err := l.set(policy.Level{Kind: policy.LevelDefault}, "grace=14d"); !errors.Is(err, ErrDefault) {
		t.Error(err)
	}
	_, err = l.set(policy.Level{Kind: policy.LevelAccount, Name: "nobody@example.test"}, "grace=14d")
	if !errors.Is(err, account.ErrUnknown) {
		t.Error(err)
	}
}

// A contradiction that is there already does not stand in the way of other changes.
func TestOldContradictionsDoNotBlock(t *testing.T) {
	l := newLevels(t)
	l.must(l.store.WritePolicy(ctx, l.domain, "", `{"session_idle":"9d"}`))
	if _, err := l.set(l.domain, "grace=14d"); err != nil {
		t.Error(err)
	}
	s, err := l.Policies.Show(ctx, l.domain)
	if err != nil || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Error(), "session_idle") {
		t.Errorf("%v, %v", s.Problems, err)
	}
	if _, err := l.set(l.domain, "session_idle"); err != nil {
		t.Error(err)
	}
}

// TestPoliciesChangedAtOnce: who change different keys of one level at the same
// moment do not undo each other.
func TestPoliciesChangedAtOnce(t *testing.T) {
	l := newLevels(t)
	for _, at := range []policy.Level{l.domain, l.class, l.own} {
		changes := []string{"grace=14d", "recommend=false", "totp_tolerance=2", "backup_codes=false"}
		var wg sync.WaitGroup
		for _, c := range changes {
			wg.Go(func() {
				for {
					_, err := l.set(at, c)
					if err == nil {
						return
					}
					if !errors.Is(err, ErrBusy) {
						t.Errorf("%s: %v", at, err)
						return
					}
				}
			})
		}
		wg.Wait()
		s, err := l.Policies.Show(ctx, at)
		if want := `{"grace":"14d","totp_tolerance":2,"backup_codes":false,"recommend":false}`; err != nil || s.Own.JSON() != want {
			t.Errorf("%s: %s, %v", at, s.Own.JSON(), err)
		}
	}
	l.account() // is sound
}

// TestUnreadablePolicyStartsAnew: it cannot be changed, as nobody knows what it sets;
// it can be taken away as a whole.
func TestUnreadablePolicyStartsAnew(t *testing.T) {
	l := newLevels(t)
	l.must(l.store.WritePolicy(ctx, l.domain, "", `{"twofactor":"mandatory"`))
	l.must(l.store.ApplyPolicy(ctx, l.account(), "", `null`))
	for _, at := range []policy.Level{l.domain, l.own} {
		if _, err := l.set(at, "grace=14d"); err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%s: %v", at, err)
		}
		l.events.lines()
		if _, err := l.UnsetAll(ctx, operator, at); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		l.wantEvents("policy_changed done")
	}
	// The account's own policy can be changed while its class's cannot be read.
	l.must(l.store.WritePolicy(ctx, l.class, "", `x`))
	changed, err := l.set(l.own, "grace=14d")
	if err != nil || len(changed.Changes) != 1 || len(changed.Problems) != 1 {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := l.UnsetAll(ctx, operator, l.class); err != nil {
		t.Error(err)
	}
	if e := l.effective(); e.Origin["grace"] != "account" {
		t.Errorf("%+v", e)
	}
}

func TestSetClass(t *testing.T) {
	l := newLevels(t)
	other := "other " + l.class.Name
	for _, c := range []struct{ to, now, detail string }{
		{l.class.Name, strings.ToLower(l.class.Name), ""}, // is so already, however it is written
		{" OTHER   " + l.class.Name, other, "class: " + l.class.Name + " → " + other},
		{"", "", "class: " + other + " → not set"},
		{"", "", ""},
	} {
		changed, err := l.SetClass(ctx, operator, l.user, c.to)
		if err != nil || changed.Now != c.now || changed.HasPolicy {
			t.Errorf("%q: %+v, %v", c.to, changed, err)
		}
		var want []string
		if c.detail != "" {
			want = []string{l.user + "|" + l.domain.Name + "|test root@host|" + c.detail}
		}
		if got := l.details(); !slices.Equal(got, want) {
			t.Errorf("%q: events %q, want %q", c.to, got, want)
		}
		if a := l.account(); a.Class != c.now {
			t.Errorf("%q: class %q", c.to, a.Class)
		}
	}
	// One that leads to a contradiction is refused.
	_, err := l.set(l.own, "twofactor=mandatory")
	l.must(err)
	_, err = l.set(l.class, "methods=")
	l.must(err)
	l.events.lines()
	if _, err := l.SetClass(ctx, operator, l.user, l.class.Name); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "allows none") {
		t.Error(err)
	}
	if _, err := l.SetClass(ctx, operator, l.user, "a\nb\x00"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	l.wantEvents("class_changed refused invalid", "class_changed refused invalid")
}

// TestPolicyUnavailable: an outage is no refusal.
func TestPolicyUnavailable(t *testing.T) {
	l := newLevels(t)
	l.store.Close()
	if _, err := l.set(l.domain, "grace=14d"); !errors.Is(err, account.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := l.SetClass(ctx, operator, l.user, "x"); !errors.Is(err, account.ErrUnavailable) {
		t.Error(err)
	}
	l.wantEvents("policy_changed unavailable directory_unavailable", "class_changed unavailable directory_unavailable")
}

func TestListPolicies(t *testing.T) {
	l := newLevels(t)
	_, err := l.set(l.domain, "grace=14d")
	l.must(err)
	l.must(l.store.WritePolicy(ctx, l.class, "", `x`))
	list, err := l.List(ctx)
	l.must(err)
	found := 0
	for _, p := range list {
		switch p.Level {
		case l.domain:
			found++
			if p.JSON() != `{"grace":"14d"}` || p.Err != nil {
				t.Errorf("%+v", p)
			}
		case l.class:
			found++
			if p.Err == nil {
				t.Error("an unreadable one looks readable")
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of 2 found", found)
	}
}
