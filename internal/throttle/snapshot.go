package throttle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrSnapshot is wrapped by Load's error when the file is not a whole snapshot of
// this version. Nothing of it was taken.
var ErrSnapshot = errors.New("snapshot ignored")

// snapshotMagic ends in the version. Raise it when a record changes.
const snapshotMagic = "postern throttle 1\n"

// snapshotHead is followed by the records of prefixes, pairs and guards in turn,
// and by a SHA-256 of all that.
type snapshotHead struct {
	Key    hashKey
	Site   counter
	Counts [3]uint64
}

// Save writes the counters to a file of mode 0600, which replaces path only when it
// is complete. The file holds keyed hashes of names and the key: it tells whoever
// reads it whether a given name and address were seen.
func (m *Memory) Save(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".throttle-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(m.encode()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Load takes the counters of a file that Save wrote. It is for the start, before
// the first question. A missing file is no error. After any error the Memory is as
// it was and works: log the error and go on.
func (m *Memory) Load(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if err := m.decode(data); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSnapshot, path, err)
	}
	return nil
}

func (m *Memory) encode() []byte {
	head := snapshotHead{Key: m.key}
	m.siteLock.Lock()
	head.Site = m.site
	m.siteLock.Unlock()
	var prefixes, pairs, guards []byte
	prefixes, head.Counts[0] = dump(m.prefixes)
	pairs, head.Counts[1] = dump(m.pairs)
	guards, head.Counts[2] = dump(m.guards)
	b := appendRecord([]byte(snapshotMagic), head)
	b = append(append(append(b, prefixes...), pairs...), guards...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func (m *Memory) decode(data []byte) error {
	size := len(data) - sha256.Size
	if size < len(snapshotMagic) || !bytes.HasPrefix(data, []byte(snapshotMagic)) {
		return errors.New("not a snapshot of this version")
	}
	if sum := sha256.Sum256(data[:size]); !bytes.Equal(sum[:], data[size:]) {
		return errors.New("wrong checksum")
	}
	r := bytes.NewReader(data[len(snapshotMagic):size])
	var head snapshotHead
	if err := readRecord(r, &head); err != nil {
		return err
	}
	if want := sizeOf[counter](head.Counts[0]) + sizeOf[pair](head.Counts[1]) + sizeOf[guard](head.Counts[2]); want != float64(r.Len()) {
		return errors.New("wrong length")
	}
	m.key, m.site = head.Key, head.Site
	now := seconds(m.now())
	return errors.Join(
		restore(m.prefixes, r, head.Counts[0], now),
		restore(m.pairs, r, head.Counts[1], now),
		restore(m.guards, r, head.Counts[2], now))
}

// sizeOf is the length of so many records, as a float that does not overflow.
func sizeOf[V any](count uint64) float64 {
	return float64(count) * float64(binary.Size(record[V]{}))
}

// dump is a table's records, shard by shard.
func dump[V any](t *table[V]) (b []byte, count uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		for j := range s.count {
			b = appendRecord(b, s.at(j))
		}
		count += uint64(s.count)
		s.Unlock()
	}
	return b, count
}

func restore[V any](t *table[V], r io.Reader, count uint64, now uint32) error {
	for range count {
		var one record[V]
		if err := readRecord(r, &one); err != nil {
			return err
		}
		t.update(one.Key, now, func(v *V) { *v = one.Value })
	}
	return nil
}

// appendRecord appends a value of fixed size, which cannot fail.
func appendRecord(b []byte, v any) []byte {
	b, err := binary.Append(b, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}

func readRecord(r io.Reader, v any) error { return binary.Read(r, binary.LittleEndian, v) }
