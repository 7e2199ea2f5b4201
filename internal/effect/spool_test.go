package effect_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
)

var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// replicas are read servers; each has the account in some epoch.
type replicas map[string]int64

func (r replicas) ReadServers() []string {
	var names []string
	for n := range r {
		names = append(names, n)
	}
	return names
}

func (r replicas) At(_ context.Context, server string, id account.ID) (*account.Account, error) {
	if r[server] < 0 {
		return nil, account.ErrUnavailable
	}
	return &account.Account{ID: id, State: account.State{Epoch: r[server]}, StateRecord: &account.Record{}}, nil
}

// host is a Dovecot that counts.
type host struct {
	name string
	mu   sync.Mutex
	down bool
	bad  string // a user whose kick fails
	got  []string
	also func() // happens with every kick
}

func (h *host) Host() string { return h.name }

func (h *host) Kick(_ context.Context, e *effect.Ending) (effect.Kicked, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down || e.User == h.bad {
		return effect.Kicked{}, errors.New("unreachable")
	}
	h.got = append(h.got, e.User)
	if h.also != nil {
		h.also()
	}
	return effect.Kicked{N: 1}, nil
}

type events struct{ list []effect.Event }

func (e *events) Record(ev effect.Event) { e.list = append(e.list, ev) }

// bench is a Deliverer with all that it needs.
type bench struct {
	*effect.Deliverer
	t      *testing.T
	dir    string
	events events
	failed []string
}

func newBench(t *testing.T, servers replicas, hosts ...*host) *bench {
	t.Helper()
	b := &bench{t: t, dir: filepath.Join(t.TempDir(), "lib", "spool")}
	spool, err := effect.OpenSpool(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Deliverer = &effect.Deliverer{Spool: spool, Directory: servers, Recorder: &b.events}
	var mu sync.Mutex
	b.Failed = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		b.failed = append(b.failed, err.Error())
	}
	for _, h := range hosts {
		b.Hosts = append(b.Hosts, h)
	}
	return b
}

// restart forgets all that is not in the spool.
func (b *bench) restart() {
	b.Deliverer = &effect.Deliverer{Spool: b.Spool, Directory: b.Directory, Recorder: b.Recorder, Failed: b.Failed, Hosts: b.Hosts}
}

func (b *bench) put(user string, change func(*effect.Ending)) {
	b.t.Helper()
	e := effect.Ending{Action: effect.TwoFactorOn, User: user, Account: account.ID(user), Names: []string{user}, Epoch: 7, Since: began}
	if change != nil {
		change(&e)
	}
	if err := b.Spool.Put(&e); err != nil {
		b.t.Fatal(err)
	}
}

// pass runs one Pass so long after the change.
func (b *bench) pass(after time.Duration) { b.Pass(b.t.Context(), began.Add(after)) }

// left is how many Endings there still are.
func (b *bench) left() int {
	b.t.Helper()
	list, err := b.Spool.List()
	if err != nil {
		b.t.Error(err)
	}
	return len(list)
}

func (b *bench) want(h *host, kicks int) {
	b.t.Helper()
	if len(h.got) != kicks {
		b.t.Errorf("%s: %d kicks, want %d", h.name, len(h.got), kicks)
	}
}

func TestDeliveryOnOneServer(t *testing.T) {
	h := &host{name: "a"}
	b := newBench(t, replicas{"ldap": 7}, h)
	b.put("alice", nil)
	b.pass(0)
	b.want(h, 1)
	b.pass(59 * time.Second)
	b.want(h, 1)
	b.pass(60 * time.Second)
	b.want(h, 2)
	if n := b.left(); n != 0 || len(b.events.list) != 2 {
		t.Errorf("%d left, %d events", n, len(b.events.list))
	}
}

