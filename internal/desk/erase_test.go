package desk

import (
	"context"
	"errors"
	"testing"

	"postern/internal/account"
	"postern/internal/policy"
	"postern/ldapstore"
)

// overtaken is a store at which somebody else is faster than the erasure, once.
type overtaken struct {
	*ldapstore.Store
	before func()
}

func (o *overtaken) Erase(c context.Context, a *account.Account) error {
	if f := o.before; f != nil {
		o.before = nil
		f()
	}
	return o.Store.Erase(c, a)
}

// A login that comes between reading and removing is removed with the rest, and one that
// was decided before is not stored afterwards.
func TestA20_EraseAgainstALogin(t *testing.T) {
	h := newScene(t, policy.Settings{})
	stale := h.account()
	slow := *h.Desk
	slow.Store = &overtaken{h.store, func() {
		h.session("between", h.phone.String())
		h.use(h.phone.Kind, h.phone.ID, account.Use{At: h.now, From: youngPlace})
	}}
	gone, err := slow.Erase(ctx, operator, h.user, "has left")
	if err != nil || gone.Records == 0 {
		t.Fatal(gone, err)
	}
	late := account.Record{Kind: account.KindSession, ID: "late", Created: h.now}
	if err := h.store.Apply(ctx, stale, account.Edit{Now: &late}); !errors.Is(err, account.ErrConflict) {
		t.Errorf("a login from before was stored: %v", err)
	}
	if a := h.account(); a.HasHolder || a.StateRecord != nil || a.TwoFactor() {
		t.Errorf("left: %+v", a.State)
	}
}
