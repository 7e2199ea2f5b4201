package main

import (
	"context"
	"errors"
	"net/http"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/login"
	"postern/internal/policy"
	"postern/internal/web"
)

// The administration pages. Who is on them is the owner of a session, as on the security
// pages, whose account the directory names as an administrator's (package admin), and who
// has given a second factor since the pages were opened; a change asks for one given
// within the last five minutes. What may be done is decided by package desk alone, about
// the account as just read: a page that offers too much, or a forged form, gets nowhere.

var adminPages = map[string]page{
	web.PathAdmin + "{$}": {get: (*turn).adminList},
	web.PathAdminSignIn:   {get: (*turn).adminStart, post: (*turn).adminStartPost},
	web.PathAdminPasskey:  {get: func(t *turn) { t.redirect(t.path(web.PathAdminSignIn)) }, post: (*turn).adminStartPasskey},
	web.PathAdminBack:     {get: (*turn).adminBack},
	web.PathAdminLeave:    {post: (*turn).adminLeave},
	web.PathAdminAccount:  {get: (*turn).adminAccount},
	web.PathAdminChange:   {get: (*turn).adminChangeGet, post: (*turn).adminChangePost},
	web.PathAdminTOTP:     {get: (*turn).adminTOTPGet, post: (*turn).adminTOTPPost},
	web.PathAdminPolicy:   {get: (*turn).adminPolicyGet, post: (*turn).adminPolicyPost},
	web.PathAdminBulk:     {get: (*turn).adminBulkGet, post: (*turn).adminBulkPost},
}

// console is an administrator at the pages.
type console struct {
	*login.Owner
	may admin.Authority
}

// actor is the administrator as the author of changes.
func (c *console) actor(t *turn) desk.Actor {
	who := desk.Administrator(&c.may)
	who.Addr, who.Agent = t.browser.Addr, t.browser.Agent
	return who
}

// console is who is on the administration pages; nil means that the turn is over.
func (t *turn) console() *console {
	cookie, ok := settingsCookie.Get(t.r)
	if !ok {
		t.redirect(t.path(web.PathAdminSignIn))
		return nil
	}
	o, reason, err := t.s.signIn.Owner(t.r.Context(), cookie, t.browser)
	switch {
	case err != nil:
		t.unavailable(err)
		return nil
	case reason != "":
		settingsCookie.Clear(t.w)
		t.redirect(t.path(web.PathAdminSignIn))
		return nil
	}
	return t.asAdministrator(o)
}

// asAdministrator is the owner as an administrator, if they are one and have shown more
// than a password.
func (t *turn) asAdministrator(o *login.Owner) *console {
	may, err := t.s.roles.Of(t.r.Context(), o.Account)
	switch {
	case err != nil:
		t.unavailable(err)
	case may.Role < admin.HelpDesk:
		t.tell(http.StatusForbidden, web.Message{Code: web.MessageNoAdmin, Common: t.ownerCommon(o, nil)})
	case !o.Strong():
		t.tell(http.StatusForbidden, web.Message{Code: web.MessageAdminFactor, Common: t.ownerCommon(o, nil), Setup: t.path(web.PathAdd)})
	case !o.Proved():
		t.redirect(t.path(web.PathConfirm, web.FieldNext, t.again()))
	default:
		return &console{o, may}
	}
	return nil
}

// again is where the page is shown anew after a confirmation: of a form, the page that it
// stands on.
func (t *turn) again() string {
	if t.r.Method != http.MethodPost {
		return t.r.URL.RequestURI()
	}
	var q []string
	for _, name := range []string{web.FieldTarget, web.FieldAction, web.FieldKind, web.FieldID, web.FieldDomain, web.FieldLevel,
		web.FieldLevelName, web.FieldSelected} {
		if v := t.field(name); v != "" {
			q = append(q, name, v)
		}
	}
	return withQuery(t.r.URL.Path, q...)
}

// acting is an administrator who has given a factor within the last minutes. Who has not
// is asked for one first, and then comes back.
func (t *turn) acting() *console {
	c := t.console()
	if c == nil || c.Confirmed(t.s.now()) {
		return c
	}
	t.redirect(t.path(web.PathConfirm, web.FieldNext, t.again()))
	return nil
}

// looking is an administrator who only looks, and who stays signed in by that.
func (t *turn) looking() *console {
	c := t.console()
	if c == nil {
		return nil
	}
	if cookie, err := t.s.signIn.Prolong(c.Owner); err == nil {
		t.keep(cookie)
	}
	return c
}

