package ldapstore

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/seal"
)

// stateID is the readable id of every State record; there is one per account.
const stateID = "state"

// plan is what one Apply is going to do: values to delete and to add, and how the
// account looks afterwards. Nothing is sent and nothing of the account is changed
// until commit.
type plan struct {
	ring    *seal.Ring
	account *account.Account
	now     time.Time

	del, add map[account.Kind][]string
	after    map[account.Kind][]account.Value
	members  []account.Member
	changed  bool          // membership
	state    *account.Edit // the caller's edit of State
	asserted []byte        // State that the caller wants to be still there
	text     *text         // change of policy or class; nil: none

	written []written
}

// written is a record that commit copies to where the caller has it.
type written struct {
	record account.Record
	into   *account.Record
}

func newPlan(ring *seal.Ring, a *account.Account, now time.Time) *plan {
	p := &plan{
		ring: ring, account: a, now: now,
		del:     make(map[account.Kind][]string),
		add:     make(map[account.Kind][]string),
		after:   make(map[account.Kind][]account.Value),
		members: slices.Clone(a.State.Members),
	}
	for _, k := range account.Kinds {
		p.after[k] = slices.Clone(a.Values(k))
	}
	return p
}

var (
	errEmptyEdit = errors.New("an edit of nothing")
	errNotStored = errors.New("edit of a record that was never read")
)

func (p *plan) empty() bool { return len(p.del) == 0 && len(p.add) == 0 }

// take plans the edits: State last, as it names what the others left.
func (p *plan) take(edits []account.Edit) error {
	if err := p.findState(edits); err != nil {
		return err
	}
	for i := range edits {
		e := &edits[i]
		if e == p.state {
			continue
		}
		if err := p.edit(e.Was, e.Now); err != nil {
			return err
		}
	}
	if p.changed || p.state != nil {
		return p.swapState()
	}
	if p.asserted != nil {
		p.assert(account.KindState, p.asserted)
	}
	return nil
}

// findState finds the caller's edit of State, and where Members start from.
func (p *plan) findState(edits []account.Edit) error {
	for i := range edits {
		e := &edits[i]
		switch {
		case e.Was == nil && e.Now == nil:
			return errEmptyEdit
		case e.Now == nil || e.Now.Kind != account.KindState || equal(e.Was, e.Now):
			continue
		case p.state != nil:
			return errors.New("two edits of State")
		}
		p.state = e
	}
	if p.state == nil || p.account.Damage() == nil {
		return nil
	}
	body, err := account.DecodeState(p.state.Now.Body)
	p.members = body.Members
	return err
}

// equal makes an edit an assertion. A record to be sealed anew, with another key,
// has lost its Stored and is not equal.
func equal(was, now *account.Record) bool {
	return was == now || was != nil && now != nil && reflect.DeepEqual(*was, *now)
}

// edit plans one edit, of State only an assertion.
func (p *plan) edit(was, now *account.Record) error {
	switch {
	case was == nil:
		return p.addRecord(now)
	case len(was.Stored) == 0:
		return errNotStored
	case was.Kind == account.KindState && !equal(was, now):
		return errors.New("an edit cannot remove State")
	case was.Kind == account.KindState:
		p.asserted = was.Stored
		return nil
	case now == nil:
		p.remove(was.Kind, was.Stored)
		p.drop(was)
		return nil
	case was.Kind != now.Kind || was.ID != now.ID:
		return fmt.Errorf("%s %q cannot become %s %q", was.Kind, was.ID, now.Kind, now.ID)
	case equal(was, now):
		p.assert(was.Kind, was.Stored)
		return nil
	}
	p.remove(was.Kind, was.Stored)
	p.mark(was, now)
	return p.put(*now, now)
}

func (p *plan) addRecord(r *account.Record) error {
	if p.member(r) != nil {
		return fmt.Errorf("%s %q exists: %w", r.Kind, r.ID, account.ErrConflict)
	}
	m := account.Member{Kind: r.Kind, ID: r.ID, Ended: !r.Ended.IsZero()}
	p.members, p.changed = append(p.members, m), true
	return p.put(*r, r)
}

