package ldapstore

import (
	"context"
	"testing"

	"postern/internal/account"
)

// An asserted change is made only of an entry in which nothing has changed since it was
// read, by whatever hand; and of none whose version nobody knows.
func TestAssertedChange(t *testing.T) {
	h := newHarness(t, directory, nil)
	mail, _ := h.enrolled(t)
	change := func(a *account.Account) error {
		a.Asserted = true
		return h.Apply(context.Background(), a, account.Edit{Now: record(account.KindApp, "x")})
	}
	a := h.find(t, mail)
	if a.Version == "" {
		t.Fatal("no version")
	}
	stale, before := *a, len(a.Values(account.KindApp))
	if err := change(a); err != nil {
		t.Errorf("nothing has changed: %v", err)
	}
	wantErr(t, change(a), account.ErrConflict) // of what Apply wrote the version is not known
	wantErr(t, change(&stale), account.ErrConflict)
	a = h.find(t, mail)
	if err := h.slapd.SetAttr(a.DN, "description", "another hand's"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, change(a), account.ErrConflict)
	if a = h.find(t, mail); len(a.Values(account.KindApp)) != before+1 || a.Damage() != nil {
		t.Errorf("%d app passwords, %v", len(a.Values(account.KindApp)), a.Damage())
	}
}

// Where the entry's version does not say all that an account is, it counts for nothing.
func TestVersionOfWhatIsElsewhere(t *testing.T) {
	for name, configure := range map[string]func(*Config){
		"subtree":       func(c *Config) { c.Layout = LayoutSubtree },
		"status filter": func(c *Config) { c.StatusFilter = "(description=locked)" },
	} {
		h := newHarness(t, directory, configure)
		a := h.find(t, h.user(t, nil))
		a.Asserted = true
		if a.Version != "" {
			t.Errorf("%s: version %s", name, a.Version)
		}
		wantErr(t, h.Apply(context.Background(), a, account.Edit{Now: record(account.KindApp, "x")}), account.ErrConflict)
	}
}
