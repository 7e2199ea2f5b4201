package main

import (
	"errors"
	"net/http"
	"slices"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/web"
)

// enrolling is who adds a factor: a visitor whom webmail sent to enrol, or the owner
// of the security pages. Both see the same pages.
type enrolling struct {
	*login.Enrolee
	visit *login.Visit // nil: an owner
	owner *login.Owner // nil: a visitor
	more  bool         // the account has a factor already
}

var enrolPages = map[string]page{
	web.PathEnrol:        {get: (*turn).enrolGet, post: (*turn).enrolChosen},
	web.PathEnrolToken:   {post: (*turn).enrolToken},
	web.PathEnrolTOTP:    {post: func(t *turn) { t.enrolAnswer(web.TOTP) }},
	web.PathEnrolPasskey: {post: func(t *turn) { t.enrolAnswer(web.Passkey) }},
	web.PathEnrolPlugin:  {post: (*turn).enrolPluginPost},
	web.PathEnrolSaved:   {post: (*turn).enrolSaved},
	web.PathEnrolLater:   {post: (*turn).enrolLater},
	web.PathEnrolDone:    {post: (*turn).enrolDone},
}

// enrolling says who adds a factor; nil means that the turn is over.
func (t *turn) enrolling() *enrolling {
	if t.token.page == "" {
		o := t.confirmedOwner(t.path(web.PathSecurity))
		if o == nil {
			return nil
		}
		return &enrolling{Enrolee: o.Enrolee(t.s.now()), owner: o, more: o.Account.State.Enrolled}
	}
	v := t.visit()
	switch {
	case v == nil:
		return nil
	case !v.Enrolling():
		t.over(v, login.BadTransaction)
		return nil
	}
	return &enrolling{Enrolee: v.Enrolee(t.token.token), visit: v}
}

// finishing is enrolling for the last step, which may come twice: then the account is
// not any more as it was when the login began, and the factor is there already.
func (t *turn) finishing() *enrolling {
	if t.token.page == "" {
		o := t.owner()
		if o == nil {
			return nil
		}
		return &enrolling{Enrolee: o.Finishing(), owner: o, more: o.Account.State.Enrolled}
	}
	v, reason, err := t.s.signIn.Open(t.r.Context(), t.token.page, t.browser)
	switch {
	case err != nil:
		t.unavailable(err)
	case v == nil || !v.Enrolling() || reason != "" && reason != login.AccountChanged:
		t.over(v, reason)
	default:
		return &enrolling{Enrolee: v.Enrolee(t.token.token), visit: v}
	}
	return nil
}

// newToApps reports whether mail programs need app passwords from now on.
func (en *enrolling) newToApps() bool {
	return en.Policy.AppPasswords && (en.visit == nil || !en.visit.Renews())
}

func (en *enrolling) account() *account.Account { return en.Enrolee.Account }

// common is what the pages of an enrolment have.
func (t *turn) enrolCommon(en *enrolling, p *web.Problem) web.Common {
	if en.visit != nil {
		return t.visitCommon(en.visit, web.PathEnrol, p)
	}
	c := t.ownerCommon(en.owner, p)
	c.Self = t.path(web.PathSecurity)
	return c
}

// duty says that policy wants a factor, and until when it can be put off.
func (t *turn) duty(en *enrolling) web.Duty {
	if en.visit == nil {
		return web.Duty{}
	}
	a := en.account()
	d := web.Duty{Mandatory: true, Anew: a.TwoFactor(), Code: en.visit.Renews()}
	d.Said = len(t.s.signIn.EnrolMethods(en.Enrolee)) > 1
	d.LastCode = d.Code && desk.BackupLeft(a) == 0
	if now := t.s.now(); en.visit.MayPostpone() {
		d.Until = en.visit.Deadline(now)
		d.DaysLeft = daysUntil(d.Until, now)
	}
	return d
}

// cancel is where Cancel leads; a visitor has no such button.
func (t *turn) cancel(en *enrolling) string {
	if en.visit != nil {
		return ""
	}
	return t.path(web.PathSecurity)
}

func (t *turn) enrolGet() {
	v := t.visit()
	if v == nil {
		return
	}
	if !v.Enrolling() {
		t.redirect(t.path(web.PathSignIn, web.FieldToken, t.token.page))
		return
	}
	t.choose(&enrolling{Enrolee: v.Enrolee(""), visit: v}, http.StatusOK, nil)
}

// choose shows what can be added, after the token where one is needed; one method
// alone needs no choice.
func (t *turn) choose(en *enrolling, status int, p *web.Problem) {
	if en.visit != nil && en.visit.NeedsEnrolToken() && t.tokenProblem(en) != nil {
		t.askToken(en, status, p)
		return
	}
	names := t.s.signIn.EnrolMethods(en.Enrolee)
	switch len(names) {
	case 0:
		t.notAllowed(en)
	case 1:
		t.prepare(en, names[0], status, p)
	default:
		page := &web.EnrolChoose{Common: t.enrolCommon(en, p), Duty: t.duty(en), More: en.more, Cancel: t.cancel(en)}
		for _, name := range names {
			page.Methods = append(page.Methods, web.Method(name))
		}
		t.show(status, page)
	}
}