// ATTACKS 40: a second kick once every read server shows the change, and a third.
func TestAttack40_DeliveryAfterReplicas(t *testing.T) {
	h := &host{name: "a"}
	servers := replicas{"near": 7, "far": 6}
	b := newBench(t, servers, h)
	b.put("alice", nil)
	b.pass(0)
	b.pass(time.Minute)
	b.want(h, 1)
	servers["far"] = -1 // not reachable is not shown
	b.pass(2 * time.Minute)
	b.want(h, 1)
	servers["far"] = 8 // changed again meanwhile
	b.pass(3 * time.Minute)
	b.want(h, 2)
	b.restart()
	b.pass(4*time.Minute - time.Second)
	b.want(h, 2)
	b.pass(4 * time.Minute)
	b.want(h, 3)
	if n := b.left(); n != 0 {
		t.Errorf("%d left", n)
	}
}

// A host that is down is tried again ever more rarely, holds up no other, and is
// complained about once.
func TestDeliveryToHostThatIsDown(t *testing.T) {
	up, down := &host{name: "up"}, &host{name: "down", down: true}
	b := newBench(t, replicas{"ldap": 7}, up, down)
	b.put("alice", nil)
	for second := range 120 {
		b.pass(time.Duration(second) * time.Second)
	}
	b.want(up, 2)
	if len(b.failed) != 1 || b.left() != 1 {
		t.Errorf("%d left; told %q", b.left(), b.failed)
	}
	down.down = false
	b.pass(126 * time.Second) // within the last wait, of 64 s
	b.want(down, 0)
	b.pass(127 * time.Second)
	b.want(down, 1)
	b.want(up, 2)
	if n := b.left(); n != 0 {
		t.Errorf("%d left: the last kick has been made everywhere", n)
	}
}

// One Ending that a host chokes on must not hold up the others.
func TestDeliveryPastABadEnding(t *testing.T) {
	h := &host{name: "a", bad: "eve"}
	b := newBench(t, replicas{"ldap": 7}, h)
	b.put("eve", nil)
	b.put("alice", func(e *effect.Ending) { e.Since = began.Add(time.Millisecond) })
	for second := range 10 {
		b.pass(time.Duration(second) * time.Second)
	}
	if !slices.Contains(h.got, "alice") {
		t.Errorf("kicked %v", h.got)
	}
}

func TestDeliveryGivesUpAfterADay(t *testing.T) {
	b := newBench(t, replicas{"ldap": 7}, &host{name: "a", down: true})
	b.put("alice", nil)
	b.pass(24*time.Hour - time.Second)
	if b.left() != 1 {
		t.Error("given up too early")
	}
	b.pass(24 * time.Hour)
	if b.left() != 0 || len(b.events.list) != 1 || b.events.list[0].Outcome != "unavailable" ||
		!strings.Contains(b.events.list[0].Detail, "no kick at a") {
		t.Errorf("%d left, %+v", b.left(), b.events.list)
	}
}

// What is due later waits, also for longer than a day.
func TestDeliveryNotBefore(t *testing.T) {
	h := &host{name: "a"}
	b := newBench(t, replicas{"ldap": 1}, h)
	b.put("alice", func(e *effect.Ending) { e.Epoch, e.NotBefore = 0, began.Add(48*time.Hour) })
	b.pass(0)
	b.pass(47 * time.Hour)
	b.restart()
	b.want(h, 0)
	b.pass(48 * time.Hour)
	b.want(h, 1)
	b.pass(48*time.Hour + time.Minute)
	b.want(h, 2)
	if b.left() != 0 {
		t.Error("not done")
	}
}

// What posternctl has kicked at once is not kicked at once again.
func TestDeliveryAfterFirstKick(t *testing.T) {
	h := &host{name: "a"}
	servers := replicas{"ldap": 6}
	b := newBench(t, servers, h)
	b.put("alice", func(e *effect.Ending) { e.Note("a", effect.AtOnce) })
	b.pass(0)
	b.want(h, 0)
	servers["ldap"] = 7
	b.pass(time.Minute)
	b.want(h, 1)
}

