package ldapstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// wantSetup wants a *SetupError whose one line holds every part.
func wantSetup(t testing.TB, err error, parts ...string) {
	t.Helper()
	var e *SetupError
	if !errors.As(err, &e) || !errors.Is(err, account.ErrUnavailable) {
		t.Fatalf("got %v, want a SetupError", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not say %q", err, p)
		}
	}
	if errors.Is(err, account.ErrConflict) {
		t.Errorf("%v is no conflict", err)
	}
}

// forLayouts is layouts on a directory of one's own, without users in common.
func forLayouts(t *testing.T, slapd *mailtest.Slapd, change func(*Config), test func(t *testing.T, h *harness)) {
	for _, layout := range []string{LayoutEntry, LayoutSubtree} {
		t.Run(layout, func(t *testing.T) {
			test(t, newHarness(t, slapd, func(c *Config) {
				c.Layout = layout
				if change != nil {
					change(c)
				}
			}))
		})
	}
}

func TestSetupSchemaMissing(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{WithoutSchema: true})
	rootLogin := func(c *Config) { c.BindDN = mailtest.RootDN }
	forLayouts(t, slapd, rootLogin, func(t *testing.T, h *harness) {
		a, err := h.Find(context.Background(), "alice@example.test")
		if h.cfg.Layout == LayoutEntry && err == nil {
			err = h.Apply(context.Background(), a, account.Edit{Now: record(account.KindApp, "x")})
		}
		wantSetup(t, err, "contrib/slapd/postern.ldif")
		wantSetup(t, h.RegisterKeyChecks(context.Background(), []string{"x"}), "contrib/slapd/postern.ldif")
		err = h.Diagnose(context.Background())
		wantSetup(t, err, "posternState", "posternHolder", "contrib/slapd/postern.ldif")
		if n := strings.Count(err.Error(), "\n"); n > 0 {
			t.Errorf("one fault, %d lines: %v", n+1, err)
		}
	})
}

func TestSetupACLTooNarrow(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{WithoutACL: true})
	forLayouts(t, slapd, nil, func(t *testing.T, h *harness) {
		a := h.find(t, "alice@example.test")
		err := h.Apply(context.Background(), a, account.Edit{Now: record(account.KindApp, "x")})
		wantSetup(t, err, "contrib/slapd/postern-acl.ldif", a.Holder)
		wantSetup(t, h.RegisterKeyChecks(context.Background(), []string{"x"}), "contrib/slapd/postern-acl.ldif")
		wantSetup(t, h.Diagnose(context.Background()), "contrib/slapd/postern-acl.ldif")
	})
	if err := slapd.LoadACL(context.Background()); err != nil {
		t.Fatal(err)
	}
	forLayouts(t, slapd, nil, func(t *testing.T, h *harness) {
		if err := h.Diagnose(context.Background()); err != nil {
			t.Errorf("after loading the rules: %v", err)
		}
		h.apply(t, h.find(t, "alice@example.test"), account.Edit{Now: record(account.KindApp, "x")})
	})
}

// TestAttack20_HiddenState: rules that hide the records from the service later do
// not turn accounts into ones without a second factor.
func TestAttack20_HiddenState(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	h := newHarness(t, slapd, nil)
	mail, _ := h.enrolled(t)
	err := slapd.Configure(context.Background(), `dn: olcDatabase={1}mdb,cn=config
changetype: modify
add: olcAccess
olcAccess: {0}to attrs=posternState,posternTotp,posternAppPassword by * none
`)
	if err != nil {
		t.Fatal(err)
	}
	wantDamage(t, h.find(t, mail))
}

func TestSetupBases(t *testing.T) {
	layouts(t, func(t *testing.T, base *harness) {
		wrong := func(change func(*Config)) *harness {
			return &harness{openStore(t, base.slapd, base.ring, func(c *Config) {
				c.Layout = base.cfg.Layout
				change(c)
			}), base.slapd, base.ring}
		}
		noBase := wrong(func(c *Config) { c.Base = "ou=nowhere,dc=example,dc=test" })
		_, err := noBase.Find(context.Background(), "alice@example.test")
		wantSetup(t, err, "base ou=nowhere,dc=example,dc=test does not exist", "directory.base")
		wantSetup(t, noBase.Diagnose(context.Background()), "base ou=nowhere,dc=example,dc=test does not exist")

		noPostern := wrong(func(c *Config) { c.PosternBase = "ou=nothing,dc=example,dc=test" })
		err = noPostern.RegisterKeyChecks(context.Background(), []string{"x"})
		wantSetup(t, err, "ou=nothing,dc=example,dc=test does not exist", "directory.postern_base")
		wantSetup(t, noPostern.Diagnose(context.Background()), "base ou=nothing,dc=example,dc=test does not exist")
		// What is not there may hold policies that are stricter than none.
		_, err = noPostern.Find(context.Background(), base.user(t, nil))
		wantSetup(t, err, "ou=nothing,dc=example,dc=test does not exist")
	})
}