// notAllowed: policy demands a factor and allows none, or has changed.
func (t *turn) notAllowed(en *enrolling) {
	if en.visit != nil {
		t.over(en.visit, login.FactorForbidden)
		return
	}
	t.secure(en.owner, http.StatusForbidden, &web.Problem{Code: web.NotAllowed})
}

func (t *turn) enrolChosen() {
	en := t.enrolling()
	if en == nil {
		return
	}
	if method := t.field(web.FieldMethod); slices.Contains(t.s.signIn.EnrolMethods(en.Enrolee), method) {
		t.prepare(en, method, http.StatusOK, nil)
		return
	}
	t.choose(en, http.StatusOK, nil)
}

// prepare begins the enrolment of a method.
func (t *turn) prepare(en *enrolling, method string, status int, p *web.Problem) {
	prompt, err := t.s.signIn.EnrolPrompt(t.r.Context(), en.Enrolee, method)
	if err != nil && len(t.s.signIn.EnrolMethods(en.Enrolee)) > 1 {
		t.s.log.Warn("a method cannot be added", "method", method, "error", err)
		t.choose(en, http.StatusServiceUnavailable, &web.Problem{Code: web.MethodDown})
		return
	}
	if err != nil {
		t.unavailable(err)
		return
	}
	t.token.factor = prompt.State
	f := enrolForm{method: method, options: string(prompt.Data), status: status, problem: p}
	if web.Method(method).Plugin() {
		f.name = t.s.pages.Label(t.r, web.Method(method))
	}
	t.enrolPage(en, f)
}

// enrolForm is the page of a method that is being added.
type enrolForm struct {
	method, options, name string
	status                int
	problem               *web.Problem
}

func (t *turn) enrolPage(en *enrolling, f enrolForm) {
	apps := en.newToApps()
	if web.Method(f.method).Plugin() {
		t.enrolPluginPage(en, f)
		return
	}
	if web.Method(f.method) == web.Passkey {
		t.show(f.status, &web.EnrolPasskey{Common: t.enrolCommon(en, f.problem), Duty: t.duty(en), Options: f.options,
			Name: f.name, More: en.more, Cancel: t.cancel(en), Apps: apps})
		return
	}
	state, err := t.s.signIn.EnrolState(en.Enrolee, f.method, t.token.factor)
	if err != nil {
		t.choose(en, http.StatusConflict, &web.Problem{Code: web.FormOld})
		return
	}
	e, err := factor.DecodeTOTPEnrolment(state)
	if err != nil {
		t.unavailable(err)
		return
	}
	a := en.account()
	t.show(f.status, &web.EnrolTOTP{Common: t.enrolCommon(en, f.problem), Duty: t.duty(en),
		URI: account.SecretString(e.TOTP.URI(a.Domain, a.Name)), Key: account.SecretString(e.TOTP.SecretText()),
		Digits: e.TOTP.Digits, Name: f.name, More: en.more, Cancel: t.cancel(en), Apps: apps})
}

// nameProblem says what is wrong with a thing's name before anything else is checked.
func nameProblem(name string) *web.Problem {
	for _, c := range nameErrors {
		if errors.Is(desk.CheckName(name), c.err) {
			return &web.Problem{Code: c.code}
		}
	}
	return nil
}

// enrolAnswer checks the first answer of a new factor, and shows the backup codes
// that come with the first one.
func (t *turn) enrolAnswer(method web.Method) {
	en := t.enrolling()
	if en == nil {
		return
	}
	f := enrolForm{method: string(method), name: t.field(web.FieldName), status: http.StatusUnprocessableEntity}
	if f.problem = t.fault(); f.problem == nil {
		f.problem = nameProblem(f.name)
	}
	if f.problem == nil {
		done, a := t.s.signIn.CheckEnrol(t.r.Context(), en.Enrolee,
			login.Reply{Method: f.method, State: t.token.factor, Input: t.input()}, f.name)
		if a.Outcome == account.Granted {
			t.proved(en, done)
			return
		}
		if t.nextQuestion(en, f, a) {
			return
		}
		f.status, f.problem = t.problem(a, f.method)
	}
	switch {
	case f.problem == nil:
		t.notAllowed(en)
	case f.problem.Code == web.FormOld:
		t.choose(en, http.StatusConflict, f.problem)
	case method == web.Passkey: // its challenge was used
		t.prepare(en, f.method, f.status, f.problem)
	default:
		t.enrolPage(en, f)
	}
}

// proved goes on with a factor that was proved and is not stored yet.
func (t *turn) proved(en *enrolling, done login.Enrolment) {
	t.token.factor, t.token.enrolled = "", done.Token
	if len(done.Codes) == 0 {
		t.finish(en)
		return
	}
	t.showCodes(en, done.Codes, nil)
}
