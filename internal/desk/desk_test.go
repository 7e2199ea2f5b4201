package desk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/mailtest"
	"postern/internal/policy"
	"postern/internal/seal"
	"postern/ldapstore"
)

// directory is shared: each test makes users of its own.
var directory *mailtest.Slapd

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if directory, err = mailtest.StartSlapd(context.Background(), mailtest.SlapdOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer directory.Stop()
	return m.Run()
}

var (
	operator = Root("test root@host")
	ctx      = context.Background()
)

// harness is a desk on the real directory, with a clock that stands still.
type harness struct {
	*Desk
	t      testing.TB
	store  *ldapstore.Store
	events *recorder
	now    time.Time
	user   string
}

func newHarness(t testing.TB, defaults policy.Settings) *harness {
	t.Helper()
	h := &harness{t: t, events: &recorder{}, now: time.Unix(1_790_000_000, 0).UTC(), user: newUser(t, nil)}
	h.store = openStore(t, defaults)
	h.Desk = &Desk{Store: h.store, Recorder: h.events, Now: func() time.Time { return h.now }}
	return h
}

func openStore(t testing.TB, defaults policy.Settings) *ldapstore.Store {
	t.Helper()
	return openStoreWith(t, defaults, newRing(t))
}

func newRing(t testing.TB) *seal.Ring {
	t.Helper()
	files := map[string][]byte{}
	for _, role := range []string{account.RoleDoor, account.RoleFactor} {
		f, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		files[role] = f
	}
	ring, err := seal.NewRing(files)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func openStoreWith(t testing.TB, defaults policy.Settings, ring *seal.Ring) *ldapstore.Store {
	t.Helper()
	s, err := ldapstore.Open(ldapstore.Config{
		ReadURIs: []string{directory.URI()}, BindDN: mailtest.ServiceDN, BindPassword: account.SecretString(mailtest.Password),
		Base: mailtest.Base, UserFilter: "(mail=%u)", PosternBase: mailtest.PosternBase, Timeout: 5 * time.Second,
		DefaultPolicy: policy.Layer{Origin: "default", Settings: defaults},
	}, ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

var userNumber atomic.Int64

func newUser(t testing.TB, attrs map[string][]string) string {
	t.Helper()
	mail := fmt.Sprintf("desk%d@example.test", userNumber.Add(1))
	if err := directory.AddUser(mail, mailtest.Password, attrs); err != nil {
		t.Fatal(err)
	}
	return mail
}

func (h *harness) account() *account.Account {
	h.t.Helper()
	a, err := h.store.Find(ctx, h.user)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := a.Damage(); err != nil {
		h.t.Fatalf("%s is damaged: %v", h.user, err)
	}
	return a
}

func (h *harness) totp() AddedTOTP {
	h.t.Helper()
	added, err := h.AddTOTP(ctx, operator, h.user, NewTOTP{})
	if err != nil {
		h.t.Fatal(err)
	}
	return added
}

func totpRef(id string) Ref { return Ref{account.KindTOTP, id} }

func (h *harness) app(name string) CreatedAppPassword {
	h.t.Helper()
	created, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return created
}

// put stores a record that the desk has no method for.
func (h *harness) put(k account.Kind, created time.Time) {
	h.t.Helper()
	r := account.Record{Kind: k, ID: account.NewID(), Created: created}
	if err := h.store.Apply(ctx, h.account(), account.Edit{Now: &r}); err != nil {
		h.t.Fatal(err)
	}
}

// recorder keeps events, and looks what is stored at the moment of each.
type recorder struct {
	mu   sync.Mutex
	list []effect.Event
	look func()
}

func (r *recorder) Record(e effect.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.look != nil {
		r.look()
	}
	r.list = append(r.list, e)
}

// lines returns "action outcome reason" of the events since the last call.
func (r *recorder) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, e := range r.list {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Action, e.Outcome, e.Reason)))
	}
	r.list = nil
	return lines
}

// take returns the events and forgets them.
func (r *recorder) take() []effect.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

func (h *harness) wantEvents(want ...string) {
	h.t.Helper()
	if got := h.events.lines(); !slices.Equal(got, want) {
		h.t.Errorf("events %q, want %q", got, want)
	}
}

func TestFirstAuthenticatorSwitchesTwoFactorOn(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	if h.account().TwoFactor() {
		t.Fatal("a new account has 2FA")
	}
	first := h.totp()
	a := h.account()
	if !first.First || !a.State.Enrolled || a.State.MustEnrol || a.State.Epoch != h.now.Unix() {
		t.Errorf("first %v, state %+v", first.First, a.State)
	}
	h.wantEvents("totp_added done", "two_factor_on done")
	h.now = h.now.Add(time.Minute)
	second := h.totp()
	if b := h.account(); second.First || b.State.Epoch != a.State.Epoch {
		t.Errorf("the second authenticator: first %v, epoch %d after %d", second.First, b.State.Epoch, a.State.Epoch)
	}
	h.wantEvents("totp_added done")
	list, err := h.ListTOTP(ctx, h.user)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
}