// member is State's name of a record, nil if there is none.
func (p *plan) member(r *account.Record) *account.Member {
	for i := range p.members {
		if m := &p.members[i]; m.Kind == r.Kind && m.ID == r.ID {
			return m
		}
	}
	return nil
}

// mark notes in State that a record has ended: its older value must not count if
// somebody puts it back.
func (p *plan) mark(was, now *account.Record) {
	if was.Ended.IsZero() == now.Ended.IsZero() {
		return
	}
	if m := p.member(now); m != nil {
		m.Ended, p.changed = !now.Ended.IsZero(), true
	}
}

func (p *plan) drop(r *account.Record) {
	p.members = slices.DeleteFunc(p.members, func(m account.Member) bool { return m.Kind == r.Kind && m.ID == r.ID })
	p.changed = true
}

// remove deletes the value as it was read: it fails if somebody changed it.
func (p *plan) remove(k account.Kind, stored []byte) {
	p.del[k] = append(p.del[k], string(stored))
	p.after[k] = slices.DeleteFunc(p.after[k], func(v account.Value) bool { return string(v.Stored) == string(stored) })
}

// assert deletes and adds the same value: it fails if somebody changed it.
func (p *plan) assert(k account.Kind, stored []byte) {
	p.del[k] = append(p.del[k], string(stored))
	p.add[k] = append(p.add[k], string(stored))
}

// put seals r and adds its value; commit will make into what was written.
func (p *plan) put(r account.Record, into *account.Record) error {
	stored, err := p.ring.Seal(p.account.ID, &r)
	if err != nil {
		return err
	}
	r.Stored = stored
	p.add[r.Kind] = append(p.add[r.Kind], string(stored))
	p.after[r.Kind] = append(p.after[r.Kind], account.Value{ID: r.ID, Stored: stored})
	if into != nil {
		p.written = append(p.written, written{r, into})
	}
	return nil
}

// swapState replaces State. On an account without one it adds the first.
func (p *plan) swapState() error {
	was, now, into, err := p.stateRecords()
	if err != nil {
		return err
	}
	if was != nil {
		if len(was.Stored) == 0 {
			return errNotStored
		}
		if p.asserted != nil && string(p.asserted) != string(was.Stored) {
			return fmt.Errorf("the asserted State is not the one to swap: %w", account.ErrConflict)
		}
		p.remove(account.KindState, was.Stored)
	}
	body, err := p.nextState()
	if err != nil {
		return err
	}
	now.ID, now.Body = stateID, body
	return p.put(now, into)
}

// stateRecords are the State record before and after, the latter without its new
// body, and the caller's record of it, if any.
func (p *plan) stateRecords() (was *account.Record, now account.Record, into *account.Record, err error) {
	was = p.account.StateRecord
	if p.state != nil {
		if p.state.Was != nil {
			was = p.state.Was
		}
		return was, *p.state.Now, p.state.Now, nil
	}
	// Without a sound State nothing vouches for what is stored.
	if err := p.account.Damage(); err != nil {
		return nil, now, nil, err
	}
	now = account.Record{Kind: account.KindState, Created: p.now}
	if was != nil {
		now = *was
	}
	return was, now, nil, nil
}

// nextState is the new body: the caller's settings or those that are there, with
// our Members. Generation and Epoch never fall.
func (p *plan) nextState() ([]byte, error) {
	old := &p.account.State
	next := old.Clone()
	if p.state != nil {
		var err error
		if next, err = account.DecodeState(p.state.Now.Body); err != nil {
			return nil, err
		}
	}
	next.Members = p.members
	next.Epoch = max(next.Epoch, old.Epoch)
	next.Generation = max(next.Generation, old.Generation)
	if p.changed {
		next.Generation = max(next.Generation, old.Generation+1)
	}
	return account.Encode(next)
}

// commit makes the account, and the records of the edits, what was written.
func (p *plan) commit() {
	for _, w := range p.written {
		*w.into = w.record
	}
	p.account.HasHolder, p.account.Version = true, "" // the entry has another now
	p.account.Attach(p.after, p.ring)
}
