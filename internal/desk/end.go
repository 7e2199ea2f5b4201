package desk

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
)

// Selector says which records of an account are meant.
type Selector struct {
	Kinds []account.Kind
	ID    string    // empty: all of these kinds
	But   string    // an id to leave alone, of whatever kind
	Since time.Time // created or used since then; zero: whenever
	Made  bool      // with Since: a use does not count
}

// The kinds that belong together.
var (
	factorKinds  = []account.Kind{account.KindTOTP, account.KindPasskey, account.KindPlugin}
	recoverKinds = []account.Kind{account.KindBackup}
	sessionKinds = []account.Kind{account.KindDevice, account.KindSession}
	appKinds     = []account.Kind{account.KindApp}
)

// Ended counts what a change ended, by kind.
type Ended map[account.Kind]int

func (e Ended) add(more Ended) {
	for k, n := range more {
		e[k] += n
	}
}

// total counts the records of all kinds, and factors the second factors among them.
func (e Ended) total() int { return e.count(account.Kinds) }

func (e Ended) factors() int { return e.count(factorKinds) }

func (e Ended) count(kinds []account.Kind) int {
	n := 0
	for _, k := range kinds {
		n += e[k]
	}
	return n
}

func (e Ended) String() string {
	var parts []string
	for _, k := range account.Kinds {
		if n := e[k]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", k, n))
		}
	}
	if len(parts) == 0 {
		return "no records"
	}
	return strings.Join(parts, ", ")
}

// end ends what the selector means: app passwords and sessions become tombstones,
// everything else is removed. A record that cannot be read is removed whatever the time asked
// for, as nobody knows when it was used: nothing is left that could come back to life.
func (d *draft) end(s Selector) Ended {
	ended := make(Ended)
	for _, k := range s.Kinds {
		for _, v := range d.account.Values(k) {
			if (s.ID == "" || s.ID == v.ID) && (s.But == "" || s.But != v.ID) && !d.edited(k, v) && d.endOne(k, v, s) {
				ended[k]++
			}
		}
	}
	return ended
}

// endOne reports whether it ended the record: not if it was over already, or was
// neither created nor used since.
func (d *draft) endOne(k account.Kind, v account.Value, s Selector) bool {
	r, err := d.open(k, v)
	switch {
	case err != nil:
		d.remove(account.Record{Kind: k, ID: v.ID, Stored: v.Stored})
		return true
	case !s.Since.IsZero() && !touchedSince(&r, s):
		return false
	case k != account.KindApp && k != account.KindSession:
		d.remove(r)
		return true
	case !r.Ended.IsZero():
		return false
	}
	tombstone := r
	tombstone.Ended = d.now
	d.swap(r, tombstone)
	return true
}

// open opens one value. Of two with the same id, neither is believed.
func (d *draft) open(k account.Kind, v account.Value) (account.Record, error) {
	same := 0
	for _, other := range d.account.Values(k) {
		if other.ID == v.ID {
			same++
		}
	}
	if same > 1 {
		return account.Record{}, fmt.Errorf("%d values of %s %q: %w", same, k, v.ID, account.ErrDamaged)
	}
	return d.account.Record(k, v.ID)
}

// remaining lists the records that are left once the draft is stored, without
// those that cannot be read: what a repaired State names.
func (d *draft) remaining() []account.Member {
	var members []account.Member
	for _, k := range account.Kinds {
		for _, v := range d.account.Values(k) {
			if r, err := d.open(k, v); err == nil && k != account.KindState && !d.removes(k, v.ID) {
				members = append(members, account.Member{Kind: k, ID: v.ID, Ended: !r.Ended.IsZero()})
			}
		}
	}
	return members
}

func (d *draft) removes(k account.Kind, id string) bool {
	return slices.ContainsFunc(d.edits, func(e account.Edit) bool {
		return e.Now == nil && e.Was.Kind == k && e.Was.ID == id
	})
}

// edited reports whether the draft changes the value already.
func (d *draft) edited(k account.Kind, v account.Value) bool {
	return slices.ContainsFunc(d.edits, func(e account.Edit) bool {
		return e.Was != nil && e.Was.Kind == k && e.Was.ID == v.ID && bytes.Equal(e.Was.Stored, v.Stored)
	})
}
