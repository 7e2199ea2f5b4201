package login_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

// counted is the directory, with what it is asked.
type counted struct {
	account.Store
	finds, reads, binds, applies atomic.Int32
}

func (c *counted) Find(ctx context.Context, name string) (*account.Account, error) {
	c.finds.Add(1)
	return c.Store.Find(ctx, name)
}

func (c *counted) Read(ctx context.Context, a *account.Account) (*account.Account, error) {
	c.reads.Add(1)
	return c.Store.Read(ctx, a)
}

func (c *counted) Bind(ctx context.Context, a *account.Account, password account.Secret) error {
	c.binds.Add(1)
	return c.Store.Bind(ctx, a, password)
}

func (c *counted) Apply(ctx context.Context, a *account.Account, e ...account.Edit) error {
	c.applies.Add(1)
	return c.Store.Apply(ctx, a, e...)
}

// want compares what was asked since the last time.
func (c *counted) want(t *testing.T, what string, finds, binds, reads, applies int32) {
	t.Helper()
	got := [4]int32{c.finds.Swap(0), c.binds.Swap(0), c.reads.Swap(0), c.applies.Swap(0)}
	if got != [4]int32{finds, binds, reads, applies} {
		t.Errorf("%s: %d finds, binds, reads, changes; want %d, %d, %d, %d", what, got, finds, binds, reads, applies)
	}
}

// A login costs the directory one search, one bind, one read and exactly one change. At
// another node than that of the answer, or later, it is one read more.
func TestE4_WhatALoginCostsTheDirectory(t *testing.T) {
	w := newSite(t, policy.Settings{})
	totp := w.enrol()
	c := &counted{Store: w.store}
	w.SignIn, w.gate = w.nodeOn(c)
	other, _ := w.nodeOn(c)
	for _, at := range []struct {
		what  string
		node  *login.SignIn
		after time.Duration
		reads int32
	}{{"at the same node", w.SignIn, time.Second, 0}, {"at another", other, 0, 1}, {"later", w.SignIn, 3 * time.Second, 1}, {"clock went back", w.SignIn, -3 * time.Second, 1}} {
		w.pass(time.Minute)
		r := w.begin()
		c.want(t, at.what+", password", 1, 1, 0, 0)
		v, reason := w.OpenToAnswer(pageToken(t, r), firefox)
		if reason != "" {
			t.Fatal(reason)
		}
		code := oneTimeCode(t, w.answer(v, w.code(totp)))
		c.want(t, at.what+", answer", 0, 0, 1, 0)
		w.pass(at.after)
		first := at.node.Exchange(ctx, "roundcube", r.Transaction, code)
		c.want(t, at.what+", exchange", 0, 0, at.reads, 1)
		again := at.node.Exchange(ctx, "roundcube", r.Transaction, code)
		c.want(t, at.what+", again", 0, 0, 1, 0)
		if first.Live == nil || again.Live == nil || !first.Live.Begun.Equal(again.Live.Begun) {
			t.Fatalf("%s: %+v, again %+v", at.what, first.Live, again.Live)
		}
	}
	if sessions := w.account().Values(account.KindSession); len(sessions) != 4 {
		t.Errorf("%d sessions of four logins", len(sessions))
	}
}

// Attack 37: whatever changes between answer and exchange, by whatever hand, is seen
// although nothing is read in between.
func TestAttack37_ChangeByOthersAfterTheAnswer(t *testing.T) {
	directory, err := slapd()
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct {
		attribute, value string
		want             login.Reason
	}{
		{"pwdEndTime", "20200101000000Z", login.AccountDisabled},
		{"posternPolicy", `{"methods": []}`, login.FactorForbidden},
		{"description", "something else", ""},
	} {
		t.Run(change.attribute, func(t *testing.T) {
			w := newSite(t, policy.Settings{})
			totp := w.enrol()
			r := w.toFactor()
			code := oneTimeCode(t, w.answer(w.visit(r), w.code(totp)))
			if err := directory.SetAttr(mailtest.UserDN(w.user), change.attribute, change.value); err != nil {
				t.Fatal(err)
			}
			got := w.Exchange(ctx, "roundcube", r.Transaction, code)
			wantReason(t, "exchange", got.Reason, change.want)
			if (got.Live != nil) != (change.want == "") {
				t.Errorf("%+v", got)
			}
		})
	}
}