func TestRemovingTheLastAuthenticatorKeepsTwoFactorOn(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	one, two := h.totp(), h.totp()
	h.events.lines()
	removed, err := h.RemoveFactor(ctx, operator, h.user, totpRef(one.ID))
	if err != nil || removed.Factors != 1 || removed.MustEnrol {
		t.Fatalf("%+v, %v", removed, err)
	}
	if removed, err = h.RemoveFactor(ctx, operator, h.user, totpRef(two.ID)); err != nil || removed.Factors != 0 || !removed.MustEnrol {
		t.Fatalf("%+v, %v", removed, err)
	}
	if !h.account().TwoFactor() {
		t.Error("removing the last authenticator switched 2FA off")
	}
	if _, err = h.RemoveFactor(ctx, operator, h.user, totpRef(two.ID)); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("removing it again: %v", err)
	}
	h.wantEvents("totp_removed done", "totp_removed done", "totp_removed refused no_such_record")
}

func TestT5_CodeIsAudited(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	if _, err := h.Code(ctx, operator, h.user, WantedCode{}); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("a code without authenticator: %v", err)
	}
	added := h.totp()
	h.events.lines()
	shown, err := h.Code(ctx, operator, h.user, WantedCode{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := added.TOTP.Verify(string(shown.Code.Reveal()), h.now, 0); err != nil {
		t.Error(err)
	}
	if left := shown.Expires.Sub(h.now); left <= 0 || left > 30*time.Second {
		t.Errorf("good for %s", left)
	}
	h.wantEvents("totp_code_shown done")
	h.totp()
	if _, err := h.Code(ctx, operator, h.user, WantedCode{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("of two authenticators one was chosen: %v", err)
	}
}

func TestPolicyForbids(t *testing.T) {
	off, no, zero := policy.Off, false, 0
	h := newHarness(t, policy.Settings{TwoFactor: &off, AppPasswords: &no})
	if _, err := h.AddTOTP(ctx, operator, h.user, NewTOTP{}); !errors.Is(err, ErrForbidden) {
		t.Errorf("authenticator: %v", err)
	}
	if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "x"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("app password: %v", err)
	}
	h.wantEvents("totp_added refused forbidden_by_policy", "app_password_created refused forbidden_by_policy")
	h = newHarness(t, policy.Settings{AppPasswordMax: &zero})
	if _, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: "x"}); !errors.Is(err, ErrMaximum) {
		t.Errorf("maximum of 0: %v", err)
	}
}

func TestDisableTwoFactor(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	if _, err := h.DisableTwoFactor(ctx, operator, h.user); !errors.Is(err, ErrNothing) {
		t.Errorf("without 2FA: %v", err)
	}
	h.totp()
	h.app("phone")
	for _, k := range []account.Kind{account.KindPasskey, account.KindBackup, account.KindDevice, account.KindSession} {
		h.put(k, h.now)
	}
	h.events.lines()
	before := h.account().State
	changed, err := h.DisableTwoFactor(ctx, operator, h.user)
	if err != nil || changed.AppPasswords != 1 {
		t.Fatalf("%+v, %v", changed, err)
	}
	a := h.account()
	// The app password is left, and the session's tombstone.
	if a.TwoFactor() || a.State.Epoch <= before.Epoch || a.State.Generation <= before.Generation || len(a.State.Members) != 2 {
		t.Errorf("state %+v after %+v", a.State, before)
	}
	h.wantEvents("two_factor_off done")
}

func TestA5_Reset(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	if _, err := h.Reset(ctx, operator, h.user); !errors.Is(err, ErrNothing) {
		t.Errorf("without 2FA: %v", err)
	}
	h.totp()
	phone := h.app("phone")
	h.put(account.KindSession, h.now)
	before := h.account().State
	h.events.lines()
	changed, err := h.Reset(ctx, operator, h.user)
	if err != nil || changed.AppPasswords != 0 || changed.Ended[account.KindSession] != 1 {
		t.Fatalf("%+v, %v", changed, err)
	}
	a := h.account()
	if a.State.Enrolled || !a.State.MustEnrol || !a.TwoFactor() || a.State.Epoch <= before.Epoch {
		t.Errorf("state %+v", a.State)
	}
	if r, err := a.Record(account.KindApp, phone.ID); err != nil || r.Ended.IsZero() {
		t.Errorf("app password has no tombstone: %+v, %v", r, err)
	}
	h.wantEvents("reset done")
	h.totp()
	if s := h.account().State; !s.Enrolled || s.MustEnrol {
		t.Errorf("after enrolling anew: %+v", s)
	}
}

