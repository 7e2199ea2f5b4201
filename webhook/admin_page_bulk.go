package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/policy"
	"postern/internal/web"
)

// bulk is a change of several accounts that a page asks about, or that a form wants.
type bulk struct {
	*console
	action   web.AdminAction
	domain   string
	selected []string // handles
	rows     []web.AdminRow
	total    int
}

// bulkRights are what can be done to several accounts at once, and the right that it
// needs besides admin.Bulk.
var bulkRights = map[web.AdminAction]admin.Right{web.ActReset: admin.Reset, web.ActAll: admin.Revoke, web.ActClass: admin.SetClass}

// bulk reads what the request is about; false: the turn is over.
func (t *turn) bulk() (*bulk, bool) {
	c := t.acting()
	if c == nil {
		return nil, false
	}
	form := t.r.PostForm
	if t.r.Method != http.MethodPost {
		form = t.r.URL.Query()
	}
	b := &bulk{console: c, action: web.AdminAction(form.Get(web.FieldAction)), domain: policy.DomainName(form.Get(web.FieldDomain)),
		selected: strings.Fields(strings.Join(form[web.FieldSelected], " "))}
	right, known := bulkRights[b.action]
	switch {
	case !known:
		t.say(http.StatusNotFound, web.MessageNotFound)
		return nil, false
	case !c.may.Can(admin.Bulk) || !c.may.Can(right):
		t.refuse(c, admin.ErrForbidden)
		return nil, false
	}
	if err := t.pick(b); err != nil {
		t.refuse(c, err)
		return nil, false
	}
	if len(b.rows) == 0 {
		t.list(c, http.StatusUnprocessableEntity, &web.Problem{Code: web.NoneSelected})
		return nil, false
	}
	return b, true
}

// pick finds the accounts that the handles mean, among those that the administrator has.
func (t *turn) pick(b *bulk) error {
	boxes := t.listing()
	var chosen []desk.Summary
	for offset := 0; ; offset += desk.MaxPage {
		page, err := t.s.desk.List(t.r.Context(), b.actor(t), boxes, desk.Query{Domain: b.domain, Offset: offset, Limit: desk.MaxPage})
		if err != nil {
			return err
		}
		b.total = page.Counts.Accounts
		for i := range page.Accounts {
			if slices.Contains(b.selected, handle(page.Accounts[i].ID)) {
				chosen = append(chosen, page.Accounts[i])
			}
		}
		if offset+len(page.Accounts) >= page.Found || len(page.Accounts) == 0 || len(chosen) == len(b.selected) {
			break
		}
	}
	b.rows = t.adminRows(chosen, boxes)
	return nil
}

// adminBulkGet lists what is selected, and asks.
func (t *turn) adminBulkGet() {
	if b, ok := t.bulk(); ok {
		t.askBulk(b, http.StatusOK, nil)
	}
}

func (t *turn) askBulk(b *bulk, status int, p *web.Problem) {
	t.token = formToken{}
	page := &web.AdminBulk{Admin: t.adminOf(b.console, b.domain, nil, p), Action: b.action, Rows: b.rows, Total: b.total,
		Selected: strings.Join(b.selected, " "), Count: t.field(web.FieldCount), Class: t.field(web.FieldClass)}
	if b.action == web.ActClass {
		page.Classes = t.classes()
	}
	page.Domains = nil
	page.Self = t.path(web.PathAdminBulk, web.FieldDomain, b.domain, web.FieldAction, string(b.action), web.FieldSelected, page.Selected)
	t.show(status, page)
}

// adminBulkPost makes the change, once the number of accounts was typed that the page
// listed: one that was put in or taken away meanwhile is noticed.
func (t *turn) adminBulkPost() {
	b, ok := t.bulk()
	if !ok {
		return
	}
	if n, err := strconv.Atoi(strings.TrimSpace(t.field(web.FieldCount))); err != nil || n != len(b.rows) || n != len(b.selected) {
		t.askBulk(b, http.StatusUnprocessableEntity, &web.Problem{Code: web.CountWrong})
		return
	}
	done := &web.AdminDone{Admin: t.adminOf(b.console, b.domain, nil, nil), Action: b.action}
	for i := range b.rows {
		r := web.AdminResult{Name: b.rows[i].Name}
		if err := t.bulkOne(t.r.Context(), b, &r); err != nil {
			_, p := t.adminProblem(err)
			r.Problem = p.Code
			done.Failed = append(done.Failed, r)
			continue
		}
		done.Done = append(done.Done, r)
	}
	t.token = formToken{}
	done.Self = t.path(web.PathAdmin, web.FieldDomain, b.domain)
	t.show(http.StatusOK, done)
}

func (t *turn) bulkOne(ctx context.Context, b *bulk, r *web.AdminResult) error {
	who, d := b.actor(t), t.s.desk
	switch b.action { //nolint:exhaustive // bulkRights has no other
	case web.ActReset:
		changed, err := d.Reset(ctx, who, r.Name)
		r.Token, r.Until = changed.Token.Token, changed.Token.Until
		return err
	case web.ActAll:
		_, err := d.RevokeAll(ctx, who, r.Name)
		return err
	}
	_, err := t.s.policies().SetClass(ctx, who, r.Name, t.field(web.FieldClass))
	return err
}
