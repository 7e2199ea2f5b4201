package desk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
)

// keepTombstones is how long a revoked or expired app password stays, so that a
// later try with it is known for what it is (FEATURES P4).
const keepTombstones = 90 * 24 * time.Hour

// Selector says which records of an account are meant.
type Selector struct {
	Kinds []account.Kind
	ID    string    // empty: all of these kinds
	Since time.Time // created or used since then; zero: whenever
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

// end ends what the selector means: app passwords become tombstones, everything
// else is removed. A record that cannot be read is removed whatever the time asked
// for, as nobody knows when it was used: nothing is left that could come back to life.
func (d *draft) end(s Selector) Ended {
	ended := make(Ended)
	for _, k := range s.Kinds {
		for _, v := range d.account.Values(k) {
			if (s.ID == "" || s.ID == v.ID) && d.endOne(k, v, s.Since) {
				ended[k]++
			}
		}
	}
	return ended
}

// endOne reports whether it ended the record: not if it was over already, or was
// neither created nor used since.
func (d *draft) endOne(k account.Kind, v account.Value, since time.Time) bool {
	r, err := d.open(k, v)
	switch {
	case err != nil:
		d.remove(account.Record{Kind: k, ID: v.ID, Stored: v.Stored})
		return true
	case !since.IsZero() && r.Created.Before(since) && r.Used.At.Before(since):
		return false
	case k != account.KindApp:
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

// prune removes what nobody needs any more, along with any other change: no cron
// job does (FEATURES E8). It leaves records alone that the change is about, and
// everything on an account whose records do not match.
func (d *draft) prune() {
	if d.account.Damage() != nil {
		return
	}
	for _, k := range slices.Concat(appKinds, sessionKinds) {
		for _, v := range d.account.Values(k) {
			r, err := d.account.Record(k, v.ID)
			if err == nil && d.over(&r) && !d.concerns(&r) {
				d.remove(r)
			}
		}
	}
}

func (d *draft) over(r *account.Record) bool {
	keep := time.Duration(0)
	if r.Kind == account.KindApp {
		keep = keepTombstones
	}
	past := func(t time.Time) bool { return !t.IsZero() && d.now.Sub(t) >= keep }
	return past(r.Ended) || past(r.Expires)
}

func (d *draft) concerns(r *account.Record) bool {
	return slices.ContainsFunc(d.edits, func(e account.Edit) bool {
		return e.Was != nil && e.Was.Kind == r.Kind && e.Was.ID == r.ID
	})
}