// adminOf is what every page of the administrator has. about is the account that it is
// about; nil: none, and domain may be empty.
func (t *turn) adminOf(c *console, domain string, about *account.Account, p *web.Problem) web.Admin {
	common := t.ownerCommon(c.Owner, p)
	common.Webmail = web.Webmail{}
	a := web.Admin{Common: common, Role: roleWord(c.may.Role), Looked: domain}
	if !c.may.All && len(c.may.Domains) > 1 {
		a.Domains = c.may.Domains
	}
	can := func(r admin.Right) bool {
		if about != nil {
			return c.may.May(t.r.Context(), r, about) == nil
		}
		return c.may.Can(r)
	}
	a.May = web.AdminRights{Reset: can(admin.Reset), Token: can(admin.EnrolToken), Revoke: can(admin.Revoke), Remove: can(admin.RemoveFactor),
		Sessions: can(admin.EndSessions), Class: can(admin.SetClass), Provision: can(admin.Provision), Code: can(admin.ShowCode),
		Bypass:   can(admin.Bypass),
		Policies: c.may.Can(admin.SeePolicy), Policy: can(admin.SetPolicy), Several: c.may.Can(admin.Bulk)}
	return a
}

// roleWord is a role as the pages call it.
func roleWord(r admin.Role) web.AdminRole {
	switch r { //nolint:exhaustive // the others are nobody's
	case admin.Site:
		return web.AdminSite
	case admin.Domain:
		return web.AdminDomain
	}
	return web.AdminHelpDesk
}

// adminErrors say how each error is told to an administrator.
var adminErrors = []struct {
	err    error
	status int
	code   web.ProblemCode
}{
	{admin.ErrForbidden, http.StatusForbidden, web.AdminForbidden},
	{account.ErrUnknown, http.StatusNotFound, web.AccountUnknown},
	{account.ErrAmbiguous, http.StatusNotFound, web.AccountUnknown},
	{account.ErrNoRecord, http.StatusNotFound, web.AccountNothing},
	{desk.ErrNothing, http.StatusConflict, web.AccountNothing},
	{account.ErrDamaged, http.StatusConflict, web.AccountDamaged},
	{desk.ErrForbidden, http.StatusForbidden, web.NotAllowed},
	{desk.ErrBusy, http.StatusConflict, web.Busy},
	{desk.ErrReasonWrong, http.StatusUnprocessableEntity, web.ReasonWrong},
	{desk.ErrInvalid, http.StatusUnprocessableEntity, web.NotAllowed},
	{context.Canceled, http.StatusServiceUnavailable, web.Unavailable},
}

// adminProblem is what an error of the desk is to the administrator.
func (t *turn) adminProblem(err error) (int, *web.Problem) {
	for _, e := range adminErrors {
		if errors.Is(err, e.err) {
			return e.status, &web.Problem{Code: e.code}
		}
	}
	t.s.log.Warn("an administrator's change could not be made", "path", t.r.URL.Path, "error", err)
	return http.StatusServiceUnavailable, &web.Problem{Code: web.Unavailable}
}

// refuse ends a turn whose account or level cannot be shown. That there is none reads the
// same as that it is another's (ATTACKS 27).
func (t *turn) refuse(c *console, err error) {
	switch status, _ := t.adminProblem(err); status {
	case http.StatusForbidden, http.StatusNotFound:
		m := web.Message{Code: web.MessageAdminRight, Common: t.ownerCommon(c.Owner, nil)}
		m.Webmail = web.Webmail{URL: t.path(web.PathAdmin), Administration: true}
		t.tell(http.StatusForbidden, m)
	default:
		t.unavailable(nil)
	}
}

// shown is an account that the administrator may look at, with what a page shows of it;
// false: the turn is over.
func (t *turn) shown(c *console, name string) (*account.Account, desk.Overview, bool) {
	ctx := t.r.Context()
	view, err := t.s.desk.Look(ctx, c.actor(t), name)
	if err == nil {
		var a *account.Account
		if a, err = t.s.desk.Store.Find(ctx, view.Name); err == nil && a.ID == view.ID {
			return a, view, true
		}
	}
	if err == nil {
		err = account.ErrUnknown // another account got the name meanwhile
	}
	t.refuse(c, err)
	return nil, view, false
}

// classes are those that have a policy.
func (t *turn) classes() []string {
	list, err := t.s.policies().List(t.r.Context())
	if err != nil {
		return nil // only suggestions
	}
	var names []string
	for _, l := range list {
		if l.Level.Kind == policy.LevelClass {
			names = append(names, l.Level.Name)
		}
	}
	return names
}

// administers reports whether to show the way to these pages. Who cannot be looked up is
// shown none.
func (t *turn) administers(o *login.Owner) bool {
	may, err := t.s.roles.Of(t.r.Context(), o.Account)
	return err == nil && may.Role >= admin.HelpDesk
}
