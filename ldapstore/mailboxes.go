package ldapstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/net/idna"

	"postern/internal/account"
)

// Mailboxes calls f for every account of a domain, or with "" of all: also those without
// records. An account is an entry that the user filter would find by some name, with its
// login name in the domain. Entries that cannot be one, for want of a key or a name, are
// left out. Order and errors are those of Each.
func (s *Store) Mailboxes(ctx context.Context, domain string, f func(*account.Account) error) error {
	return s.eachMailbox(ctx, s.mailboxFilter(domain), f)
}

func (s *Store) eachMailbox(ctx context.Context, filter string, f func(*account.Account) error) error {
	disabled, err := s.disabled(ctx, filter)
	if err != nil {
		return err
	}
	l := s.newListing()
	defer l.close()
	l.req.BaseDN, l.req.Filter, l.req.Attributes = s.cfg.Base, filter, s.wanted
	for more := true; more; {
		var entries []*ldap.Entry
		if entries, more, err = l.page(ctx); err != nil {
			return err
		}
		if err := s.mailboxes(ctx, entries, disabled, f); err != nil {
			return err
		}
	}
	return nil
}

// mailboxes makes accounts of a page.
func (s *Store) mailboxes(ctx context.Context, entries []*ldap.Entry, disabled map[string]bool, f func(*account.Account) error) error {
	site, err := s.policies.get(ctx)
	if err != nil {
		return err
	}
	holders, err := s.holders(ctx, entries)
	if err != nil {
		return err
	}
	for _, e := range entries {
		one := found{user: e, filtered: disabled[e.DN], site: site}
		if id, err := s.key(e); err == nil {
			one.holder = holders[id]
		}
		a, err := s.account(&one)
		if err != nil {
			continue
		}
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

// mailboxFilter finds what the user filter finds for any name of the domain.
func (s *Store) mailboxFilter(domain string) string {
	var b strings.Builder
	for i, text := range s.filter.text {
		b.WriteString(text)
		if i < len(s.filter.holes) {
			b.WriteByte('*')
		}
	}
	users := strings.ReplaceAll(b.String(), "**", "*")
	if strings.Contains(users, ":=*") { // an extensible match knows no wildcard
		users = anything
	}
	login := s.cfg.LoginAttribute
	if domain == "" {
		return fmt.Sprintf("(&%s(%s=*))", users, login)
	}
	names := fmt.Sprintf("(%s=*@%s)", login, ldap.EscapeFilter(domain))
	if u, err := idna.Lookup.ToUnicode(domain); err == nil && u != domain {
		names = fmt.Sprintf("(|%s(%s=*@%s))", names, login, ldap.EscapeFilter(u))
	}
	return fmt.Sprintf("(&%s%s)", users, names)
}

// disabled are the names of the entries that the status filter matches.
func (s *Store) disabled(ctx context.Context, filter string) (map[string]bool, error) {
	all := make(map[string]bool)
	if s.cfg.StatusFilter == "" {
		return all, nil
	}
	l := s.newListing()
	defer l.close()
	l.req.BaseDN, l.req.Filter, l.req.Attributes = s.cfg.Base, "(&"+filter+s.cfg.StatusFilter+")", []string{"1.1"}
	for {
		entries, more, err := l.page(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			all[e.DN] = true
		}
		if !more {
			return all, nil
		}
	}
}

// holders reads the entries with the records of a page's users by one search; with layout
// entry there are none.
func (s *Store) holders(ctx context.Context, users []*ldap.Entry) (map[account.ID]*ldap.Entry, error) {
	if s.cfg.Layout != LayoutSubtree || len(users) == 0 {
		return nil, nil //nolint:nilnil // as the comment says
	}
	var filter strings.Builder
	for _, e := range users {
		if id, err := s.key(e); err == nil {
			filter.WriteString("(posternHolderOf=" + ldap.EscapeFilter(string(id)) + ")")
		}
	}
	var res *ldap.SearchResult
	err := s.read(ctx, func(c *conn) (err error) {
		res, err = c.Search(&ldap.SearchRequest{BaseDN: s.cfg.PosternBase, Scope: ldap.ScopeSingleLevel,
			Filter: "(|" + filter.String() + ")", Attributes: append([]string{"posternHolderOf"}, s.holder...)})
		return err
	})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil, s.noPosternBase(err)
	}
	if err != nil {
		return nil, err
	}
	all := make(map[account.ID]*ldap.Entry, len(res.Entries))
	for _, e := range res.Entries {
		all[account.ID(value(e, "posternHolderOf"))] = e
	}
	return all, nil
}
