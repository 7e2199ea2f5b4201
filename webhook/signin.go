package main

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/web"
)

var signInPages = map[string]page{
	web.PathSignIn:       {get: (*turn).signInGet, post: (*turn).signInPost},
	web.PathSignInMethod: {post: (*turn).signInMethod},
	web.PathSignInWait:   {get: (*turn).signInWait},
	web.PathPasskey:      {get: (*turn).signInGet, post: (*turn).signInPost},
}

// deviceCookie is that of a browser which the visit's account trusts. It is Lax:
// webmail may be on a host of its own, and sends the browser here.
func deviceCookie(v *login.Visit, life time.Duration) web.Cookie {
	return web.Cookie{Name: login.DeviceCookieName(v.Account.ID), Life: life, SameSite: http.SameSiteLaxMode}
}

// signInGet shows the page that asks for a factor, unless the browser is trusted.
func (t *turn) signInGet() {
	v := t.visit()
	switch {
	case v == nil:
		return
	case v.Enrolling():
		t.redirect(t.path(web.PathEnrol, web.FieldToken, t.token.page))
		return
	case !v.Passwordless() && t.s.signIn.EnrolPage(v) != "":
		t.redirect(t.path(web.PathEnrol, web.FieldToken, t.s.signIn.EnrolPage(v)))
		return
	case !v.Passwordless():
		if cookie, ok := deviceCookie(v, 0).Get(t.r); ok {
			if a := t.s.signIn.Trusted(t.r.Context(), v, cookie); a.Outcome == account.Granted {
				t.leave(v, a)
				return
			}
		}
	}
	t.ask(v, asked{})
}

// signInMethod shows the page again for another method.
func (t *turn) signInMethod() {
	if v := t.visit(); v != nil {
		t.ask(v, asked{method: t.field(web.FieldMethod), again: t.field(web.FieldAgain) == web.Yes})
	}
}

// signInPost checks the answer.
func (t *turn) signInPost() {
	if p := t.fault(); p != nil {
		if v := t.visit(); v != nil {
			t.ask(v, asked{method: t.field(web.FieldMethod), status: http.StatusUnprocessableEntity, problem: p})
		}
		return
	}
	t.answerSignIn(asked{method: t.field(web.FieldMethod), trust: t.field(web.FieldTrust) == web.Yes, answered: true})
}

func (t *turn) answerSignIn(q asked) {
	v, reason := t.s.signIn.OpenToAnswer(t.token.page, t.browser)
	if reason != "" {
		t.over(v, reason)
		return
	}
	if v.Passwordless() {
		q.method = string(web.Passkey)
	}
	a := t.s.signIn.Answer(t.r.Context(), v, login.Reply{Method: q.method, State: t.token.factor, Input: t.input(), Trust: q.trust})
	if a.Outcome == account.Granted {
		t.remember(v.Account.ID, q.method)
		t.leave(v, a)
		return
	}
	q.status, q.problem = t.problem(a, q.method)
	t.pending(a, &q)
	switch {
	case q.next != nil || a.Reason == login.FactorPending:
		t.ask(v, q)
	case a.Outcome == account.Unavailable && v.Account == nil && !v.Passwordless():
		t.unavailable(nil) // it could not even be read
	case q.problem == nil || v.Account == nil && !v.Passwordless():
		t.over(v, a.Reason)
	default:
		t.ask(v, q)
	}
}

// input are the fields that a factor may look at.
func (t *turn) input() map[string]string {
	input := make(map[string]string)
	for _, name := range []string{web.FieldCode, web.FieldResponse} {
		if t.r.PostForm.Has(name) {
			input[name] = t.field(name)
		}
	}
	return input
}

// fault is what the browser's WebAuthn interface failed with, if that is worth a word:
// who cancelled knows.
func (t *turn) fault() *web.Problem {
	if t.field(web.FieldFault) != "SecurityError" {
		return nil
	}
	t.s.log.Error("a browser says that the relying party does not fit the pages' address: passkeys do not work there",
		"public_url", t.s.public.String())
	return &web.Problem{Code: web.PasskeySetup}
}