func TestSpoolFiles(t *testing.T) {
	b := newBench(t, replicas{"ldap": 7}, &host{name: "a", down: true})
	b.put("alice", nil)
	info, err := os.Stat(b.dir)
	if err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("directory: %v %v", info.Mode(), err)
	}
	files, _ := os.ReadDir(b.dir)
	if info, err := files[0].Info(); len(files) != 1 || err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", files, err)
	}
	for name, text := range map[string]string{
		"empty.json": "", "half.json": `{"account":`, "other.json": `{"x":1}`, "large.json": strings.Repeat(" ", 70000), ".part-1": "x", "note.txt": "x",
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.pass(0)
	if len(b.failed) == 0 || strings.Count(strings.Join(b.failed, "\n"), ".bad") != 4 {
		t.Errorf("told %q", b.failed)
	}
	if b.left() != 1 {
		t.Errorf("%d left", b.left())
	}
	if bad, _ := filepath.Glob(b.dir + "/*.bad"); len(bad) != 4 {
		t.Errorf("set aside: %v", bad)
	}
}

func TestSpoolCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	spool, err := effect.OpenSpool(filepath.Join(file, "spool"))
	if err == nil || spool == nil {
		t.Fatalf("%v %v", spool, err)
	}
	e := effect.Ending{Account: "x", Since: began}
	if err := spool.Put(&e); err == nil || e.ID != "" {
		t.Errorf("%q %v", e.ID, err)
	}
}

func TestEndingOf(t *testing.T) {
	whole := []effect.Action{effect.TwoFactorOn, effect.TwoFactorOff, effect.Reset, effect.RevokedAll, effect.LoggedOutAll,
		effect.RevokedSince, effect.Erased, effect.AccessTightened, effect.BypassGranted, effect.BypassEnded}
	single := []effect.Action{effect.AppPasswordRevoked, effect.AppPasswordStopped, effect.WebSessionEnded}
	for _, a := range append(slices.Concat(whole, single), effect.LoggedOut, effect.DeviceRemoved, effect.Renamed, effect.BackupCodesMade,
		effect.EnrolTokenMade, effect.TOTPAdded, effect.TOTPRemoved, effect.AppPasswordCreated, effect.AppPasswordRenewed, effect.Swept, effect.Exported, effect.Login, effect.Damage) {
		e := effect.Event{Action: a, Outcome: "done", Account: "x", User: "alice", Credential: "app:1", Epoch: 7, Time: began}
		end, ends := effect.EndingOf(e)
		got := fmt.Sprint(ends, end.Credential, end.Epoch)
		want := map[bool]string{true: "true7", false: "false0"}[slices.Contains(whole, a)]
		if slices.Contains(single, a) {
			want = "trueapp:10"
		}
		if strings.ReplaceAll(got, " ", "") != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
		for _, outcome := range []string{"refused", "unavailable", ""} {
			e.Outcome = outcome
			if _, ends := effect.EndingOf(e); ends {
				t.Errorf("%s %s ends sessions, though nothing was changed", a, outcome)
			}
		}
	}
}

func TestSpoolRecorder(t *testing.T) {
	b := newBench(t, replicas{"ldap": 7}, &host{name: "a"})
	names := func(context.Context, account.ID) ([]string, error) {
		return []string{"alice@x", "ali@x", "alice@x"}, nil
	}
	var taken []effect.Ending
	r := &effect.SpoolRecorder{Spool: b.Spool, Names: names, Hold: time.Minute, Failed: b.Failed, Taken: func(e effect.Ending) { taken = append(taken, e) }}
	r.Record(effect.Event{Action: effect.Login, Outcome: "done", Account: "x"})
	e := effect.Event{Action: effect.AppPasswordRevoked, Outcome: "done", Account: "x", User: "alice@x", Credential: "app:1", Time: began}
	r.Record(e)
	r.Names = func(context.Context, account.ID) ([]string, error) { return nil, account.ErrUnavailable }
	r.Record(e)
	list, err := b.Spool.List()
	if err != nil || len(list) != 2 || len(taken) != 2 || len(b.failed) != 1 {
		t.Fatalf("%v %v %v %v", list, taken, b.failed, err)
	}
	for i, want := range []string{"alice@x ali@x", "alice@x"} {
		if e := list[i]; strings.Join(taken[i].Names, " ") != want || !e.NotBefore.Equal(began.Add(time.Minute)) || e.Credential != "app:1" {
			t.Errorf("%+v", e)
		}
	}
}