func TestA14_RevokeAllKeepsFactors(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.totp()
	h.app("phone")
	h.app("tablet")
	h.put(account.KindSession, h.now)
	h.put(account.KindDevice, h.now)
	before := h.account().State
	changed, err := h.RevokeAll(ctx, operator, h.user)
	if err != nil || changed.Ended[account.KindApp] != 2 || changed.Ended.String() != "app password: 2, trusted device: 1, session: 1" {
		t.Fatalf("%+v, %v", changed, err)
	}
	a := h.account()
	if len(a.Values(account.KindTOTP)) != 1 || !a.State.Enrolled || a.State.Epoch <= before.Epoch {
		t.Errorf("state %+v", a.State)
	}
	if liveApps(a, h.now) != 0 {
		t.Error("app passwords are left")
	}
}

func TestEpochRisesWithinOneSecond(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.totp()
	for range 3 {
		before := h.account().State.Epoch
		if _, err := h.RevokeAll(ctx, operator, h.user); err != nil {
			t.Fatal(err)
		}
		if now := h.account().State.Epoch; now <= before {
			t.Errorf("epoch %d after %d", now, before)
		}
	}
}

func TestEventFollowsCommit(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	h.events.look = func() {
		if n := len(h.account().Values(account.KindTOTP)); n != 1 {
			t.Errorf("an event was recorded with %d authenticators stored", n)
		}
	}
	h.totp()
	h.events.look = nil
	h.events.lines()
	down := *h.Desk
	down.Store = failing{h.store, fmt.Errorf("no route: %w", account.ErrUnavailable)}
	if _, err := down.AddTOTP(ctx, operator, h.user, NewTOTP{}); !errors.Is(err, account.ErrUnavailable) {
		t.Errorf("write server away: %v", err)
	}
	h.wantEvents("totp_added unavailable directory_unavailable")
	if _, err := down.AddTOTP(ctx, operator, "nobody@example.test", NewTOTP{}); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("unknown user: %v", err)
	}
	h.wantEvents("totp_added refused unknown_user")
}

// failing is a store that cannot write.
type failing struct {
	account.Store
	err error
}

func (f failing) Apply(context.Context, *account.Account, ...account.Edit) error { return f.err }

func TestAttack31_NoSecretInEvents(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	added := h.totp()
	phone := h.app("phone")
	shown, err := h.Code(ctx, operator, h.user, WantedCode{})
	if err != nil {
		t.Fatal(err)
	}
	password := string(phone.Password.Reveal())
	for name, call := range map[string]func() error{
		"as user": func() error { _, err := h.RevokeAll(ctx, operator, password); return err },
		"as id":   func() error { _, err := h.RevokeAppPassword(ctx, operator, h.user, password); return err },
		"as name": func() error {
			_, err := h.CreateAppPassword(ctx, operator, h.user, NewAppPassword{Name: password})
			return err
		},
	} {
		if err := call(); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, e := range h.events.list {
		line := fmt.Sprintf("%+v", e)
		for _, secret := range []string{password, strings.ReplaceAll(password, "-", ""), added.TOTP.SecretText(), string(shown.Code.Reveal())} {
			if strings.Contains(line, secret) {
				t.Errorf("%s is in %s", secret, line)
			}
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", added, added, added.TOTP); strings.Contains(text, fmt.Sprint(added.TOTP.Secret)) || strings.Contains(text, added.TOTP.SecretText()) {
		t.Errorf("an authenticator prints its secret: %s", text)
	}
	if phone.ID == "" || factor.Classify(phone.Password).ID != phone.ID {
		t.Errorf("id %q does not belong to the password", phone.ID)
	}
}

// A read server may lag behind: what was removed must not be shown by it, and
// limits must not be judged by it.
func TestDecisionsAreMadeOnTheWriteServersState(t *testing.T) {
	h := newHarness(t, policy.Settings{})
	added := h.totp()
	behind := *h.Desk
	behind.Store = lagging{h.store, h.account()}
	if _, err := h.RemoveFactor(ctx, operator, h.user, totpRef(added.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := behind.Code(ctx, operator, h.user, WantedCode{ID: added.ID}); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("the code of a removed authenticator: %v", err)
	}
	if list, err := behind.ListTOTP(ctx, h.user); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// lagging is a store whose read server knows an old state.
type lagging struct {
	account.Store
	old *account.Account
}

func (l lagging) Find(context.Context, string) (*account.Account, error) { return l.old, nil }
