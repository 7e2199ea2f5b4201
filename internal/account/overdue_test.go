package account_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"postern/internal/account"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// holding is an account with these records.
func holding(t *testing.T, records ...account.Record) *account.Account {
	t.Helper()
	var s account.State
	values := make(map[account.Kind][]account.Value)
	for _, r := range records {
		s.Members = append(s.Members, account.Member{Kind: r.Kind, ID: r.ID, Ended: !r.Ended.IsZero()})
		r.Name = r.ID // see plain
		values[r.Kind] = append(values[r.Kind], account.Value{ID: r.ID, Stored: encode(t, r)})
	}
	body, err := account.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	values[account.KindState] = []account.Value{{ID: "state", Stored: encode(t, account.Record{Name: "state", Body: body})}}
	a := &account.Account{ID: "k"}
	a.Attach(values, plain{})
	return a
}

// gone are the ids that the edits remove, sorted.
func gone(t *testing.T, edits []account.Edit) []string {
	t.Helper()
	var ids []string
	for _, e := range edits {
		if e.Now != nil || e.Was == nil || e.Was.Stored == nil {
			t.Errorf("no removal of what is stored: %+v", e)
			continue
		}
		ids = append(ids, e.Was.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestE8_Overdue(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	a := holding(t,
		account.Record{Kind: account.KindApp, ID: "app, revoked 89 days ago", Ended: ago(89 * 24 * time.Hour)},
		account.Record{Kind: account.KindApp, ID: "app, revoked 90 days ago", Ended: ago(90 * 24 * time.Hour)},
		account.Record{Kind: account.KindApp, ID: "app, expired 90 days ago", Expires: ago(90 * 24 * time.Hour)},
		account.Record{Kind: account.KindApp, ID: "app, live", Expires: noon.Add(time.Second)},
		account.Record{Kind: account.KindDevice, ID: "device, expired", Expires: noon},
		account.Record{Kind: account.KindDevice, ID: "device, live", Expires: noon.Add(time.Second)},
		account.Record{Kind: account.KindSession, ID: "session, ended 14 minutes ago", Ended: ago(14 * time.Minute), Expires: noon.Add(time.Second)},
		account.Record{Kind: account.KindSession, ID: "session, ended 15 minutes ago", Ended: ago(15 * time.Minute), Expires: noon.Add(time.Second)},
		account.Record{Kind: account.KindSession, ID: "session, expired 15 minutes ago", Expires: ago(15 * time.Minute)},
		account.Record{Kind: account.KindTOTP, ID: "authenticator", Expires: ago(time.Hour)},
	)
	want := []string{"app, expired 90 days ago", "app, revoked 90 days ago", "device, expired", "session, ended 15 minutes ago", "session, expired 15 minutes ago"}
	if got := gone(t, a.Overdue(noon)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	r, err := a.Record(account.KindDevice, "device, expired")
	if err != nil {
		t.Fatal(err)
	}
	if got := gone(t, a.Overdue(noon, account.Edit{Was: &r, Now: &r})); len(got) != len(want)-1 || slices.Contains(got, r.ID) {
		t.Errorf("what the change is about is removed, too: %q", got)
	}
}

// The longest unused of too many goes; what the change adds counts, what it is about stays.
func TestOverdueBoundsSessionsAndDevices(t *testing.T) {
	for _, c := range []struct {
		kind account.Kind
		most int
	}{{account.KindSession, account.MaxSessions}, {account.KindDevice, account.MaxDevices}} {
		var records []account.Record
		for i := range c.most {
			r := account.Record{Kind: c.kind, ID: fmt.Sprintf("%03d", i), Created: noon.Add(-time.Hour), Used: account.Use{At: noon.Add(-time.Duration(i) * time.Second)}}
			records = append(records, r)
		}
		oldest := records[c.most-1]
		records[7].Used.At = time.Time{} // never used: began an hour ago
		a := holding(t, records...)
		if got := gone(t, a.Overdue(noon)); got != nil {
			t.Errorf("%s: as many as there may be: %q", c.kind, got)
		}
		one := account.Edit{Now: &account.Record{Kind: c.kind, ID: "new"}}
		two := account.Edit{Now: &account.Record{Kind: c.kind, ID: "newer"}}
		if got := gone(t, a.Overdue(noon, one)); !slices.Equal(got, []string{"007"}) {
			t.Errorf("%s: one more: %q", c.kind, got)
		}
		if got := gone(t, a.Overdue(noon, one, two)); !slices.Equal(got, []string{"007", oldest.ID}) {
			t.Errorf("%s: two more: %q", c.kind, got)
		}
		never, err := a.Record(c.kind, "007")
		if err != nil {
			t.Fatal(err)
		}
		if got := gone(t, a.Overdue(noon, account.Edit{Was: &never, Now: &never}, one)); !slices.Equal(got, []string{oldest.ID}) {
			t.Errorf("%s: one more, while the longest unused is used: %q", c.kind, got)
		}
		if got := gone(t, a.Overdue(noon, account.Edit{Was: &never}, one)); got != nil {
			t.Errorf("%s: one more in place of one: %q", c.kind, got)
		}
	}
}

// Tombstones do not push out the living, and cannot grow without end.
func TestOverdueBoundsTombstones(t *testing.T) {
	records := []account.Record{{Kind: account.KindSession, ID: "live", Created: noon.Add(-24 * time.Hour)}}
	for i := range account.MaxSessions + 2 {
		records = append(records, account.Record{Kind: account.KindSession, ID: fmt.Sprintf("%03d", i), Ended: noon.Add(-time.Duration(i) * time.Second)})
	}
	if got := gone(t, holding(t, records...).Overdue(noon)); !slices.Equal(got, []string{"050", "051"}) {
		t.Errorf("%q", got)
	}
}

// Nothing is removed from an account whose records do not match: it may be evidence.
func TestAttack20_OverdueLeavesDamageAlone(t *testing.T) {
	a := holding(t, account.Record{Kind: account.KindDevice, ID: "over", Expires: noon}, account.Record{Kind: account.KindDevice, ID: "other"})
	values := map[account.Kind][]account.Value{account.KindState: a.Values(account.KindState), account.KindDevice: a.Values(account.KindDevice)[:1]}
	a.Attach(values, plain{}) // somebody took the other one away
	if got := a.Overdue(noon); a.Damage() == nil || got != nil {
		t.Errorf("%+v, %v", got, a.Damage())
	}
}

func TestCredential(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range account.Kinds {
		w := k.Word()
		if k == account.KindState {
			continue
		}
		if w == "" || seen[w] || account.Credential(k, "x") != w+":x" {
			t.Errorf("%s: %q", k, w)
		}
		seen[w] = true
	}
}

// A State as an earlier version wrote it can be read.
func TestGoldenState(t *testing.T) {
	s := account.State{Enrolled: true, MustEnrol: true, Generation: 3, Epoch: 4, Members: []account.Member{{Kind: account.KindTOTP, ID: "a"}},
		Failures: map[account.Kind]uint{account.KindTOTP: 5}, FailedAt: map[account.Kind]time.Time{account.KindTOTP: time.Unix(9, 0)},
		EnrolHash: []byte{1, 2}, EnrolUntil: time.Unix(10, 0)}
	got, err := account.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := "a901f502f503030404058183026161f406a102050aa102fb40220000000000000b4201020cfb4024000000000000"; fmt.Sprintf("%x", got) != want {
		t.Errorf("written as %x", got)
	}
	back, err := account.DecodeState(got)
	if err != nil || back.Epoch != 4 || string(back.EnrolHash) != "\x01\x02" || !back.EnrolUntil.Equal(time.Unix(10, 0)) || back.Failures[account.KindTOTP] != 5 {
		t.Errorf("read as %+v, %v", back, err)
	}
}
