package throttle

import (
	"math/rand/v2"
	"sync"
)

const (
	shardBits  = 6
	shardCount = 1 << shardBits
	// chunkSize is how many records a shard grows by. Records never move, so that
	// growing copies nothing.
	chunkSize = 128
	// positionBits of an index entry are a position + 1, those above a part of the
	// key, so that a search seldom touches another's record.
	positionBits = 24
	positionMask = 1<<positionBits - 1
	// sample is how many records compete for being forgotten.
	sample = 8
)

// record is a value under its hashed name.
type record[V any] struct {
	Key   uint64
	Value V
}

// table keeps records by hashed name, at most so many, in shards with a lock each.
// A record costs its own size and five to eleven bytes of index. When a shard is full,
// the least worthy of a few records taken at random makes room: an attacker who
// floods the table with fresh names pushes out mostly those.
type table[V any] struct {
	worth  func(v *V, now uint32) float64
	shards [shardCount]shard[V]
}

// shard is a part of a table: records in order of arrival, and an index by linear
// probing over entries of link.
type shard[V any] struct {
	sync.Mutex
	most   int
	count  int
	chunks []*[chunkSize]record[V]
	index  []uint32
}

func newTable[V any](most int, worth func(*V, uint32) float64) *table[V] {
	t := &table[V]{worth: worth}
	for i := range t.shards {
		t.shards[i].most = min(max(1, most/shardCount), positionMask)
	}
	return t
}

// shard takes the upper bits of the name, the index its lower ones.
func (t *table[V]) shard(key uint64) *shard[V] { return &t.shards[key>>(64-shardBits)] }

// get returns a copy of the value, the zero value if there is none.
func (t *table[V]) get(key uint64) (v V) {
	s := t.shard(key)
	s.Lock()
	if r := s.find(key); r != nil {
		v = r.Value
	}
	s.Unlock()
	return v
}

// change calls f with the value if there is one, under the shard's lock.
func (t *table[V]) change(key uint64, f func(*V)) {
	s := t.shard(key)
	s.Lock()
	defer s.Unlock()
	if r := s.find(key); r != nil {
		f(&r.Value)
	}
}

// update is change with a new value where there is none.
func (t *table[V]) update(key uint64, now uint32, f func(*V)) {
	s := t.shard(key)
	s.Lock()
	defer s.Unlock()
	r := s.find(key)
	if r == nil {
		r = s.add(key, now, t.worth)
	}
	f(&r.Value)
}

// length is the number of records.
func (t *table[V]) length() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		n += s.count
		s.Unlock()
	}
	return n
}

func (s *shard[V]) at(i int) *record[V] { return &s.chunks[i/chunkSize][i%chunkSize] }

func (s *shard[V]) find(key uint64) *record[V] {
	if len(s.index) == 0 {
		return nil
	}
	mark := entry(key, 0)
	for i := s.home(key); s.index[i] != 0; i = s.next(i) {
		if s.index[i]&^positionMask != mark {
			continue
		}
		if r := s.at(position(s.index[i])); r.Key == key {
			return r
		}
	}
	return nil
}

// entry is an index entry. Its part of the key is below the shard's and above the
// home's.
func entry(key uint64, positionPlus1 int) uint32 {
	return uint32(key>>(32-shardBits))&^positionMask | uint32(positionPlus1)
}

func position(entry uint32) int { return int(entry&positionMask) - 1 }

func (s *shard[V]) home(key uint64) int { return int(key & uint64(len(s.index)-1)) }
func (s *shard[V]) next(i int) int      { return (i + 1) & (len(s.index) - 1) }

// add makes a record for a key that has none.
func (s *shard[V]) add(key uint64, now uint32, worth func(*V, uint32) float64) *record[V] {
	p := s.count
	if s.count < s.most {
		s.grow()
	} else {
		p = s.least(now, worth)
		s.unlink(p)
	}
	r := s.at(p)
	*r = record[V]{Key: key}
	s.link(p)
	return r
}

// grow makes room for one more record. The index is at most 3/4 full.
func (s *shard[V]) grow() {
	if s.count == len(s.chunks)*chunkSize {
		s.chunks = append(s.chunks, new([chunkSize]record[V]))
	}
	s.count++
	if s.count*4 <= len(s.index)*3 {
		return
	}
	s.index = make([]uint32, max(16, 2*len(s.index)))
	for i := range s.count - 1 {
		s.link(i)
	}
}

func (s *shard[V]) link(p int) {
	key := s.at(p).Key
	i := s.home(key)
	for s.index[i] != 0 {
		i = s.next(i)
	}
	s.index[i] = entry(key, p+1)
}

// unlink takes a record out of the index and moves up those behind it that would
// no longer be found past the gap.
func (s *shard[V]) unlink(p int) {
	key := s.at(p).Key
	i := s.home(key)
	for s.index[i] != entry(key, p+1) {
		i = s.next(i)
	}
	for j := s.next(i); s.index[j] != 0; j = s.next(j) {
		home := s.home(s.at(position(s.index[j])).Key)
		// The distances are around the ring: does home lie outside (i, j]?
		if (j-home)&(len(s.index)-1) >= (j-i)&(len(s.index)-1) {
			s.index[i], i = s.index[j], j
		}
	}
	s.index[i] = 0
}

// least is the position of the least worthy of a random sample.
func (s *shard[V]) least(now uint32, worth func(*V, uint32) float64) int {
	best := rand.IntN(s.count) //nolint:gosec // ChaCha8, seeded by the system: nobody can foretell it
	lowest := worth(&s.at(best).Value, now)
	for range sample - 1 {
		i := rand.IntN(s.count) //nolint:gosec // as above
		if w := worth(&s.at(i).Value, now); w < lowest {
			best, lowest = i, w
		}
	}
	return best
}
