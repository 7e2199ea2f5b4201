package main

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/web"
)

// Cookies of the security pages. Both are Lax: webmail may be on a host of its own,
// and its link leads here.
var (
	settingsCookie = web.Cookie{Name: "postern_settings", SameSite: http.SameSiteLaxMode}
	noticeCookie   = web.Cookie{Name: "postern_notice", Life: time.Minute, SameSite: http.SameSiteLaxMode}
)

// pathSettings is where a one-time link leads (login.SettingsLink).
const pathSettings = "settings"

// redeem uses a one-time link up, and shows nothing but where to go on. What a
// browser fetches ahead of its user is not answered, so the link is still good then.
func (t *turn) redeem() {
	if strings.Contains(t.r.Header.Get("Sec-Purpose"), "prefetch") || t.r.Method == http.MethodHead {
		t.w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	cookie, reason, err := t.s.signIn.Redeem(t.r.Context(), t.token.page, t.browser)
	switch {
	case err != nil:
		t.unavailable(err)
	case reason == login.BadLink:
		t.tell(http.StatusGone, web.Message{Code: web.MessageUsed, Common: web.Common{Webmail: t.s.home()}})
	case reason != "":
		t.signedOut(http.StatusGone)
	default:
		t.keep(cookie)
		t.redirect(t.path(web.PathSecurity))
	}
}

// keep gives the browser the settings' cookie.
func (t *turn) keep(cookie string) {
	if err := settingsCookie.Set(t.w, cookie); err != nil {
		t.s.log.Error("the settings' cookie was not set", "error", err)
	}
}

func (t *turn) signedOut(status int) {
	settingsCookie.Clear(t.w)
	t.tell(status, web.Message{Code: web.MessageSignedOut, Common: web.Common{Webmail: t.s.home()}})
}

// owner is who is on the security pages; nil means that the turn is over.
func (t *turn) owner() *login.Owner {
	cookie, ok := settingsCookie.Get(t.r)
	if !ok {
		t.signedOut(http.StatusForbidden)
		return nil
	}
	o, reason, err := t.s.signIn.Owner(t.r.Context(), cookie, t.browser)
	switch {
	case err != nil:
		t.unavailable(err)
	case reason != "":
		t.signedOut(http.StatusForbidden)
	default:
		return o
	}
	return nil
}

// confirmedOwner is the owner who has given a factor within the last minutes. Who has
// not is asked for one first, and then comes back to the path next.
func (t *turn) confirmedOwner(next string) *login.Owner {
	o := t.owner()
	if o == nil || o.Confirmed(t.s.now()) {
		return o
	}
	t.redirect(t.path(web.PathConfirm, web.FieldNext, next))
	return nil
}

// ownerCommon is what the security pages have.
func (t *turn) ownerCommon(o *login.Owner, p *web.Problem) web.Common {
	c := web.Common{User: o.Account.Name, Domain: o.Account.Domain, Problem: p,
		Webmail: web.Webmail{Name: t.s.title(o.Client()), URL: o.ReturnTo(), Administration: o.Client() == adminClient}}
	if u, err := url.Parse(o.ReturnTo()); err == nil {
		c.Origins = []string{origin(u)}
	}
	return t.common(c)
}

// next is a path of the security or administration pages to go on to, made of nothing but the path and
// query of what was asked for. Whatever is none of theirs leads to their first one.
func (t *turn) next(text string) string {
	u, err := url.Parse(text)
	first := t.path(web.PathSecurity)
	if err != nil || !plainPath(u) || strings.ContainsFunc(text, notPlain) ||
		u.Path != first && !strings.HasPrefix(u.Path, first+"/") && !strings.HasPrefix(u.Path, t.path(web.PathAdmin)) {
		return first
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// cancelled is where an owner goes who does not confirm what would have led to next: of an
// administrator's change, back to the page that it was chosen on, unless that would ask
// for a factor, too.
func (t *turn) cancelled(o *login.Owner, next string) string {
	u, err := url.Parse(next)
	if err != nil || !o.Proved() || !strings.HasPrefix(u.Path, t.path(web.PathAdmin)) {
		return t.path(web.PathSecurity)
	}
	q := u.Query()
	switch target := q.Get(web.FieldTarget); u.Path {
	case t.path(web.PathAdminPolicy):
		return next
	case t.path(web.PathAdminChange), t.path(web.PathAdminTOTP):
		if target != "" {
			return t.path(web.PathAdminAccount, web.FieldTarget, target)
		}
	case t.path(web.PathAdminBulk):
		if domain := q.Get(web.FieldDomain); domain != "" {
			return t.path(web.PathAdmin, web.FieldDomain, domain)
		}
	}
	return t.path(web.PathAdmin)
}

// confirmGet asks the owner for a factor again, or for the password where there is none.
func (t *turn) confirmGet() {
	if o := t.owner(); o != nil {
		t.confirm(o, asked{}, t.next(t.r.URL.Query().Get(web.FieldNext)))
	}
}

// confirmMethod shows the page again for another method.
func (t *turn) confirmMethod() {
	if o := t.owner(); o != nil {
		t.confirm(o, asked{method: t.field(web.FieldMethod), again: t.field(web.FieldAgain) == web.Yes}, t.next(t.field(web.FieldNext)))
	}
}

func (t *turn) confirm(o *login.Owner, q asked, next string) {
	if q.status == 0 {
		q.status = http.StatusOK
	}
	t.token = formToken{factor: t.token.factor}
	page := &web.Confirm{Next: next, Cancel: t.cancelled(o, next)}
	if usable, disabled := t.s.signIn.ConfirmMethods(o); o.Account.TwoFactor() {
		var ok bool
		q.method = cmp.Or(q.method, t.lastMethod(o.Account.ID, usable))
		page.Challenge, ok = t.challenge(usable, disabled, &q, prompter{
			begin:  func(method string) (login.Prompt, error) { return t.s.signIn.ConfirmPrompt(t.r.Context(), o, method) },
			again:  func(method string) (login.Prompt, error) { return t.s.signIn.ConfirmAgain(t.r.Context(), o, method) },
			resume: func(method, state string) (login.Prompt, error) { return t.s.signIn.ConfirmResume(o, method, state) },
			wait:   func(m string) string { return t.path(web.PathConfirmWait, t.waits(m, &q, web.FieldNext, next)...) },
		})
		if !ok {
			t.tell(http.StatusForbidden, web.Message{Code: web.MessageDenied})
			return
		}
		page.Digits = digits(o.Account)
	} else {
		page.Challenge = web.Challenge{Method: web.Password, Methods: []web.Choice{{Method: web.Password}}}
	}
	page.Common = t.ownerCommon(o, q.problem)
	page.Self = t.path(web.PathConfirm, web.FieldNext, next)
	t.show(q.status, page)
}

// confirmPost checks the answer, and goes on to what was wanted.
func (t *turn) confirmPost() {
	o := t.owner()
	if o == nil {
		return
	}
	q := asked{method: t.field(web.FieldMethod), problem: t.fault(), status: http.StatusUnprocessableEntity, answered: true}
	next := t.next(t.field(web.FieldNext))
	if q.problem != nil {
		t.confirm(o, q, next)
		return
	}
	t.answerConfirm(o, q, next)
}

func (t *turn) answerConfirm(o *login.Owner, q asked, next string) {
	var a login.Answer
	if o.Account.TwoFactor() {
		a = t.s.signIn.Confirm(t.r.Context(), o, login.Reply{Method: q.method, State: t.token.factor, Input: t.input()})
	} else {
		a = t.s.signIn.ConfirmPassword(t.r.Context(), o, account.SecretString(t.field(web.FieldPassword)))
	}
	if a.Outcome == account.Granted {
		t.keep(a.Redirect)
		t.redirect(next)
		return
	}
	q.status, q.problem = t.problem(a, q.method)
	t.pending(a, &q)
	if q.problem == nil && a.Reason != login.FactorPending {
		t.signedOut(http.StatusForbidden)
		return
	}
	t.confirm(o, q, next)
}

// done goes on to a page that tells what was done, once.
func (t *turn) done(page string, n web.Notice) {
	t.notify(n)
	t.redirect(t.path(page))
}

// notify keeps what was done for the next page.
func (t *turn) notify(n web.Notice) {
	value, err := t.s.Ring.Issue(account.RoleFactor, purposeNotice, t.s.now().Add(noticeCookie.Life), n)
	if err == nil {
		err = noticeCookie.Set(t.w, value)
	}
	if err != nil {
		t.s.log.Error("a notice is lost", "error", err)
	}
}

const purposeNotice = "notice of a page"

// notice is what was done on the page before; nil: nothing.
func (t *turn) notice() *web.Notice {
	value, ok := noticeCookie.Get(t.r)
	if !ok {
		return nil
	}
	noticeCookie.Clear(t.w)
	var n web.Notice
	if t.s.Ring.Parse(account.RoleFactor, purposeNotice, value, t.s.now(), &n) != nil {
		return nil
	}
	return &n
}

// leaveSettings ends the settings session, and goes back to webmail.
func (t *turn) leaveSettings() {
	cookie, ok := settingsCookie.Get(t.r)
	settingsCookie.Clear(t.w)
	if ok {
		if o, reason, err := t.s.signIn.Owner(t.r.Context(), cookie, t.browser); err == nil && reason == "" {
			t.redirect(o.ReturnTo())
			return
		}
	}
	t.signedOut(http.StatusOK)
}
