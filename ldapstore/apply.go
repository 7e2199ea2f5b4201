package ldapstore

import (
	"context"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// Apply implements account.Store: all edits in one Modify on the write server.
//
// An edit that adds or removes a record also swaps State, whose Members and
// Generation are kept here. An edit of State itself supplies the rest of its
// body. On an account whose records do not match its State, membership changes
// only together with an edit of State, whose body then says which Members remain:
// repairing damage is for the caller to decide.
//
// With a.Asserted the Modify is made only if the entry's version is still a.Version.
//
// After success a describes what was written, and Stored of every edit's Now is
// set, so that the next Apply needs no search in between. After an error a is
// unchanged.
//
// Errors: account.ErrConflict when somebody was faster; account.ErrDamaged as
// said above; a *SetupError for what an administrator has to mend;
// account.ErrUnavailable, after which the change may or may not have been made.
// Other errors are defects of the caller.
func (s *Store) Apply(ctx context.Context, a *account.Account, edits ...account.Edit) error {
	p := newPlan(s.ring, a, s.now())
	if err := p.take(edits); err != nil {
		return err
	}
	if p.empty() {
		return nil
	}
	if err := s.writePlan(ctx, a, p); err != nil {
		return err
	}
	p.commit()
	return nil
}

func (s *Store) writePlan(ctx context.Context, a *account.Account, p *plan) error {
	if s.cfg.Layout == LayoutSubtree && !a.HasHolder && !a.Asserted {
		req := p.addRequest()
		return s.addError(a.Holder, s.write(ctx, func(c *conn) error { return c.Add(req) }))
	}
	req := p.modifyRequest()
	if err := assert(a, req); err != nil {
		return err
	}
	err := s.write(ctx, func(c *conn) error { return c.Modify(req) })
	if p.text != nil && a.HasHolder && doubled(err) {
		return fmt.Errorf("%w: %w", account.ErrConflict, err)
	}
	return s.modifyError(a.Holder, a.StateRecord == nil || p.text != nil, err)
}

// addRequest makes the holder entry of layout subtree.
func (p *plan) addRequest() *ldap.AddRequest {
	req := ldap.NewAddRequest(p.account.Holder, nil)
	req.Attribute("objectClass", []string{"top", classHolder})
	req.Attribute("posternHolderOf", []string{string(p.account.ID)})
	for _, k := range account.Kinds {
		if len(p.add[k]) > 0 {
			req.Attribute(k.Attribute(), p.add[k])
		}
	}
	if p.text != nil && p.text.now != "" {
		req.Attribute(p.text.attribute, []string{p.text.now})
	}
	return req
}

// modifyRequest deletes before it adds, as some attributes have one value only.
func (p *plan) modifyRequest() *ldap.ModifyRequest {
	req := ldap.NewModifyRequest(p.account.Holder, nil)
	if !p.account.HasHolder {
		req.Add("objectClass", []string{classAccount})
	}
	for _, k := range account.Kinds {
		if len(p.del[k]) > 0 {
			req.Delete(k.Attribute(), p.del[k])
		}
		if len(p.add[k]) > 0 {
			req.Add(k.Attribute(), p.add[k])
		}
	}
	if p.text != nil && p.text.was != "" {
		req.Delete(p.text.attribute, []string{p.text.was})
	}
	if p.text != nil && p.text.now != "" {
		req.Add(p.text.attribute, []string{p.text.now})
	}
	return req
}
