package siteswitch_test

import (
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/seal"
	"postern/internal/siteswitch"
)

func ring(t *testing.T) *seal.Ring {
	t.Helper()
	file, _, err := seal.NewFile(account.RoleDoor)
	if err != nil {
		t.Fatal(err)
	}
	r, err := seal.NewRing(map[string][]byte{account.RoleDoor: file})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLatest: the latest value of our own key counts, until it ends.
func TestLatest(t *testing.T) {
	ours, others := ring(t), ring(t)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	value := func(r *seal.Ring, off bool, at time.Time) string {
		v, err := siteswitch.State{Off: off, At: at, Until: at.Add(time.Hour)}.Seal(r)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	off, on := value(ours, true, now), value(ours, false, now.Add(time.Minute))
	forged := value(others, true, now.Add(2*time.Minute))
	for name, row := range map[string]struct {
		values []string
		at     time.Duration
		want   bool
	}{
		"nothing":                {nil, 0, false},
		"off":                    {[]string{"door 12345678 aa", off}, time.Minute, true},
		"off, ended":             {[]string{off}, time.Hour, false},
		"on again":               {[]string{off, on}, 2 * time.Minute, false},
		"on again, other order":  {[]string{on, off}, 2 * time.Minute, false},
		"by another key":         {[]string{forged}, 2 * time.Minute, false},
		"by another key, on top": {[]string{off, on, forged}, 2 * time.Minute, false},
		"edited":                 {[]string{off[:len(off)-1] + "x"}, time.Minute, false},
	} {
		at := now.Add(row.at)
		if got := siteswitch.Latest(ours, row.values, at).IsOff(at); got != row.want {
			t.Errorf("%s: off is %v", name, got)
		}
	}
}

func TestSealWantsAnEnd(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, life := range []time.Duration{0, -time.Hour, siteswitch.Longest + time.Second} {
		if _, err := (siteswitch.State{Off: true, At: now, Until: now.Add(life)}).Seal(ring(t)); err == nil {
			t.Errorf("a switch of %v was sealed", life)
		}
	}
}