// asked is what a page asks for, and why again.
type asked struct {
	method  string // empty: the one last used here, else the best
	trust   bool
	status  int // 0: 200
	problem *web.Problem

	// Of plug-ins: another message is wanted; the page was answered, so that its question
	// stays; one more question.
	again, answered bool
	next            *login.Prompt
}

// ask shows the page that asks for a factor.
func (t *turn) ask(v *login.Visit, q asked) {
	if q.status == 0 {
		q.status = http.StatusOK
	}
	if v.Passwordless() { // whose it is, nobody knows yet
		t.askPasskey(v, q)
		return
	}
	usable, disabled := t.s.signIn.Methods(v)
	q.method = cmp.Or(q.method, t.lastMethod(v.Account.ID, usable))
	c, ok := t.challenge(usable, disabled, &q, prompter{
		begin:  func(method string) (login.Prompt, error) { return t.s.signIn.Prompt(t.r.Context(), v, method) },
		again:  func(method string) (login.Prompt, error) { return t.s.signIn.Again(t.r.Context(), v, method) },
		resume: func(method, state string) (login.Prompt, error) { return t.s.signIn.Resume(v, method, state) },
		wait: func(m string) string {
			return t.path(web.PathSignInWait, t.waits(m, &q, web.FieldToken, t.token.page)...)
		},
	})
	if !ok {
		t.over(v, login.FactorForbidden)
		return
	}
	c.Digits = digits(v.Account)
	t.show(q.status, &web.SignIn{Common: t.visitCommon(v, web.PathSignIn, q.problem), Challenge: c,
		TrustDays: v.Policy.TrustedDeviceDays, Trust: q.trust})
}

func (t *turn) askPasskey(v *login.Visit, q asked) {
	prompt, err := t.s.signIn.Prompt(t.r.Context(), v, string(web.Passkey))
	if err != nil {
		t.unavailable(err)
		return
	}
	t.token.factor = prompt.State
	t.show(q.status, &web.SignInPasskey{Common: t.visitCommon(v, web.PathPasskey, q.problem), Options: string(prompt.Data)})
}

// challenge prepares the form of the method that is asked for, else of the best one;
// false means that the account has none to offer.
func (t *turn) challenge(usable, disabled []string, q *asked, from prompter) (web.Challenge, bool) {
	var c web.Challenge
	for _, m := range usable {
		c.Methods = append(c.Methods, web.Choice{Method: web.Method(m)})
	}
	switch {
	case slices.Contains(usable, q.method):
	case slices.Contains(disabled, q.method), len(usable) == 0 && len(disabled) > 0:
		if q.method = pick(disabled, q.method); q.problem == nil || q.problem.Code != web.MethodDisabled {
			q.problem = nil
		}
		c.Method, c.Disabled = web.Method(q.method), true
		return c, true
	case len(usable) == 0:
		return c, false
	default:
		q.method = usable[0]
	}
	p, err := t.prompt(q, from)
	if login.TooOld(err) {
		c.Method, c.Prompt = web.Method(q.method), t.questionOver(q)
		return c, true
	}
	if err != nil {
		t.s.log.Warn("a method cannot be offered", "method", q.method, "error", err)
		q.status, q.problem = http.StatusServiceUnavailable, &web.Problem{Code: web.MethodDown}
		return c, true
	}
	t.token.factor = p.State
	c.Method = web.Method(q.method)
	switch {
	case c.Method == web.Passkey:
		c.Options = string(p.Data)
	case c.Method.Plugin():
		if c.Prompt, err = t.pluginPrompt(p.Data, q, from.wait(q.method)); err != nil {
			t.s.log.Error("a plug-in's question cannot be shown", "method", q.method, "error", err)
		}
	}
	return c, true
}

func pick(list []string, want string) string {
	if slices.Contains(list, want) {
		return want
	}
	return list[0]
}

// digits is how long the codes of the account's authenticators are, if all agree; 0:
// the usual.
func digits(a *account.Account) int {
	records, err := a.Records(account.KindTOTP)
	if err != nil {
		return 0
	}
	n := 0
	for i := range records {
		totp, err := factor.DecodeTOTP(records[i].Body)
		if err != nil || n != 0 && n != totp.Digits {
			return 0
		}
		n = totp.Digits
	}
	return n
}
