package desk

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/policy"
	"postern/internal/seal"
)

const retention = 180 * 24 * time.Hour

var (
	oldPlace   = netip.MustParseAddr("203.0.113.9")
	youngPlace = netip.MustParseAddr("2001:db8::7")
)

// only lists the accounts of one test: the directory is shared.
type only struct {
	Lister
	user string
}

func (o only) Each(ctx context.Context, f func(*account.Account) error) error {
	return o.Lister.Each(ctx, func(a *account.Account) error {
		if a.Name != o.user {
			return nil
		}
		return f(a)
	})
}

func (h *harness) sweep(s Sweep) Swept {
	h.t.Helper()
	done, err := h.Sweep(ctx, operator, only{h.store, h.user}, s)
	if err != nil || done.Accounts != 1 || done.Unreadable+done.Busy != 0 {
		h.t.Fatalf("%+v, %v", done, err)
	}
	return done
}

// use notes a use of a record as a login does.
func (h *harness) use(k account.Kind, id string, u account.Use) {
	h.t.Helper()
	a := h.account()
	was, err := a.Record(k, id)
	if err != nil {
		h.t.Fatal(err)
	}
	now := was
	now.Used = u
	if err := h.store.Apply(ctx, a, account.Edit{Was: &was, Now: &now}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) edit(f func(*account.State)) {
	h.t.Helper()
	a := h.account()
	edits, err := a.EditState(nil, h.now, f)
	if err == nil {
		err = h.store.Apply(ctx, a, edits...)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// kept is all of an account that a sweep must leave as it is: values as they are stored.
func (h *harness) kept() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	a := h.account()
	for _, k := range account.Kinds {
		for _, v := range a.Values(k) {
			all[k.Word()+":"+v.ID] = string(v.Stored)
		}
	}
	return all
}

// remembered is an account with something old and something young of all that is kept.
func remembered(t *testing.T) (h *scene, oldApp, youngApp string) {
	h = newScene(t, policy.Settings{})
	h.now = h.now.Truncate(24 * time.Hour).Add(12 * time.Hour)
	long := h.now.Add(-retention - 24*time.Hour)
	oldApp, youngApp = h.app("old").ID, h.app("young").ID
	old := account.Use{At: long, Service: account.IMAP, From: oldPlace, Agent: "Old Mail"}
	young := account.Use{At: h.now.Add(-retention + time.Hour), Service: account.IMAP, From: youngPlace, Agent: "Young Mail"}
	h.use(account.KindApp, oldApp, old)
	h.use(account.KindApp, youngApp, young)
	h.use(account.KindDevice, "dphone", old)
	h.use(h.phone.Kind, h.phone.ID, old)
	h.use(h.tablet.Kind, h.tablet.ID, young)
	h.edit(func(s *account.State) {
		s.History = nil
		for _, at := range []time.Time{long, h.now} {
			s.Note(account.Happening{Topic: string(effect.TopicTwoFactorOn), Unix: at.Unix(), From: oldPlace}, effect.Ordinary)
		}
		s.MainUses = []account.MainUse{{Use: old, Count: 1}, {Use: young, Count: 2}}
		s.KnowBrowser([4]byte{1})
		s.Known = &account.Known{Devices: []account.KnownDevice{
			{Service: account.IMAP, Network: netip.MustParsePrefix("203.0.113.0/24"), Unix: long.Unix()},
			{Service: account.IMAP, Network: netip.MustParsePrefix("198.51.100.0/24"), Unix: h.now.Unix()},
		}}
		s.Bypass = &account.Bypass{From: long, Until: long.Add(time.Hour), Reason: "lost", By: "somebody"}
		s.EnrolHash, s.EnrolUntil = []byte("hash"), long
		s.Failures, s.GraceStart = map[account.Kind]uint{account.KindTOTP: 3}, long
	})
	h.events.lines()
	return h, oldApp, youngApp
}

// FEATURES A20: what is old is deleted, everything else stays as it is.
func TestA20_Retention(t *testing.T) {
	h, oldApp, youngApp := remembered(t)
	before, state := h.kept(), h.account().State
	want := account.Forgotten{Happenings: 1, MainUses: 1, Known: 1, Bypasses: 1, Tokens: 1, Uses: 3}
	if got := h.sweep(Sweep{Keep: retention, DryRun: true}); got.Forgotten != want || got.Changed != 1 {
		t.Errorf("dry run: %+v", got)
	}
	if got := h.sweep(Sweep{}); got.Changed != 0 {
		t.Errorf("without a limit: %+v", got)
	}
	if !reflect.DeepEqual(h.kept(), before) {
		t.Error("a dry run, or one without a limit, has written")
	}
	if got := h.sweep(Sweep{Keep: retention}); got.Forgotten != want || got.Changed != 1 {
		t.Errorf("%+v", got)
	}
	h.wantEvents("swept done")
	after := h.account()
	for _, c := range []struct {
		k    account.Kind
		id   string
		from netip.Addr
	}{
		{account.KindApp, oldApp, netip.Addr{}}, {account.KindApp, youngApp, youngPlace}, {account.KindDevice, "dphone", netip.Addr{}},
		{h.phone.Kind, h.phone.ID, netip.Addr{}}, {h.tablet.Kind, h.tablet.ID, youngPlace},
	} {
		r, err := after.Record(c.k, c.id)
		if err != nil || r.Used.At.IsZero() || r.Used.Service != account.IMAP || r.Used.From != c.from || (r.Used.Agent == "") != !c.from.IsValid() {
			t.Errorf("%v %s: %+v, %v", c.k, c.id, r.Used, err)
		}
	}
	state.MainUses, state.Bypass, state.EnrolHash, state.EnrolUntil = state.MainUses[1:], nil, nil, time.Time{}
	state.Known = &account.Known{Devices: state.Known.Devices[1:]}
	state.History = after.State.History
	if list := after.State.Happenings(); len(list) != 1 || !list[0].At().Equal(h.now) {
		t.Errorf("history: %+v", list)
	}
	state.Generation = after.State.Generation
	if !reflect.DeepEqual(after.State, state) {
		t.Errorf("State is\n%+v, want\n%+v", after.State, state)
	}
	h.wantOthersUnchanged(before, ":state", "app:"+oldApp, "device:dphone", h.phone.String())
	once := h.kept()
	if got := h.sweep(Sweep{Keep: retention}); got.Changed != 0 || !reflect.DeepEqual(h.kept(), once) {
		t.Errorf("the second sweep: %+v", got)
	}
	h.wantEvents()
}

// wantOthersUnchanged: all values but those named are stored as they were.
func (h *harness) wantOthersUnchanged(before map[string]string, changed ...string) {
	h.t.Helper()
	after := h.kept()
	for key, value := range before {
		is := after[key] == value
		if is == slices.Contains(changed, key) {
			h.t.Errorf("%s: unchanged is %v", key, is)
		}
	}
	if len(after) != len(before) {
		h.t.Errorf("%d values, were %d", len(after), len(before))
	}
}

// Browsers have no time: they go with the last thing that is remembered.
func TestA20_RetentionOfBrowsers(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.totp()
	h.edit(func(s *account.State) { s.KnowBrowser([4]byte{1}); s.KnowBrowser([4]byte{2}) })
	h.now = h.now.Add(retention - 24*time.Hour)
	h.edit(func(s *account.State) {
		s.Note(account.Happening{Topic: string(effect.TopicSignIn), Unix: h.now.Unix()}, effect.Ordinary)
	})
	h.now = h.now.Add(48 * time.Hour)
	if got := h.sweep(Sweep{Keep: retention}); got.Browsers != 0 || got.Happenings == 0 {
		t.Errorf("%+v", got)
	}
	h.now = h.now.Add(retention)
	if got := h.sweep(Sweep{Keep: retention}); got.Browsers != 2 || len(h.account().State.Browsers) != 0 {
		t.Errorf("%+v", got)
	}
	if a := h.account(); !a.TwoFactor() {
		t.Error("two-factor login went off")
	}
}

// A login that is written while the sweep is at the account is not lost, and what became
// young by it is not deleted.
func TestA20_RetentionAgainstALogin(t *testing.T) {
	h, oldApp, _ := remembered(t)
	login := account.Use{At: h.now, Service: account.IMAP, From: youngPlace, Agent: "Young Mail"}
	slow := *h.Desk
	slow.Store = &meddled{Store: h.store, before: func() {
		h.use(account.KindApp, oldApp, login)
		h.session("fresh", h.phone.String())
	}}
	done, err := slow.Sweep(ctx, operator, only{h.store, h.user}, Sweep{Keep: retention})
	if err != nil || done.Forgotten.Uses != 2 || done.Changed != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	r, err := h.account().Record(account.KindApp, oldApp)
	if err != nil || !r.Used.At.Equal(login.At) || r.Used.From != login.From {
		t.Errorf("%+v, %v", r.Used, err)
	}
	if got := h.live(); !strings.Contains(got, "fresh") {
		t.Errorf("the session is lost: %q", got)
	}
	if got := h.sweep(Sweep{Keep: retention}); got.Changed != 0 {
		t.Errorf("afterwards: %+v", got)
	}
}

// What is over goes also at an account at which nothing happens.
func TestA20_SweepRemovesWhatIsOver(t *testing.T) {
	h := newScene(t, policy.Settings{})
	revoked := h.app("lost")
	if _, err := h.RevokeAppPassword(ctx, operator, h.user, revoked.ID); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(25 * time.Hour)
	if got := h.sweep(Sweep{}); got.Removed.String() != "trusted device: 2, session: 4" {
		t.Errorf("%+v", got)
	}
	h.now = h.now.Add(account.KeepEndedApp)
	if got := h.sweep(Sweep{}); got.Removed.String() != "app password: 1" || h.account().HasApp(revoked.ID) {
		t.Errorf("%+v", got)
	}
	if got := h.live(); got != "app codes phone tablet" {
		t.Errorf("left: %q", got)
	}
}

// Several at once: one of them does it, nothing is damaged, and nobody fails.
func TestA20_SweepsAtOnce(t *testing.T) {
	h, _, _ := remembered(t)
	inParallel(8, func(int) bool {
		_, err := h.Sweep(ctx, operator, only{h.store, h.user}, Sweep{Keep: retention})
		if err != nil {
			t.Error(err)
		}
		return true
	})
	if got := h.sweep(Sweep{Keep: retention}); got.Changed != 0 {
		t.Errorf("afterwards: %+v", got)
	}
}

// Whoever has no keys of factors leaves their records alone, and damages nothing.
func TestA20_SweepWithTheDoorKeyAlone(t *testing.T) {
	files := map[string][]byte{}
	var rings [2]*seal.Ring
	for i, role := range []string{account.RoleDoor, account.RoleFactor} {
		f, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		files[role] = f
		if rings[i], err = seal.NewRing(files); err != nil {
			t.Fatal(err)
		}
	}
	h := newHarness(t, policy.Settings{})
	h.store = openStoreWith(t, policy.Settings{}, rings[1])
	h.Store = h.store
	phone, app := h.totp(), h.app("old").ID
	h.device("dphone", "totp:"+phone.ID)
	old := account.Use{At: h.now.Add(-2 * retention), From: oldPlace}
	h.use(account.KindApp, app, old)
	h.use(account.KindDevice, "dphone", old)
	store := openStoreWith(t, policy.Settings{}, rings[0])
	door := *h.Desk
	door.Store = store
	done, err := door.Sweep(ctx, operator, only{store, h.user}, Sweep{Keep: retention})
	if err != nil || done.Forgotten != (account.Forgotten{Uses: 1}) {
		t.Errorf("%+v, %v", done, err)
	}
	if r, err := h.account().Record(account.KindApp, app); err != nil || r.Used.From.IsValid() {
		t.Errorf("%+v, %v", r.Used, err)
	}
	if r, err := h.account().Record(account.KindDevice, "dphone"); err != nil || r.Used.From != oldPlace {
		t.Errorf("%+v, %v", r.Used, err)
	}
	if got := h.sweep(Sweep{Keep: retention}); got.Forgotten != (account.Forgotten{Uses: 1}) {
		t.Errorf("with all keys: %+v", got)
	}
}
