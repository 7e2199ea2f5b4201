package ldapstore

import (
	"context"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// noDeadline lifts a deadline from a connection.
var noDeadline time.Time

// pageSize is below the limit that servers commonly set for a page.
const pageSize = 200

// Each calls f for every account that has records, in no particular order, and
// stops at its first error. Accounts that cannot be read, and with layout
// "subtree" records whose user is gone, are passed on as far as they are known:
// with Status Disabled and the reason in Cause.
//
// It asks the read servers, page by page, and holds no connection while f runs.
// Errors: f's; account.ErrUnavailable.
func (s *Store) Each(ctx context.Context, f func(*account.Account) error) error {
	l := s.newListing()
	defer l.close()
	for {
		entries, more, err := l.page(ctx)
		if err != nil {
			return err
		}
		for _, e := range entries {
			a, err := s.listed(ctx, e)
			if err != nil {
				return err
			}
			if err := f(a); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// listing is a paged search. It has a connection of its own, because a page's
// cookie is good on the same connection only (RFC 2696).
type listing struct {
	store  *Store
	req    *ldap.SearchRequest
	paging *ldap.ControlPaging
	conn   *conn
}

func (s *Store) newListing() *listing {
	l := &listing{store: s, paging: ldap.NewControlPaging(pageSize)}
	l.req = &ldap.SearchRequest{Scope: ldap.ScopeWholeSubtree, BaseDN: s.cfg.Base, Attributes: s.wanted,
		Filter: "(objectClass=" + classAccount + ")", Controls: []ldap.Control{l.paging}}
	if s.cfg.Layout == LayoutSubtree {
		l.req.BaseDN, l.req.Filter = s.cfg.PosternBase, "(objectClass="+classHolder+")"
		l.req.Attributes = append([]string{"posternHolderOf"}, s.holder...)
	}
	return l
}

func (l *listing) close() {
	if l.conn != nil {
		l.conn.discard()
	}
}

// page reads the next page; more says that it was not the last.
func (l *listing) page(ctx context.Context) (entries []*ldap.Entry, more bool, err error) {
	if err := l.connect(ctx); err != nil {
		return nil, false, err
	}
	if err := l.conn.raw.SetDeadline(l.store.deadline(ctx, 1)); err != nil {
		return nil, false, unavailable(err)
	}
	res, err := l.conn.Search(l.req)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil, false, &SetupError{l.req.BaseDN + " does not exist, or the service account may not see it", err}
	}
	if err != nil {
		return nil, false, unavailable(err)
	}
	// Between pages only our own work takes time: the deadline is set anew above.
	if err := l.conn.raw.SetDeadline(noDeadline); err != nil {
		return nil, false, unavailable(err)
	}
	if answer, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging); ok {
		l.paging.SetCookie(answer.Cookie)
		more = len(answer.Cookie) > 0
	}
	return res.Entries, more, nil
}

// connect dials the first read server that can be reached.
func (l *listing) connect(ctx context.Context) error {
	if l.conn != nil {
		return nil
	}
	var last error
	list := l.store.candidates()
	for i, srv := range list {
		l.conn, last = srv.service.dial(ctx, l.store.deadline(ctx, len(list)-i))
		srv.note(last)
		if last == nil {
			return nil
		}
	}
	return last
}

// listed makes an account of a listed entry. It fails only if the directory does.
func (s *Store) listed(ctx context.Context, e *ldap.Entry) (*account.Account, error) {
	f := found{user: e}
	var id account.ID
	site, err := s.policies.get(ctx)
	if err != nil {
		return nil, err
	}
	if s.cfg.Layout == LayoutSubtree {
		id = account.ID(value(e, "posternHolderOf"))
		user, err := s.userOf(ctx, id)
		if err != nil {
			return nil, err
		}
		f = found{user: user, holder: e}
	}
	f.site = site
	if f.user != nil && s.cfg.StatusFilter != "" {
		err := s.read(ctx, func(c *conn) (err error) {
			f.filtered, err = matches(c, f.user.DN, s.cfg.StatusFilter)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	a, err := s.account(&f)
	if err != nil {
		a = &account.Account{ID: id, Holder: e.DN, HasHolder: true, Status: account.Disabled, Cause: err.Error()}
	}
	return a, nil
}

// userOf finds the user with that key; nil if there is none, or not just one.
func (s *Store) userOf(ctx context.Context, id account.ID) (*ldap.Entry, error) {
	var found []*ldap.Entry
	err := s.read(ctx, func(c *conn) error {
		res, err := c.Search(&ldap.SearchRequest{
			BaseDN: s.cfg.Base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2, EnforceSizeLimit: true,
			Filter: s.keyFilter(id), Attributes: s.wanted,
		})
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
			return fmt.Errorf("user of key %s: %w", id, err)
		}
		found = res.Entries
		return nil
	})
	if err != nil || len(found) != 1 {
		return nil, err
	}
	return found[0], nil
}
