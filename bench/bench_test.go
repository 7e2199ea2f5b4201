package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMedian(t *testing.T) {
	for want, list := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(list); got != want {
			t.Errorf("median of %v is %v, want %v", list, got, want)
		}
	}
}

// sleeper is a session whose login takes a while.
type sleeper time.Duration

func (s sleeper) login(int) error { time.Sleep(time.Duration(s)); return nil }
func (s sleeper) close()          {}

type broken struct{ sleeper }

func (broken) login(int) error { return errors.New("refused") }

func TestMeasure(t *testing.T) { synctest.Test(t, testMeasure) }

func testMeasure(t *testing.T) {
	o := options{rounds: 3, slice: 60 * time.Millisecond, only: regexp.MustCompile(""), out: t.TempDir()}
	open := func(s session) func() (session, error) { return func() (session, error) { return s, nil } }
	r := row{name: "row", concurrent: 2, ours: "fast", contenders: []contender{
		{"fast", open(sleeper(2 * time.Millisecond))}, {"slow", open(sleeper(10 * time.Millisecond))}, {name: "missing"},
	}}
	var used time.Duration
	r.cpu = func() (time.Duration, error) { used += 6 * time.Millisecond; return used, nil }
	list, err := measure(context.Background(), o, r)
	if err != nil || len(list) != 1 || list[0].Reference != "slow" || list[0].Ratio != 5 ||
		list[0].OursP50 != 2 || list[0].TheirsP50 != 10 || list[0].OursCPU != 100 || list[0].TheirsCPU != 500 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := writeResults(o.out, list); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(o.out + "/results.json")
	if err != nil || !strings.Contains(string(b), `"reference": "slow"`) {
		t.Errorf("%s, %v", b, err)
	}
	r.contenders[1].open = open(broken{})
	if _, err := measure(context.Background(), o, r); err == nil {
		t.Error("a refused login was counted")
	}
}

func TestArgon2idIsDovecots(t *testing.T) {
	if got := argon2id("x"); !strings.HasPrefix(got, "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(got)
	}
}
