package ldapstore

import (
	"context"
	"fmt"
	"testing"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// Test389 does the main things against 389 Directory Server: its answers to a lost
// race, to a missing schema and to wrong passwords differ from OpenLDAP's.
func Test389(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the 389 Directory Server")
	}
	d, err := mailtest.Start389(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	for layout, mail := range map[string]string{LayoutEntry: "alice@example.test", LayoutSubtree: "bob@example.test"} {
		t.Run(layout, func(t *testing.T) {
			ring := newRing(t)
			open := func() *Store {
				cfg := Config{ReadURIs: []string{d.URI()}, BindDN: mailtest.RootDN, BindPassword: account.SecretString(mailtest.Password),
					Base: mailtest.Base, UserFilter: "(mail=%u)", PosternBase: mailtest.PosternBase, IDAttribute: "nsUniqueId", Layout: layout}
				s, err := Open(cfg, ring)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				return s
			}
			h := &harness{open(), nil, ring}
			stores := [2]*Store{h.Store, open()}
			h.test389Bind(t, mail)
			fresh := h.find(t, mail)
			n := race(t, stores, func(s *Store, _ int) error {
				a := *fresh
				return s.Apply(context.Background(), &a, account.Edit{Now: record(account.KindTOTP, "t")})
			})
			if n != 1 {
				t.Errorf("first write: %d winners", n)
			}
			h.test389Races(t, stores, mail)
			h.test389Site(t)
			h.test389Policies(t, stores, mail)
		})
	}
}

func (h *harness) test389Bind(t *testing.T, mail string) {
	t.Helper()
	a := h.find(t, mail)
	if err := h.Bind(context.Background(), a, account.SecretString(mailtest.Password)); err != nil {
		t.Error(err)
	}
	wantErr(t, h.Bind(context.Background(), a, account.SecretString("wrong")), account.ErrWrong)
	for _, name := range []string{"*", "nobody@example.test", mail + ")(mail=*"} {
		_, err := h.Find(context.Background(), name)
		wantErr(t, err, account.ErrUnknown)
	}
}

// test389Races swaps one value and adds records from both stores.
func (h *harness) test389Races(t *testing.T, stores [2]*Store, mail string) {
	t.Helper()
	a := h.find(t, mail)
	sound(t, a)
	was, err := a.Record(account.KindTOTP, a.Values(account.KindTOTP)[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	n := race(t, stores, func(s *Store, _ int) error {
		mine, old, now := *a, was, was
		now.Body = []byte("u")
		return s.Apply(context.Background(), &mine, account.Edit{Was: &old, Now: &now})
	})
	m := race(t, stores, func(s *Store, _ int) error {
		mine := *a
		return s.Apply(context.Background(), &mine, account.Edit{Now: record(account.KindSession, "s")})
	})
	b := h.find(t, mail)
	sound(t, b)
	if n != 1 || m != 1 || len(b.State.Members) != 2 {
		t.Errorf("%d swaps, %d additions, %+v", n, m, b.State)
	}
	h.apply(t, b, account.Edit{Was: b.StateRecord, Now: b.StateRecord}, account.Edit{Now: stateOf(t, account.State{Enrolled: true})})
	c, err := h.Read(context.Background(), b)
	if err != nil || !c.TwoFactor() || c.Damage() != nil {
		t.Errorf("%v, %v", c, err)
	}
}

func (h *harness) test389Site(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	if err := h.RegisterKeyChecks(ctx, h.ring.CheckValues()); err != nil {
		t.Fatal(err)
	}
	checks, err := h.KeyChecks(ctx)
	if err != nil || h.ring.Check(checks) != nil {
		t.Errorf("%q, %v", checks, err)
	}
	if err := h.Diagnose(ctx); err != nil {
		t.Error(err)
	}
	n := 0
	if err := h.Each(ctx, func(a *account.Account) error { n++; return a.Damage() }); err != nil || n != 1 {
		t.Errorf("%d listed, %v", n, err)
	}
}

// test389Policies sets and swaps the policies of all levels.
func (h *harness) test389Policies(t *testing.T, stores [2]*Store, mail string) {
	t.Helper()
	ctx := context.Background()
	raced := levelNamed(t, "domain "+h.cfg.Layout+".test")
	for _, was := range []string{"", `{"app_password_max":0}`} {
		n := race(t, stores, func(s *Store, i int) error {
			return s.WritePolicy(ctx, raced, was, fmt.Sprintf(`{"app_password_max":%d}`, i+1))
		})
		if n != 1 {
			t.Errorf("%d winners of %q", n, was)
		}
		h.setPolicy(t, raced.String(), `{"app_password_max":0}`)
	}
	h.setPolicy(t, "domain example.test", `{"app_password_max":9}`)
	h.setPolicy(t, "class two  words", `{"recommend":false}`)
	a := h.find(t, mail)
	n := race(t, stores, func(s *Store, i int) error {
		mine := *a
		return s.ApplyPolicy(ctx, &mine, "", fmt.Sprintf(`{"app_password_max":%d}`, i+1))
	})
	if n != 1 {
		t.Errorf("%d winners of an account's policy", n)
	}
	must(t, h.ApplyClass(ctx, h.find(t, mail), "", "Two Words"))
	h.setOwn(t, mail, `{"twofactor":"mandatory"}`)
	h.policies.forget()
	e := h.resolve(t, mail)
	for key, want := range map[string]string{"twofactor": "account", "recommend": "class two words", "app_password_max": "domain example.test"} {
		if e.Origin[key] != want {
			t.Errorf("%s is from %s, want %s", key, e.Origin[key], want)
		}
	}
	h.setOwn(t, mail, "")
	must(t, h.ApplyClass(ctx, h.find(t, mail), "Two Words", ""))
	h.setPolicy(t, "domain example.test", `{"twofactor":`)
	if _, err := h.find(t, mail).Policy.Resolve(); err == nil {
		t.Error("a policy that cannot be read counts for none")
	}
	h.setPolicy(t, "domain example.test", `{}`)
}
