package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/policy"
)

// PolicyStore is the directory with the policies of domains and classes.
type PolicyStore interface {
	account.Store
	// Policies reads the policies of the site from the write server.
	Policies(ctx context.Context) (*policy.Site, error)
	// WritePolicy replaces the text of a domain's or class's policy if it is still
	// was; "" means that there is none. Errors: account.ErrConflict, ErrUnavailable.
	WritePolicy(ctx context.Context, l policy.Level, was, now string) error
	// ApplyPolicy replaces the text of an account's own policy likewise, and
	// ApplyClass its class; now may be "", too.
	ApplyPolicy(ctx context.Context, a *account.Account, was, now string) error
	ApplyClass(ctx context.Context, a *account.Account, was, now string) error
}

// Policies changes what levels set. The Desk's Store must be the same directory.
type Policies struct {
	Desk  *Desk
	Store PolicyStore
}

// ShownPolicy is a level with the answer that it leads to: for a domain, of its
// accounts without a class; for a class, of accounts of domains without a policy.
type ShownPolicy struct {
	Level     policy.Level // an account's Name is its canonical login name
	Domain    string       // of an account
	Class     string       // of an account
	Own       policy.Layer // what this level sets
	Effective policy.Effective
	Below     policy.Effective // the same if this level set nothing
	// Problems are values that contradict each other; see policy.Effective.Check.
	Problems []error
}

// Show reads a level; of an account, Name is the name as typed. It fails if any of
// the levels that it depends on cannot be read.
func (p Policies) Show(ctx context.Context, l policy.Level) (ShownPolicy, error) {
	t, err := p.target(ctx, l)
	if err != nil {
		return ShownPolicy{}, err
	}
	return t.shown()
}

// Look is Show for an administrator. What is refused is audited, as a change would be.
// Errors: admin.ErrForbidden, and those of Show.
func (p Policies) Look(ctx context.Context, who Actor, l policy.Level) (ShownPolicy, error) {
	t, err := p.target(ctx, l)
	if err == nil {
		err = t.may(ctx, &who, admin.SeePolicy)
	}
	if err != nil {
		p.recordRefusal(who, l, t, effect.AccountViewed, err)
		return ShownPolicy{}, err
	}
	return t.shown()
}

// may asks whether the actor has the right over a level as just read.
func (t *target) may(ctx context.Context, who *Actor, right admin.Right) error {
	if t.account != nil || who.Authority == nil {
		return who.may(ctx, right, t.account)
	}
	return who.Authority.MayLevel(right, t.level)
}

// List lists the domains and classes that have a policy, unreadable ones among them.
func (p Policies) List(ctx context.Context) ([]ListedPolicy, error) {
	site, err := p.Store.Policies(ctx)
	if err != nil {
		return nil, err
	}
	var list []ListedPolicy
	for _, l := range site.Levels() {
		layer, _ := site.Layer(l)
		list = append(list, ListedPolicy{l, layer})
	}
	return list, nil
}

// ListedPolicy is a level with what it sets.
type ListedPolicy struct {
	Level policy.Level
	policy.Layer
}

// Assignment sets a key to a value as written on a command line, or unsets it.
type Assignment struct {
	Key, Value string
	Unset      bool
}

// ErrDefault: the default policy is not in the directory. It wraps ErrInvalid.
var ErrDefault = fmt.Errorf("%w: the default policy is the table [policy] of the configuration file; change it there on every host and restart the daemons", ErrInvalid)

// ChangedPolicy says what a change did: keys with their old and new values.
type ChangedPolicy struct {
	ShownPolicy
	Changes []string // "twofactor: not set → mandatory"; none if it was so already
}

