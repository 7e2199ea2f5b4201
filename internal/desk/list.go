package desk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/effect"
	"postern/internal/policy"
)

// Mailboxes goes through all accounts of the directory, those without records of
// Postern's among them; package ldapstore's Store is one.
type Mailboxes interface {
	// Mailboxes calls f for every account of a domain, or with "" of all, in no
	// particular order, and stops at its first error. Errors: f's;
	// account.ErrUnavailable.
	Mailboxes(ctx context.Context, domain string, f func(*account.Account) error) error
}

// Query says which accounts to list.
type Query struct {
	Domain    string    // empty: all that the administrator has
	Text      string    // part of the login name, in whatever case
	TwoFactor string    // one of the constants of Summary.TwoFactor, or TwoFactorGrace; empty: whatever
	GraceOver bool      // with TwoFactorRequired: not those whose grace goes on
	MainSince time.Time // whose main password was tried since, where it is not enough; zero: whoever
	Offset    int
	Limit     int // at most MaxPage; 0: MaxPage
}

// MaxPage is how many accounts one List returns at most.
const MaxPage = 500

// Page is a part of a list.
type Page struct {
	Accounts []Summary // by name
	Found    int       // how many the query finds
	Counts   Counts    // of all accounts of the domain, whatever else the query asks for
}

// Counts sums a domain up.
type Counts struct {
	Accounts int
	// By the constants of Summary.TwoFactor.
	TwoFactor map[string]int
	Main      int // whose main password is tried where it is not enough
}

// List lists accounts, those of other domains than the administrator's left out. It
// reads the whole domain. Errors: admin.ErrForbidden, account.ErrUnavailable.
func (d *Desk) List(ctx context.Context, who Actor, boxes Mailboxes, q Query) (Page, error) {
	if err := who.mayList(q.Domain); err != nil {
		outcome, reason := failure(err)
		d.record(order{who: who}, nil, effect.Event{Action: effect.AccountViewed, Outcome: outcome, Reason: reason, Domain: loggable(q.Domain)})
		return Page{}, err
	}
	p := Page{Counts: Counts{TwoFactor: make(map[string]int)}}
	now := d.Now()
	want := policy.DomainName(q.Domain)
	err := boxes.Mailboxes(ctx, want, func(a *account.Account) error {
		mine := who.mayOf(admin.SeeStatus, a.Domain) == nil // others' are not the list's business
		if !mine || want != "" && policy.DomainName(a.Domain) != want {
			return nil
		}
		s := Summarize(a, now)
		if who.mayOf(admin.SeeAddresses, a.Domain) != nil {
			s.hideAddresses()
		}
		p.Counts.add(&s)
		if q.matches(&s) && q.ofState(a, &s, now) {
			p.Accounts = append(p.Accounts, s)
		}
		return nil
	})
	if err != nil {
		return Page{}, err
	}
	slices.SortFunc(p.Accounts, func(a, b Summary) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	p.Found = len(p.Accounts)
	p.Accounts = q.cut(p.Accounts)
	return p, nil
}

func (q *Query) matches(s *Summary) bool {
	if q.Text != "" && !strings.Contains(strings.ToLower(s.Name), strings.ToLower(q.Text)) {
		return false
	}
	return q.MainSince.IsZero() || slices.ContainsFunc(s.MainUses, func(u account.MainUse) bool { return !u.At.Before(q.MainSince) })
}

// ofState compares the second factor. Grace is told by the account, not by its summary.
func (q *Query) ofState(a *account.Account, s *Summary, now time.Time) bool {
	grace := s.TwoFactor == TwoFactorRequired && now.Before(a.GraceEnds(s.Policy, now))
	switch q.TwoFactor {
	case "":
		return true
	case TwoFactorGrace:
		return grace
	}
	return q.TwoFactor == s.TwoFactor && !(q.GraceOver && grace)
}

// cut is the page that the query asks for.
func (q *Query) cut(list []Summary) []Summary {
	from := min(max(q.Offset, 0), len(list))
	n := q.Limit
	if n <= 0 || n > MaxPage {
		n = MaxPage
	}
	return list[from:min(from+n, len(list))]
}

func (c *Counts) add(s *Summary) {
	c.Accounts++
	c.TwoFactor[s.TwoFactor]++
	if len(s.MainUses) > 0 {
		c.Main++
	}
}

// mayList: a list shows status only, so whoever sees that of a domain sees its list. An
// administrator of some domains who names none sees these.
func (a *Actor) mayList(domain string) error {
	if domain == "" && a.Authority != nil && a.Authority.Can(admin.SeeStatus) {
		return nil
	}
	return a.mayOf(admin.SeeStatus, domain)
}

// mayOf is may about the accounts of a domain in general.
func (a *Actor) mayOf(right admin.Right, domain string) error {
	switch {
	case a.root:
		return nil
	case a.Authority == nil:
		return fmt.Errorf("%w: nobody acts here", admin.ErrForbidden)
	}
	return a.Authority.MayDomain(right, domain)
}
