package throttle

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"
)

func testRules() *rules {
	r := newRules(Default())
	return &r
}

func TestWaitsDouble(t *testing.T) {
	l := testRules().prefix
	for score, want := range map[float64]time.Duration{
		0: 0, 9.4: 0, 9.6: time.Second, 10: time.Second, 11: 2 * time.Second, 12: 4 * time.Second, 13: 8 * time.Second,
		14: 8 * time.Second, 100: 8 * time.Second, maxScore: 8 * time.Second,
	} {
		if got := l.wait(score); got != want {
			t.Errorf("%v: %v, want %v", score, got, want)
		}
	}
}

func TestCounterAndTime(t *testing.T) {
	const half = 100
	for name, c := range map[string]struct {
		at, now uint32
		want    float64
		wantAt  uint32 // after one more try
	}{
		"no time":            {1000, 1000, 8, 1000},
		"a half-life":        {1000, 1100, 4, 1100},
		"ages":               {1000, math.MaxUint32, 0, math.MaxUint32},
		"a small step back":  {1000, 990, 8, 1000},
		"a large step back":  {1_000_000, 1000, 8, 1000},
		"from the last date": {math.MaxUint32, 1, 8, 1},
	} {
		k := counter{Score: 8, At: c.at}
		if got := k.value(c.now, half); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if k.add(c.now, half); k.At != c.wantAt || math.Abs(float64(k.Score)-c.want-1) > 1e-6 {
			t.Errorf("%s: %+v after a try", name, k)
		}
	}
	full := counter{Score: maxScore, At: 5}
	if full.add(5, half); full.Score != maxScore {
		t.Errorf("overflow: %v", full.Score)
	}
}

func TestSecondsAreClamped(t *testing.T) {
	for in, want := range map[int64]uint32{-5: 1, 0: 1, 7: 7, math.MaxUint32: math.MaxUint32, math.MaxInt64 / 2: math.MaxUint32} {
		if got := seconds(time.Unix(in, 0)); got != want {
			t.Errorf("%d: %d, want %d", in, got, want)
		}
	}
}