// A spool that cannot be written must not make every Pass kick anew.
func TestDeliveryFromReadOnlySpool(t *testing.T) {
	h := &host{name: "a"}
	servers := replicas{"ldap": 6}
	b := newBench(t, servers, h)
	b.put("alice", nil)
	away := b.dir + ".away"
	h.also = func() { _ = os.Rename(b.dir, away) } // between List and Save
	back := func() { _ = os.Rename(away, b.dir) }
	b.pass(0)
	back()
	b.want(h, 1)
	h.also = nil
	b.pass(time.Second)
	b.want(h, 1)
	if len(b.failed) != 1 || b.left() != 1 {
		t.Errorf("%d left; told %q", b.left(), b.failed)
	}
	servers["ldap"] = 7
	b.restart() // what was kept in memory has been saved by now
	b.pass(time.Minute)
	b.want(h, 2)
}

// sessionAt is a read server that knows one session, live or ended.
type sessionAt struct{ ended, stopped bool }

func (s *sessionAt) ReadServers() []string { return []string{"ldap"} }

func (s *sessionAt) At(_ context.Context, _ string, id account.ID) (*account.Account, error) {
	a := &account.Account{ID: id}
	a.Attach(map[account.Kind][]account.Value{account.KindState: {{ID: "state"}}, account.KindSession: {{ID: "s1"}}}, s)
	return a, nil
}

func (s *sessionAt) Open(_ account.ID, k account.Kind, _ []byte) (account.Record, error) {
	r := account.Record{Kind: k, ID: "s1"}
	if k == account.KindState {
		body, err := account.Encode(account.State{Members: []account.Member{{Kind: account.KindSession, ID: "s1", Ended: s.ended}}})
		r.Body = body
		return r, err
	}
	if s.ended {
		r.Ended = began
	}
	if s.stopped {
		r.Stopped = began
	}
	return r, nil
}

// The last kick of a webmail session waits for the read server that shows its end.
func TestAttack40_DeliveryOfASession(t *testing.T) {
	h := &host{name: "a"}
	server := &sessionAt{}
	b := newBench(t, nil, h)
	b.Directory = server
	b.put("alice", func(e *effect.Ending) { e.Action, e.Credential, e.Epoch = effect.WebSessionEnded, "session:s1", 0 })
	b.pass(0)
	b.pass(2 * time.Minute)
	b.want(h, 1)
	server.ended = true
	b.pass(4 * time.Minute)
	b.pass(5 * time.Minute)
	b.want(h, 3)
}

// That an app password has expired is shown by the note of the sweep: it has no end.
func TestAttack40_DeliveryOfAStoppedAppPassword(t *testing.T) {
	h := &host{name: "a"}
	server := &sessionAt{}
	b := newBench(t, nil, h)
	b.Directory = server
	b.put("alice", func(e *effect.Ending) {
		e.Action, e.Credential, e.Epoch = effect.AppPasswordStopped, "session:s1", 0 // the rule is that of both kinds
	})
	b.pass(0)
	b.want(h, 1)
	server.stopped = true
	b.pass(4 * time.Minute)
	b.pass(5 * time.Minute)
	b.want(h, 3)
}
