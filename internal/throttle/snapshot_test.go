package throttle_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"postern/internal/login"
	"postern/internal/throttle"
)

// busy is a Memory in which something has happened.
func busy(c *clock) *throttle.Memory {
	m := throttle.New(throttle.Default(), c.now)
	for i := range 30 {
		m.Wrong(ctx, login.Try{Name: fmt.Sprint(i), Client: address(1), Secret: 1}, true)
	}
	for i := range 3 {
		attempt(m, from(address(2), uint32(i+1)), false)
	}
	m.Right(ctx, from(home, 9))
	return m
}

func TestSnapshotKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "throttle")
	c := newClock()
	was := busy(c)
	if err := was.Save(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	m := throttle.New(throttle.Default(), c.now)
	if err := m.Load(path); err != nil {
		t.Fatal(err)
	}
	if m.Keys() != was.Keys() {
		t.Errorf("%d keys, want %d", m.Keys(), was.Keys())
	}
	expect(t, "a closed address", attempt(m, from(address(1), 50), true), "refused: prefix")
	expect(t, "the bind cap", attempt(m, from(address(3), 51), true), "refused: binds")
	expect(t, "a known-good pair", attempt(m, from(home, 9), true), "0s")
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("left beside it: %v", entries)
	}
}

func TestSnapshotMissingOrDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "throttle")
	c := newClock()
	if err := throttle.New(throttle.Default(), c.now).Load(path); err != nil {
		t.Errorf("missing: %v", err)
	}
	if err := busy(c).Save(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)/2] ^= 1
	version := append([]byte(nil), whole...)
	version[17]++
	for name, data := range map[string][]byte{
		"empty": {}, "cut": whole[:len(whole)-1], "head only": whole[:40], "flipped": flipped,
		"another version": version, "longer": append(append([]byte(nil), whole...), 0), "text": []byte("postern throttle 1\n"),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m := throttle.New(throttle.Default(), c.now)
		if err := m.Load(path); !errors.Is(err, throttle.ErrSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
		if m.Keys() != 0 {
			t.Errorf("%s: %d keys taken", name, m.Keys())
		}
		expect(t, name, attempt(m, from(address(1), 50), true), "0s")
	}
	if err := busy(c).Save(filepath.Join(dir, "none", "x")); err == nil {
		t.Error("saved into a directory that is not there")
	}
}

// A snapshot of a larger table fits into a smaller one.
func TestSnapshotIntoLess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "throttle")
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for i := range 10_000 {
		m.Wrong(ctx, login.Try{Name: fmt.Sprint(i), Client: address(i), Secret: 1}, true)
	}
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	s := throttle.Default()
	s.MaxKeys = 1000
	small := throttle.New(s, c.now)
	if err := small.Load(path); err != nil || small.Keys() > 1000 || small.Keys() < 800 {
		t.Errorf("%d keys, %v", small.Keys(), err)
	}
}