func TestKnownGoodAndWrongClocks(t *testing.T) {
	r := testRules()
	now := uint32(1_800_000_000)
	for name, c := range map[string]struct {
		good uint32
		want bool
	}{
		"never": {0, false}, "just ended": {now, false}, "until later": {now + 1, true},
		"as long as can be": {now + r.goodFor, true}, "another node's clock": {now + r.goodFor + 60, true},
		"from a wrong clock": {now + r.goodFor + 2*clockSlack, false}, "the last date": {math.MaxUint32, false},
	} {
		p := pair{Good: c.good}
		if p.good(now, r) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
	var p pair
	if p.praise(math.MaxUint32-1, r); p.Good != math.MaxUint32 {
		t.Errorf("overflow: %d", p.Good)
	}
}

func TestPairRemembersTheLastSecrets(t *testing.T) {
	var p pair
	for _, s := range []uint32{1, 2, 3, 4} {
		if p.repeat(s) {
			t.Errorf("%d was new", s)
		}
	}
	if !p.repeat(1) || p.repeat(5) || p.repeat(2) || !p.repeat(1) { // 2 was the oldest by then
		t.Errorf("%v", p.Seen)
	}
	if p.repeat(0) || p.repeat(0) { //nolint:staticcheck // the second call is the repetition
		t.Error("no fingerprint was taken for a repeated one")
	}
}

// model is guard's memory of secrets written simply.
type model []modelSlot

type modelSlot struct {
	secret, flight uint32
	wrong          bool
}

func (g *guard) model() (m model) {
	for i, s := range g.Slots {
		if s.Secret != 0 {
			m = append(m, modelSlot{s.Secret, s.Flight, g.Wrong&(1<<i) != 0})
		}
	}
	return m
}

func TestGuardMovesBitsWithSlots(t *testing.T) {
	var g guard
	r := testRules()
	r.bindCap = 100
	for i := range uint32(5) {
		if i%2 == 0 {
			g.mark(i+1, false, 50, r)
		} else {
			g.reserve(i+1, 100, 50, r)
		}
	}
	want := model{{5, 0, true}, {4, 50, false}, {3, 0, true}, {2, 50, false}, {1, 0, true}}
	check := func(what string) {
		t.Helper()
		if got := g.model(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("filled")
	g.mark(3, false, 50, r)
	want = model{{3, 0, true}, {5, 0, true}, {4, 50, false}, {2, 50, false}, {1, 0, true}}
	check("touched")
	g.forget(5)
	want = model{{3, 0, true}, {4, 50, false}, {2, 50, false}, {1, 0, true}}
	check("forgotten")
	g.settle(50+flightTime, r)
	want = model{{3, 0, true}, {1, 0, true}}
	check("no outcome")
	if g.Wrong != 0b11 {
		t.Errorf("bits %b", g.Wrong)
	}
}

// play runs a guard and a pair through steps of eight bytes each: what happens, to
// which of eight secrets, and where time goes.
func play(t *testing.T, steps []byte) {
	r := testRules()
	var g guard
	var p pair
	now := uint32(1_800_000_000)
	inWindow := []uint32{} // failed binds, as the directory counts them
	for ; len(steps) >= 8; steps = steps[8:] {
		secret := uint32(steps[1] % 8)
		now = move(now, steps[2], binary.LittleEndian.Uint32(steps[4:]))
		switch steps[0] % 5 {
		case 0:
			if g.reserve(secret, r.allowed(p.good(now, r)), now, r) == bindFree && secret != 0 && g.flights() == 0 {
				t.Fatal("let through and nothing reserved")
			}
		case 1: // as the gate does: ask, then fail
			if g.reserve(secret, r.bindCap, now, r) == bindFree {
				inWindow = append(inWindow, now)
				g.mark(secret, true, now, r)
			}
		case 2:
			g.mark(secret, false, now, r)
			p.repeat(secret)
		case 3:
			g.forget(secret)
			p.praise(now, r)
		case 4:
			g.add(now, r.account.half)
			p.add(now, r.pairHalf)
		}
		sound(t, &g, &p, now, r)
	}
	if n := most(inWindow, r.bindWindow); n > r.bindCap {
		t.Fatalf("%d failed binds within one window: %v", n, inWindow)
	}
}

// move lets time go on mostly, sometimes back, sometimes anywhere.
func move(now uint32, how byte, by uint32) uint32 {
	switch {
	case how < 220:
		return now + by%200
	case how < 250:
		return now - by%5
	default:
		return max(1, by)
	}
}

// sound checks what always holds.
func sound(t *testing.T, g *guard, p *pair, now uint32, r *rules) {
	t.Helper()
	seen := map[uint32]bool{}
	empty := false
	for i, s := range g.Slots {
		if s.Secret == 0 {
			empty = true
			if s.Flight != 0 || g.Wrong&(1<<i) != 0 {
				t.Fatalf("an empty slot with a state: %+v", g)
			}
			continue
		}
		if empty || seen[s.Secret] {
			t.Fatalf("a gap, or a secret twice: %+v", g)
		}
		seen[s.Secret] = true
	}
	if g.Wrong>>slots != 0 {
		t.Fatalf("bits of no slot: %b", g.Wrong)
	}
	for _, v := range []float64{g.value(now, r.account.half), p.value(now, r.pairHalf)} {
		if !(v >= 0 && v <= maxScore) {
			t.Fatalf("score %v", v)
		}
	}
}

// most is the largest number of times within a span. Times that jump are another
// history: a directory whose clock jumps with ours forgets too.
func most(times []uint32, span int64) (n int) {
	for i := range times {
		k := 0
		for _, at := range times[i:] {
			if d := elapsed(at, times[i]); d < -10 || d >= span {
				break
			}
			k++
		}
		n = max(n, k)
	}
	return n
}

func FuzzStateMachine(f *testing.F) {
	f.Add([]byte("\x01\x01\x00\x00\x01\x00\x00\x00\x01\x02\x00\x00\x01\x00\x00\x00\x01\x03\x00\x00\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, steps []byte) { play(t, steps) })
}