func TestSetupServiceRefused(t *testing.T) {
	h := newHarness(t, directory, func(c *Config) { c.BindPassword = account.SecretString("wrong") })
	_, err := h.Find(context.Background(), "alice@example.test")
	wantSetup(t, err, "refuses the service account", "directory.bind_dn")
	wantSetup(t, h.Diagnose(context.Background()), "directory.bind_dn")
	if strings.Contains(err.Error(), "wrong\"") || errors.Is(err, account.ErrWrong) {
		t.Errorf("%v", err)
	}
}

func TestSetupReplica(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	h := newHarness(t, slapd, nil)
	mail, a := h.enrolled(t)
	err := slapd.Configure(context.Background(), `dn: olcDatabase={1}mdb,cn=config
changetype: modify
replace: olcSyncrepl
olcSyncrepl: rid=001 provider=ldap://127.0.0.1:1 type=refreshAndPersist retry="3600 +" searchbase="dc=example,dc=test" bindmethod=simple
-
replace: olcUpdateRef
olcUpdateRef: ldap://provider.example.test
`)
	if err != nil {
		t.Fatal(err)
	}
	err = h.Apply(context.Background(), a, account.Edit{Now: record(account.KindSession, "x")})
	wantSetup(t, err, "directory.write_uri", slapd.URI())
	wantSetup(t, h.Diagnose(context.Background()), "directory.write_uri")
	sound(t, h.find(t, mail))
}

func TestKeyChecks(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	h := newHarness(t, slapd, nil)
	ctx := context.Background()
	got, err := h.KeyChecks(ctx)
	if got != nil || err != nil {
		t.Fatalf("before: %v, %v", got, err)
	}
	if h.ring.Check(got) == nil {
		t.Error("an unregistered key is fine")
	}
	var wg sync.WaitGroup
	for i := range 8 { // eight hosts at once, two of each
		wg.Go(func() {
			if err := h.RegisterKeyChecks(ctx, []string{"common", "own" + string(rune('a'+i/2))}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := h.RegisterKeyChecks(ctx, h.ring.CheckValues()); err != nil {
		t.Fatal(err)
	}
	got, err = h.KeyChecks(ctx)
	if err != nil || len(got) != 5+len(h.ring.CheckValues()) || h.ring.Check(got) != nil {
		t.Errorf("after: %q, %v", got, err)
	}
}

func TestEach(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	forLayouts(t, slapd, func(c *Config) { c.StatusFilter = "(employeeType=retired)" }, func(t *testing.T, h *harness) {
		var want []string
		for range pageSize + 3 {
			mail := h.user(t, nil)
			h.apply(t, h.find(t, mail), account.Edit{Now: record(account.KindApp, "x")})
			want = append(want, mail)
		}
		spoilt, _ := h.enrolled(t)
		h.set(t, h.find(t, spoilt), account.KindState, []byte("spoilt"))
		retired, _ := h.enrolled(t)
		if err := slapd.SetAttr(retired, "employeeType", "retired"); err != nil {
			t.Fatal(err)
		}
		want = append(want, spoilt, retired)
		var got []string
		err := h.Each(context.Background(), func(a *account.Account) error {
			got = append(got, a.Name)
			if (a.Damage() != nil) != (a.Name == spoilt) || (a.Status == account.Disabled) != (a.Name == retired) {
				t.Errorf("%s: %v, %v", a.Name, a.Damage(), a.Status)
			}
			_, err := h.Read(context.Background(), a) // a nested operation
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got %d, want %d", len(got), len(want))
		}
		stop := errors.New("enough")
		wantErr(t, h.Each(context.Background(), func(*account.Account) error { return stop }), stop)
	})
}

func TestEachOrphan(t *testing.T) {
	h := newHarness(t, mailtest.NewSlapd(t, mailtest.SlapdOptions{}), func(c *Config) { c.Layout = LayoutSubtree })
	mail, a := h.enrolled(t)
	if err := h.slapd.Delete(mail); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := h.Each(context.Background(), func(b *account.Account) error {
		n++
		if b.ID != a.ID || b.Status != account.Disabled || b.Cause == "" || b.Holder != a.Holder {
			t.Errorf("%+v", b)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d orphans, %v", n, err)
	}
}

// TestAttack15_AmbiguousModify: a change without an answer is neither done nor not
// done; the next one, from what was read before, cannot be made twice.
func TestAttack15_AmbiguousModify(t *testing.T) {
	slapd := mailtest.NewSlapd(t, mailtest.SlapdOptions{})
	h := newHarness(t, slapd, nil)
	mail, a := h.enrolled(t)
	before := string(a.StateRecord.Stored)
	if err := slapd.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	session := record(account.KindSession, "x")
	wantErr(t, h.Apply(ctx, a, account.Edit{Now: session}), account.ErrUnavailable)
	if string(a.StateRecord.Stored) != before || session.Stored != nil {
		t.Error("the account pretends to know")
	}
	if err := slapd.Resume(); err != nil {
		t.Fatal(err)
	}
	for range 100 { // the server takes up what it had received
		if b := h.find(t, mail); string(b.StateRecord.Stored) != before {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	b := h.find(t, mail)
	sound(t, b)
	if string(b.StateRecord.Stored) == before {
		t.Fatal("the server dropped the change: nothing is proved")
	}
	wantErr(t, h.Apply(context.Background(), a, account.Edit{Now: session}), account.ErrConflict)
}
