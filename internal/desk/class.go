package desk

import (
	"context"
	"fmt"

	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/policy"
)

// ChangedClass says what SetClass did.
type ChangedClass struct {
	User, Was, Now string
	// HasPolicy says that there is a policy of the class Now.
	HasPolicy bool
}

// SetClass makes an account one of a class, or with "" of none. Errors: ErrInvalid
// when the policies that then hold cannot be read or contradict each other; ErrBusy;
// those of every change.
func (p Policies) SetClass(ctx context.Context, who Actor, user, class string) (ChangedClass, error) {
	var (
		t       *target
		changed ChangedClass
		l       = policy.Level{Kind: policy.LevelAccount, Name: user}
	)
	err := p.retry(ctx, func() (err error) {
		if t, err = p.target(ctx, l); err != nil {
			return err
		}
		if err = t.may(ctx, &who, admin.SetClass); err != nil {
			return err
		}
		changed, err = p.setClass(ctx, t, class)
		return err
	})
	if err != nil {
		p.recordRefusal(who, l, t, effect.ClassChanged, err)
		return ChangedClass{}, err
	}
	if changed.Was != changed.Now {
		p.record(who, t, effect.Event{Action: effect.ClassChanged, Outcome: "done",
			Detail: "class: " + policy.Text(orNil(changed.Was)) + " → " + policy.Text(orNil(changed.Now))})
	}
	return changed, nil
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (p Policies) setClass(ctx context.Context, t *target, class string) (ChangedClass, error) {
	c := ChangedClass{User: t.account.Name, Was: t.account.Class}
	if class != "" {
		level, err := policy.NewLevel(policy.LevelClass, class)
		if err != nil {
			return c, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		c.Now = level.Name
		_, c.HasPolicy = t.site.Layer(level)
	}
	if c.Now == policy.ClassName(c.Was) {
		c.Now = c.Was
		return c, nil
	}
	before := t.problems()
	t.account.Class = c.Now
	if err := t.worse(before); err != nil {
		return c, err
	}
	return c, p.Store.ApplyClass(ctx, t.account, c.Was, c.Now)
}