// Set changes what a level sets, all keys at once or none. It takes effect at running
// daemons within ldapstore.PolicyAge. Errors: ErrDefault; ErrInvalid for an unknown
// key, a value out of range or one that contradicts another; ErrBusy; those of every
// change.
func (p Policies) Set(ctx context.Context, who Actor, l policy.Level, assign ...Assignment) (ChangedPolicy, error) {
	return p.change(ctx, who, l, func(t *target) (policy.Settings, error) {
		if t.own.Err != nil {
			return policy.Settings{}, fmt.Errorf("the policy of %s cannot be read: %w; start it anew by unsetting all of it", l, t.own.Err)
		}
		next := t.own.Settings
		for _, a := range assign {
			if err := a.apply(&next); err != nil {
				return next, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
		}
		return next, nil
	})
}

// UnsetAll makes a level set nothing, also one that cannot be read.
func (p Policies) UnsetAll(ctx context.Context, who Actor, l policy.Level) (ChangedPolicy, error) {
	return p.change(ctx, who, l, func(*target) (policy.Settings, error) { return policy.Settings{}, nil })
}

func (a Assignment) apply(s *policy.Settings) error {
	if a.Unset {
		return s.Unset(a.Key)
	}
	return s.Set(a.Key, a.Value)
}

// change plans a change on a level as just read, and writes it if the level is still
// what was read; all of it again when somebody else was faster.
func (p Policies) change(ctx context.Context, who Actor, l policy.Level, plan func(*target) (policy.Settings, error)) (ChangedPolicy, error) {
	var (
		t       *target
		changes []string
	)
	err := p.retry(ctx, func() (err error) {
		if t, err = p.target(ctx, l); err != nil {
			return err
		}
		if err = t.may(ctx, &who, admin.SetPolicy); err != nil {
			return err
		}
		changes, err = p.changeOnce(ctx, t, plan)
		return err
	})
	if err != nil {
		p.recordRefusal(who, l, t, effect.PolicyChanged, err)
		return ChangedPolicy{}, err
	}
	for _, c := range changes {
		p.record(who, t, effect.Event{Action: effect.PolicyChanged, Outcome: "done", Detail: t.prefix() + c})
	}
	shown, err := t.shown()
	if err != nil { // the change is made all the same
		shown.Problems = []error{err}
	}
	return ChangedPolicy{shown, changes}, nil
}

func (p Policies) changeOnce(ctx context.Context, t *target, plan func(*target) (policy.Settings, error)) ([]string, error) {
	if t.level.Kind == policy.LevelDefault {
		return nil, ErrDefault
	}
	next, err := plan(t)
	if err != nil {
		return nil, err
	}
	if err := next.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	changes := differences(&t.own, &next)
	if len(changes) == 0 {
		return nil, nil
	}
	was := t.own
	if err := t.replace(next); err != nil {
		return nil, err
	}
	return changes, p.write(ctx, t, was.Text)
}

// write stores the level's own text.
func (p Policies) write(ctx context.Context, t *target, was string) error {
	if t.account == nil {
		return p.Store.WritePolicy(ctx, t.level, was, t.own.Text)
	}
	now := t.own.Text
	if t.own.Empty() {
		now = ""
	}
	return p.Store.ApplyPolicy(ctx, t.account, was, now)
}

// differences lists what changes, in words. What cannot be read has no values.
func differences(was *policy.Layer, next *policy.Settings) []string {
	var list []string
	if was.Err != nil {
		list = append(list, "unreadable → replaced")
		was = &policy.Layer{}
	}
	for _, f := range policy.Fields() {
		old, now := policy.Text(was.Get(f.Key)), policy.Text(next.Get(f.Key))
		if old != now {
			list = append(list, f.Key+": "+old+" → "+now)
		}
	}
	return list
}

// retry runs f until nobody else was faster.
func (p Policies) retry(ctx context.Context, f func() error) error {
	for try := range attempts {
		err := f()
		if !errors.Is(err, account.ErrConflict) {
			return err
		}
		if !pause(ctx, try) {
			break
		}
	}
	return ErrBusy
}

// target is a level as just read, with all that it depends on.
type target struct {
	level   policy.Level
	site    *policy.Site
	account *account.Account // nil but for an account's level
	own     policy.Layer
}

// target reads a level from the write server.
func (p Policies) target(ctx context.Context, l policy.Level) (*target, error) {
	site, err := p.Store.Policies(ctx)
	if err != nil {
		return nil, err
	}
	t := &target{level: l, site: site}
	if l.Kind != policy.LevelAccount {
		t.own, _ = site.Layer(l)
		return t, nil
	}
	if t.account, err = p.Desk.read(ctx, l.Name); err != nil {
		return nil, err
	}
	t.level.Name = t.account.Name
	t.own = policy.Layer{Origin: l.String()}
	if n := len(t.account.Policy); n > 0 && t.account.Policy[n-1].Origin == t.own.Origin {
		t.own = t.account.Policy[n-1]
	}
	return t, nil
}

// layers are those that hold with the level's own.
func (t *target) layers() policy.Layers {
	switch t.level.Kind {
	case policy.LevelDomain:
		return t.site.Layers(t.level.Name, "")
	case policy.LevelClass:
		return t.site.Layers("", t.level.Name)
	case policy.LevelAccount:
		return append(t.site.Layers(t.account.Domain, t.account.Class), t.own)
	default:
		return t.site.Layers("", "")
	}
}

// problems are the contradictions of every combination of levels that this one is in.
func (t *target) problems() []error {
	if t.account == nil {
		return t.site.Check()
	}
	eff, err := t.layers().Resolve()
	if err != nil {
		return []error{err}
	}
	return eff.Check()
}

// replace makes next what the level sets, unless that makes things worse.
func (t *target) replace(next policy.Settings) error {
	before := t.problems()
	t.own = policy.ParseJSON(t.own.Origin, next.JSON())
	if t.account == nil {
		t.site.Put(t.level, t.own)
	}
	return t.worse(before)
}

// worse reports problems that were not there before.
func (t *target) worse(before []error) error {
	var fresh []error
	for _, p := range t.problems() {
		if !slices.ContainsFunc(before, func(b error) bool { return b.Error() == p.Error() }) {
			fresh = append(fresh, p)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(fresh...))
}

func (t *target) shown() (ShownPolicy, error) {
	s := ShownPolicy{Level: t.level, Own: t.own}
	if t.account != nil {
		s.Domain, s.Class = t.account.Domain, t.account.Class
	}
	layers := t.layers()
	below := slices.DeleteFunc(slices.Clone(layers), func(l policy.Layer) bool { return l.Origin == t.own.Origin })
	s.Below, _ = below.Resolve() // what cannot be read there cannot below, and is an error here
	var err error
	if s.Effective, err = layers.Resolve(); err == nil {
		s.Problems = s.Effective.Check()
	}
	return s, err
}

// prefix names the level in an event whose fields do not.
func (t *target) prefix() string {
	if t.account != nil {
		return ""
	}
	return t.level.String() + ": "
}

func (p Policies) record(who Actor, t *target, e effect.Event) {
	if t.level.Kind == policy.LevelDomain {
		e.Domain = t.level.Name
	}
	p.Desk.record(order{who: who}, t.account, e)
}

func (p Policies) recordRefusal(who Actor, l policy.Level, t *target, action effect.Action, err error) {
	if t == nil {
		t = &target{level: l}
	}
	o := order{who: who, action: action}
	if l.Kind == policy.LevelAccount {
		o.user = l.Name
	}
	outcome, reason := failure(err)
	e := effect.Event{Action: action, Outcome: outcome, Reason: reason}
	if l.Kind != policy.LevelAccount {
		e.Detail = l.String()
	}
	if l.Kind == policy.LevelDomain {
		e.Domain = l.Name
	}
	p.Desk.record(o, t.account, e)
}
