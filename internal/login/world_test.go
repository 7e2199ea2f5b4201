package login_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/seal"
)

const (
	mainPassword = "correct horse"
	wrongMain    = "wrong horse"
)

var now = time.Unix(1_800_000_000, 0).UTC()

// directory is a Store with one prepared answer. Real directories are package
// ldapstore's and the matrix's business; here every case of the decision itself is
// a row of a table.
type directory struct {
	acct    *account.Account
	findErr error
	fresh   *account.Account // what the write server has, where that differs from acct
	readErr error
	bindErr error // nil: mainPassword is right

	mu    sync.Mutex
	finds int
	reads int
	binds int
	edits []account.Edit
}

func (d *directory) Find(context.Context, string) (*account.Account, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finds++
	return d.acct, d.findErr
}

// set changes the answer; last uses are read in the background.
func (d *directory) set(a *account.Account, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acct, d.findErr = a, err
}

func (d *directory) Read(context.Context, *account.Account) (*account.Account, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	if d.fresh != nil || d.readErr != nil {
		return d.fresh, d.readErr
	}
	return d.acct, d.findErr
}

func (d *directory) Bind(_ context.Context, _ *account.Account, p account.Secret) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.binds++
	if d.bindErr != nil {
		return d.bindErr
	}
	if string(p.Reveal()) != mainPassword {
		return account.ErrWrong
	}
	return nil
}

func (d *directory) Apply(_ context.Context, _ *account.Account, e ...account.Edit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.edits = append(d.edits, e...)
	return nil
}

// trail keeps events.
type trail struct {
	mu     sync.Mutex
	events []effect.Event
}

func (t *trail) Record(e effect.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
}

// person builds an account with sealed records and one app password per entry of
// apps.
type person struct {
	ring   *seal.Ring
	state  account.State
	values map[account.Kind][]account.Value
	acct   account.Account
}

func newPerson(t *testing.T) *person {
	t.Helper()
	files := make(map[string][]byte)
	for _, role := range []string{account.RoleDoor, account.RoleTicket} {
		file, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		files[role] = file
	}
	ring, err := seal.NewRing(files)
	if err != nil {
		t.Fatal(err)
	}
	return &person{ring: ring, values: make(map[account.Kind][]account.Value),
		acct: account.Account{ID: "key-1", Name: "alice@example.test", Domain: "example.test"}}
}

func (p *person) app(t *testing.T, scope factor.AppPassword, change func(*account.Record)) string {
	t.Helper()
	if scope.Services == nil {
		scope.Services = account.MailServices
	}
	plain, body, id := factor.NewAppPassword(scope)
	b, err := account.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	r := account.Record{Kind: account.KindApp, ID: id, Name: "phone", Created: now, Body: b}
	if change != nil {
		change(&r)
	}
	p.put(t, &r)
	p.state.Members = append(p.state.Members, account.Member{Kind: account.KindApp, ID: id})
	return string(plain.Reveal())
}

func (p *person) put(t *testing.T, r *account.Record) {
	t.Helper()
	stored, err := p.ring.Seal(p.acct.ID, r)
	if err != nil {
		t.Fatal(err)
	}
	p.values[r.Kind] = append(p.values[r.Kind], account.Value{ID: r.ID, Stored: stored})
}

func (p *person) build(t *testing.T) *account.Account {
	t.Helper()
	body, err := account.Encode(p.state)
	if err != nil {
		t.Fatal(err)
	}
	p.put(t, &account.Record{Kind: account.KindState, ID: "state", Body: body})
	p.acct.Attach(p.values, p.ring)
	return &p.acct
}

func imap(user, password string) login.Attempt {
	return login.Attempt{User: user, Password: account.SecretString(password), Service: account.IMAP,
		Client: netip.MustParseAddr("192.0.2.7"), Session: "s1", Mech: "PLAIN", Door: "test"}
}

type world struct {
	dir    *directory
	trail  *trail
	gate   *login.Gate
	limits *limits
	clock  *time.Time
}

func newWorld(t *testing.T, acct *account.Account, ring *seal.Ring, s login.Settings) *world {
	t.Helper()
	if s.Deadline == 0 {
		s.Deadline = 5 * time.Second
	}
	if s.MaxBinds == 0 {
		s.MaxBinds = 4
	}
	clock := now
	w := &world{dir: &directory{acct: acct}, trail: &trail{}, limits: &limits{}, clock: &clock}
	w.gate = login.New(login.Parts{Store: w.dir, Prover: ring, Recorder: w.trail, Throttle: w.limits, Tickets: ring, Now: func() time.Time { return *w.clock }}, s)
	t.Cleanup(func() { w.gate.Close(context.Background()) })
	return w
}

// ask decides and checks what holds for every decision: exactly one event, no
// secret in it, and a denial or a failure never carries a proof.
func (w *world) ask(t *testing.T, a login.Attempt) login.Decision {
	t.Helper()
	d := w.gate.Mail(context.Background(), a)
	w.trail.mu.Lock()
	defer w.trail.mu.Unlock()
	if len(w.trail.events) == 0 {
		t.Fatal("no audit event")
	}
	e := w.trail.events[0]
	if e.Outcome != d.Outcome.String() || e.Reason != string(d.Reason) {
		t.Errorf("the event says %s %s, the decision %s %s", e.Outcome, e.Reason, d.Outcome, d.Reason)
	}
	line, _ := json.Marshal(w.trail.events)
	if secret := string(a.Password.Reveal()); secret != "" && strings.Contains(string(line), secret) {
		t.Errorf("the audit line shows the password: %s", line)
	}
	if (d.Outcome == account.Granted) != (d.CredID != "") {
		t.Errorf("outcome %s, cred_id %q", d.Outcome, d.CredID)
	}
	return d
}

type want struct {
	outcome account.Outcome
	reason  login.Reason
	binds   int
}

func (w *world) expect(t *testing.T, a login.Attempt, x want) {
	t.Helper()
	d := w.ask(t, a)
	if d.Outcome != x.outcome || d.Reason != x.reason || w.dir.binds != x.binds {
		t.Errorf("got %s %s with %d binds, want %s %s with %d", d.Outcome, d.Reason, w.dir.binds, x.outcome, x.reason, x.binds)
	}
}
