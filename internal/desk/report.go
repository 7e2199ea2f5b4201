package desk

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
)

// MainUse is one mail program that still uses the main password of an account for
// which it is not enough.
type MainUse struct {
	User, Domain string
	account.MainUse
}

// Report says who still uses the main password where it is not enough. Where a
// domain is observed these logins still work; elsewhere they were refused.
type Report struct {
	Uses []MainUse // by domain and user, the latest first
	// Known are the accounts whose main password is still enough from known devices, by
	// when that ends.
	Known []KnownUser
	// Unreadable counts accounts whose records cannot be read, uses included.
	Unreadable int
}

// KnownUser is an account with known devices.
type KnownUser struct {
	User, Domain string
	Known
}

// ReportFilter narrows a report.
type ReportFilter struct {
	Domain string    // empty: all
	Since  time.Time // zero: as far back as accounts remember
}

// Lister goes through the accounts that have records; package ldapstore's Store is one.
type Lister interface {
	Each(ctx context.Context, f func(*account.Account) error) error
}

// ReportMainPassword reads every account. Accounts whose two-factor login has been
// switched off since are left out: nothing waits for them.
func ReportMainPassword(ctx context.Context, l Lister, f ReportFilter, now time.Time) (Report, error) {
	var r Report
	err := l.Each(ctx, func(a *account.Account) error {
		// The domain of an account that cannot be read may not be known: it counts.
		if f.Domain != "" && a.Domain != "" && !strings.EqualFold(a.Domain, f.Domain) {
			return nil
		}
		s := Summarize(a, now)
		if s.TwoFactor == TwoFactorUnreadable || a.Name == "" {
			r.Unreadable++
		}
		r.add(&s, f.Since)
		return nil
	})
	slices.SortStableFunc(r.Uses, func(a, b MainUse) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.User, b.User), b.At.Compare(a.At))
	})
	slices.SortStableFunc(r.Known, func(a, b KnownUser) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.User, b.User))
	})
	return r, err
}

func (r *Report) add(s *Summary, since time.Time) {
	if s.Known != nil {
		r.Known = append(r.Known, KnownUser{s.Name, s.Domain, *s.Known})
	}
	for _, u := range s.MainUses {
		if !u.At.Before(since) {
			r.Uses = append(r.Uses, MainUse{User: s.Name, Domain: s.Domain, MainUse: u})
		}
	}
}
