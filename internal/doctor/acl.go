package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/account"
	"postern/ldapstore"
)

// anonymous: the site's entry holds key-check values on every site, so that an empty
// answer says something; and where an account has records, one is looked at, too.
func (e *examination) anonymous(ctx context.Context, store *ldapstore.Store) {
	some, err := store.Another(ctx)
	if err != nil {
		e.unchecked("acl-anonymous", "", err.Error())
		return
	}
	var accounts []*account.Account
	if some != nil {
		accounts = append(accounts, some)
	}
	e.exposures("acl-anonymous", "anybody, without logging in,", store.Exposed(ctx, nil, accounts...))
}

// ownerSees logs in to the directory as the canary: its owner must see and change nothing,
// neither of its own nor of another account's (ATTACKS 20). other may be nil.
func (e *examination) ownerSees(ctx context.Context, b *bird, other *account.Account) {
	accounts := []*account.Account{b.account}
	if other == nil {
		e.unchecked("acl-owner", "", "no other account has records yet: whether one may see another's was not looked at")
	} else {
		accounts = append(accounts, other)
	}
	e.exposures("acl-owner", "who logs in as "+b.user, b.store.Exposed(ctx, ldapstore.Simple(b.account.DN, b.main), accounts...))
}

// exposures makes findings of what each server lets somebody do.
func (e *examination) exposures(id, who string, list []ldapstore.Exposure) {
	for i := range list {
		x := &list[i]
		if len(x.Found) > 0 {
			e.wrong(id, x.URI, who+" can "+accesses(x.Found))
		}
		switch {
		case errors.Is(x.Err, account.ErrWrong):
			e.unchecked(id, x.URI, "the directory does not know the canary's password, so that nobody can log in to it as a user")
		case x.Err != nil:
			e.unchecked(id, x.URI, x.Err.Error())
		case len(x.Found) == 0:
			e.ok(id, x.URI, who+" can neither read, compare, find nor write what Postern keeps")
		}
	}
}

// accesses lists them, what belongs together once: "read posternState, posternTotp of
// uid=bob,…; write posternPolicy of uid=bob,…".
func accesses(list []ldapstore.Access) string {
	type where struct{ verb, dn string }
	var order []where
	names := map[where][]string{}
	for _, a := range list {
		w := where{a.Verb, a.DN}
		if !slices.Contains(order, w) {
			order = append(order, w)
		}
		names[w] = append(names[w], a.Attribute)
	}
	parts := make([]string, 0, len(order))
	for _, w := range order {
		form := "%s %s of %s"
		if w.verb == "find" {
			form = "%s entries by %s below %s"
		}
		parts = append(parts, fmt.Sprintf(form, w.verb, strings.Join(names[w], ", "), w.dn))
	}
	return strings.Join(parts, "; ")
}
