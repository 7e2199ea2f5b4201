package throttle

import (
	"math/rand/v2"
	"testing"
)

func worthOf(v *uint64, _ uint32) float64 { return float64(*v) }

// Against Go's map: whatever is not pushed out is found, with its value.
func TestTableLikeAMap(t *testing.T) {
	tab := newTable(1<<20, worthOf)
	want := map[uint64]uint64{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		// Few distinct low bits: long probe chains.
		key := rng.Uint64N(64)<<58 | rng.Uint64N(2000)<<20 | rng.Uint64N(4)
		tab.update(key, 0, func(v *uint64) { *v++ })
		want[key]++
	}
	if tab.length() != len(want) {
		t.Errorf("%d records, want %d", tab.length(), len(want))
	}
	for k, v := range want {
		if got := tab.get(k); got != v {
			t.Fatalf("%x: %d, want %d", k, got, v)
		}
	}
	if tab.get(12345) != 0 {
		t.Error("found what was never stored")
	}
}

// Full: bounded, every record still found, and it is the low ones that went.
func TestTableIsBoundedAndForgetsTheLeastWorthy(t *testing.T) {
	const most = 64 * 100
	tab := newTable(most, worthOf)
	rng := rand.New(rand.NewPCG(3, 4))
	var precious []uint64
	for range most / 4 {
		k := rng.Uint64()
		precious = append(precious, k)
		tab.update(k, 0, func(v *uint64) { *v = 1000 })
	}
	for range 20 * most { // a flood of fresh names
		tab.update(rng.Uint64(), 0, func(v *uint64) { *v = 1 })
	}
	if n := tab.length(); n > most {
		t.Errorf("%d records, at most %d", n, most)
	}
	lost := 0
	for _, k := range precious {
		if tab.get(k) != 1000 {
			lost++
		}
	}
	if lost > len(precious)/100 {
		t.Errorf("%d of %d precious records lost to the flood", lost, len(precious))
	}
	whole(t, tab)
}

// whole checks that every record is found through the index.
func whole(t *testing.T, tab *table[uint64]) {
	t.Helper()
	for i := range tab.shards {
		s := &tab.shards[i]
		linked := 0
		for _, e := range s.index {
			if e != 0 {
				linked++
			}
		}
		if linked != s.count {
			t.Fatalf("shard %d: %d in the index, %d records", i, linked, s.count)
		}
		for j := range s.count {
			if r := s.at(j); s.find(r.Key) != r {
				t.Fatalf("shard %d: record %d is not found", i, j)
			}
		}
	}
}
