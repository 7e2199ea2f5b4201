package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
)

// plain is an Opener whose "sealed" values are encoded records: what the account
// makes of them is tested here, sealing in package seal.
type plain struct{}

func (plain) Open(_ account.ID, k account.Kind, stored []byte) (account.Record, error) {
	var r account.Record
	if err := account.Decode(stored, &r); err != nil {
		return r, err
	}
	r.Kind, r.ID, r.Stored = k, r.Name, stored // the name doubles as id here
	return r, nil
}

func encode(t *testing.T, r account.Record) []byte {
	t.Helper()
	b, err := account.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attach(t *testing.T, s *account.State, ids ...string) *account.Account {
	t.Helper()
	values := make(map[account.Kind][]account.Value)
	if s != nil {
		body, err := account.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		values[account.KindState] = []account.Value{{ID: "state", Stored: encode(t, account.Record{Name: "state", Body: body})}}
	}
	for _, id := range ids {
		values[account.KindApp] = append(values[account.KindApp], account.Value{ID: id, Stored: encode(t, account.Record{Name: id})})
	}
	a := &account.Account{ID: "k"}
	a.Attach(values, plain{})
	return a
}

func members(ids ...string) []account.Member {
	var m []account.Member
	for _, id := range ids {
		m = append(m, account.Member{Kind: account.KindApp, ID: id})
	}
	return m
}

// What State does not name is not believed; what it names must be there; and
// either counts as 2FA (ATTACKS 20, 22).
func TestAttack20_StateIsTheSealOverTheRecords(t *testing.T) {
	for name, c := range map[string]struct {
		state   *account.State
		stored  []string
		damaged bool
		opens   bool // record "a"
	}{
		"nothing":        {nil, nil, false, false},
		"whole":          {&account.State{Members: members("a", "b")}, []string{"a", "b"}, false, true},
		"record added":   {&account.State{Members: members("b")}, []string{"a", "b"}, true, false},
		"record removed": {&account.State{Members: members("a", "b")}, []string{"a"}, true, true},
		"record swapped": {&account.State{Members: members("a", "b")}, []string{"a", "c"}, true, true},
		"state removed":  {nil, []string{"a"}, true, false},
		"all but state":  {&account.State{Members: members("a")}, nil, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := attach(t, c.state, c.stored...)
			if got := a.Damage() != nil; got != c.damaged {
				t.Errorf("Damage: %v", a.Damage())
			}
			if a.TwoFactor() != c.damaged {
				t.Error("damage must count as 2FA, and nothing else here does")
			}
			if _, err := a.Record(account.KindApp, "a"); (err == nil) != c.opens {
				t.Errorf("Record: %v", err)
			}
		})
	}
}

// An old value put back beside or in place of a revoked one is not believed
// (ATTACKS 20).
func TestAttack20_RevivedRecord(t *testing.T) {
	ended := account.State{Members: []account.Member{{Kind: account.KindApp, ID: "a", Ended: true}}}
	if _, err := attach(t, &ended, "a").Record(account.KindApp, "a"); !errors.Is(err, account.ErrDamaged) {
		t.Errorf("a live value of a revoked record: %v", err)
	}
	a := attach(t, &account.State{Members: members("a")}, "a", "a")
	if _, err := a.Record(account.KindApp, "a"); !errors.Is(err, account.ErrDamaged) || a.Damage() == nil {
		t.Errorf("two values with one id: %v", err)
	}
}

func TestNoteMainUse(t *testing.T) {
	var s account.State
	at := time.Unix(1_800_000_000, 0)
	for i := range 30 {
		s.NoteMainUse(account.Use{At: at.Add(time.Duration(i) * time.Hour), Service: account.IMAP, Agent: fmt.Sprint(i % 25)})
	}
	last := s.MainUses[len(s.MainUses)-1]
	if len(s.MainUses) != 20 || last.Agent != "4" || last.Count != 1 {
		t.Errorf("%d entries, last %+v", len(s.MainUses), last)
	}
	s.NoteMainUse(account.Use{At: at, Service: account.IMAP, Agent: "4"})
	if last = s.MainUses[len(s.MainUses)-1]; last.Count != 2 || len(s.MainUses) != 20 {
		t.Errorf("%+v", last)
	}
}

func TestTwoStatesAreDamage(t *testing.T) {
	a := &account.Account{}
	a.Attach(map[account.Kind][]account.Value{account.KindState: {{ID: "a"}, {ID: "b"}}}, plain{})
	if !errors.Is(a.Damage(), account.ErrDamaged) || !a.TwoFactor() {
		t.Error(a.Damage())
	}
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	b, _ := account.Encode(map[int]int{99: 1})
	if _, err := account.DecodeState(b); !errors.Is(err, account.ErrDamaged) {
		t.Errorf("an unknown field: %v", err)
	}
	b, _ = account.Encode(account.State{Enrolled: true})
	if _, err := account.DecodeState(append(b, 0)); !errors.Is(err, account.ErrDamaged) {
		t.Errorf("trailing data: %v", err)
	}
	if _, err := account.DecodeState(nil); !errors.Is(err, account.ErrDamaged) {
		t.Errorf("nothing: %v", err)
	}
}

func TestEpochOnlyRises(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := account.State{Epoch: now.Unix() + 5} // the clock went back
	if s.NextEpoch(now) <= s.Epoch {
		t.Error("the epoch fell")
	}
	s.Epoch = 3 // an old backup was restored
	if s.NextEpoch(now) < now.Unix() {
		t.Error("the epoch after a restore may have been used before")
	}
}

// ATTACKS 31: a secret redacts itself wherever it might be printed.
func TestAttack31_SecretRedactsItself(t *testing.T) {
	s := account.SecretString("hunter2")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "v", struct{ S account.Secret }{s})
	j, _ := json.Marshal(map[string]any{"s": s, "p": &s})
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%+v", struct{ S account.Secret }{s}), string(j), log.String()} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, "68756e74657232") || strings.Contains(out, "104 117") {
			t.Errorf("shows the secret: %s", out)
		}
	}
}

func TestParseService(t *testing.T) {
	for in, want := range map[string]account.Service{"IMAP": account.IMAP, "submission": account.SMTP, "smtp": account.SMTP,
		"sieve": account.Sieve, "managesieve": account.Sieve, "pop3": account.POP3, "lmtp": "lmtp", "": ""} {
		if got := account.ParseService(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
