package main

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/web"
)

// problem is why a form is shown again after an answer that was not granted, and the
// status that goes with it; nil: it cannot be tried again. What could not be checked
// is never called wrong.
func (t *turn) problem(a login.Answer, method string) (int, *web.Problem) {
	if a.Outcome == account.Unavailable {
		code := web.Unavailable
		if a.Reason == login.FactorDown {
			code = web.MethodDown
		}
		return http.StatusServiceUnavailable, &web.Problem{Code: code}
	}
	switch a.Reason {
	case login.Backoff, login.Throttled:
		wait := max(a.Wait, time.Second)
		t.w.Header().Set("Retry-After", strconv.Itoa(int(wait.Round(time.Second)/time.Second)))
		return http.StatusTooManyRequests, &web.Problem{Code: web.TooManyTries, Wait: wait}
	case login.BadForm:
		return http.StatusUnprocessableEntity, &web.Problem{Code: formCode(a.Form, web.Method(method))}
	case login.WrongCode:
		return http.StatusUnprocessableEntity, &web.Problem{Code: wrongCode(web.Method(method)), Drift: a.Drift, Server: t.s.now()}
	}
	code, ok := problems[a.Reason]
	if !ok {
		return 0, nil
	}
	if a.Reason == login.SpentCode {
		code = spentCode(web.Method(method))
	}
	return http.StatusUnprocessableEntity, &web.Problem{Code: code}
}

// problems are those that read the same for every method.
var problems = map[login.Reason]web.ProblemCode{
	login.SpentCode:       web.CodeUsed,
	login.FactorDisabled:  web.MethodDisabled,
	login.FactorForbidden: web.NotAllowed,
	login.FactorMissing:   web.NotAllowed,
	login.FactorPending:   web.Pending,
	login.ClonedKey:       web.PasskeyCopied,
	login.TransactionOver: web.FormOld, // of the form; that of the login was seen before
	login.WrongPassword:   web.PasswordWrong,
	login.BindLocked:      web.PasswordWrong,
	login.EmptyPassword:   web.PasswordEmpty,

	login.AppPasswordAtWebmail: web.PasswordWrong,
}

var formCodes = map[factor.FormProblem]web.ProblemCode{
	factor.FormEmpty:      web.CodeEmpty,
	factor.FormShort:      web.CodeShort,
	factor.FormLong:       web.CodeLong,
	factor.FormCharacters: web.CodeNotDigits,
	factor.FormOther:      web.PluginForm,
}

// formCode says what is wrong with something that cannot be a code.
func formCode(err error, m web.Method) web.ProblemCode {
	if m == web.Passkey {
		return web.PasskeyRefused
	}
	if factor.IsExpired(err) {
		return web.CodeExpired
	}
	var f *factor.FormError
	if !errors.As(err, &f) {
		return web.CodeWrong
	}
	if f.Backup && f.Problem != factor.FormEmpty {
		return web.BackupForm
	}
	return formCodes[f.Problem]
}

func wrongCode(m web.Method) web.ProblemCode {
	if m.Plugin() {
		return web.PluginWrong
	}
	switch m {
	case web.Backup:
		return web.BackupWrong
	case web.Passkey:
		return web.PasskeyRefused
	}
	return web.CodeWrong
}

func spentCode(m web.Method) web.ProblemCode {
	switch m {
	case web.Backup:
		return web.BackupUsed
	case web.Passkey:
		return web.PasskeyExpired
	}
	return web.CodeUsed
}
