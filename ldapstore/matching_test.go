package ldapstore

import (
	"context"
	"errors"
	"slices"
	"testing"

	"postern/internal/account"
)

// TestMatching: an administrator's filter narrows what there is, in both layouts, and a
// wrong one is told apart from a directory that does not answer.
func TestMatching(t *testing.T) {
	layouts(t, func(t *testing.T, h *harness) {
		one := h.user(t, map[string][]string{"ou": {t.Name()}})
		h.user(t, map[string][]string{"ou": {"other"}})
		ask := func(domain, filter string) ([]string, error) {
			var names []string
			err := h.Matching(context.Background(), domain, filter, func(a *account.Account) error {
				names = append(names, a.Name)
				return nil
			})
			return names, err
		}
		for _, domain := range []string{"", "example.test"} {
			if got, err := ask(domain, " (ou="+t.Name()+") "); err != nil || !slices.Contains(got, one) || len(got) != 1 {
				t.Errorf("%q: %q, %v", domain, got, err)
			}
		}
		if got, err := ask("elsewhere.test", "(ou="+t.Name()+")"); err != nil || len(got) != 0 {
			t.Errorf("another domain: %q, %v", got, err)
		}
		if got, err := ask("", "(objectClass=organizationalUnit)"); err != nil || len(got) != 0 {
			t.Errorf("what is no account: %q, %v", got, err)
		}
		// The second would end the condition that it stands beside.
		for _, wrong := range []string{"", "ou=x", "(ou=x", "(ou=x))(|(uid=*)", "(ou=x)(ou=y)"} {
			if got, err := ask("", wrong); !errors.Is(err, ErrFilter) || errors.Is(err, account.ErrUnavailable) || got != nil {
				t.Errorf("%q: %q, %v", wrong, got, err)
			}
		}
	})
}
