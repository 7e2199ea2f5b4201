package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/web"
)

// Each answer of package login as a page says it, row by row. What could not be
// checked is never wrong.
func TestAnswersOnPages(t *testing.T) {
	form := func(p factor.FormProblem, backup bool) error { return &factor.FormError{Problem: p, Backup: backup} }
	denied, unavailable := account.Denied, account.Unavailable
	for name, c := range map[string]struct {
		answer login.Answer
		method web.Method
		status int
		code   web.ProblemCode // empty: the login is over
	}{
		"directory down":     {login.Answer{Outcome: unavailable, Reason: login.DirectoryDown}, web.TOTP, 503, web.Unavailable},
		"busy":               {login.Answer{Outcome: unavailable, Reason: login.Busy}, web.TOTP, 503, web.Unavailable},
		"factor down":        {login.Answer{Outcome: unavailable, Reason: login.FactorDown}, web.TOTP, 503, web.MethodDown},
		"wrong, unavailable": {login.Answer{Outcome: unavailable, Reason: login.WrongCode}, web.TOTP, 503, web.Unavailable},
		"back-off":           {login.Answer{Outcome: denied, Reason: login.Backoff, Wait: time.Minute}, web.TOTP, 429, web.TooManyTries},
		"throttled":          {login.Answer{Outcome: denied, Reason: login.Throttled}, web.TOTP, 429, web.TooManyTries},
		"empty":              {login.Answer{Outcome: denied, Reason: login.BadForm, Form: form(factor.FormEmpty, false)}, web.TOTP, 422, web.CodeEmpty},
		"short":              {login.Answer{Outcome: denied, Reason: login.BadForm, Form: form(factor.FormShort, false)}, web.TOTP, 422, web.CodeShort},
		"long":               {login.Answer{Outcome: denied, Reason: login.BadForm, Form: form(factor.FormLong, false)}, web.TOTP, 422, web.CodeLong},
		"letters":            {login.Answer{Outcome: denied, Reason: login.BadForm, Form: form(factor.FormCharacters, false)}, web.TOTP, 422, web.CodeNotDigits},
		"empty backup":       {login.Answer{Outcome: denied, Reason: login.BadForm, Form: form(factor.FormEmpty, true)}, web.Backup, 422, web.CodeEmpty},
		"no backup code":     {login.Answer{Outcome: denied, Reason: login.BadForm, Form: form(factor.FormShort, true)}, web.Backup, 422, web.BackupForm},
		"no passkey":         {login.Answer{Outcome: denied, Reason: login.BadForm, Form: errors.New("x")}, web.Passkey, 422, web.PasskeyRefused},
		"another form":       {login.Answer{Outcome: denied, Reason: login.BadForm, Form: errors.New("x")}, "plugin:x", 422, web.CodeWrong},
		"wrong":              {login.Answer{Outcome: denied, Reason: login.WrongCode}, web.TOTP, 422, web.CodeWrong},
		"wrong backup":       {login.Answer{Outcome: denied, Reason: login.WrongCode}, web.Backup, 422, web.BackupWrong},
		"wrong passkey":      {login.Answer{Outcome: denied, Reason: login.WrongCode}, web.Passkey, 422, web.PasskeyRefused},
		"used":               {login.Answer{Outcome: denied, Reason: login.SpentCode}, web.TOTP, 422, web.CodeUsed},
		"used backup":        {login.Answer{Outcome: denied, Reason: login.SpentCode}, web.Backup, 422, web.BackupUsed},
		"used passkey":       {login.Answer{Outcome: denied, Reason: login.SpentCode}, web.Passkey, 422, web.PasskeyExpired},
		"disabled":           {login.Answer{Outcome: denied, Reason: login.FactorDisabled}, web.TOTP, 422, web.MethodDisabled},
		"forbidden":          {login.Answer{Outcome: denied, Reason: login.FactorForbidden}, web.TOTP, 422, web.NotAllowed},
		"removed":            {login.Answer{Outcome: denied, Reason: login.FactorMissing}, web.TOTP, 422, web.NotAllowed},
		"pending":            {login.Answer{Outcome: denied, Reason: login.FactorPending}, "plugin:x", 422, web.Pending},
		"cloned":             {login.Answer{Outcome: denied, Reason: login.ClonedKey}, web.Passkey, 422, web.PasskeyCopied},
		"old form":           {login.Answer{Outcome: denied, Reason: login.TransactionOver}, web.TOTP, 422, web.FormOld},
		"password":           {login.Answer{Outcome: denied, Reason: login.WrongPassword}, web.Password, 422, web.PasswordWrong},
		"account changed":    {login.Answer{Outcome: denied, Reason: login.AccountChanged}, web.TOTP, 0, ""},
		"account disabled":   {login.Answer{Outcome: denied, Reason: login.AccountDisabled}, web.TOTP, 0, ""},
		"damaged":            {login.Answer{Outcome: denied, Reason: login.Damaged}, web.TOTP, 0, ""},
		"out of order":       {login.Answer{Outcome: denied, Reason: login.BadTransaction}, web.TOTP, 0, ""},
	} {
		w := httptest.NewRecorder()
		turn := &turn{s: &server{now: time.Now}, w: w}
		status, p := turn.problem(c.answer, string(c.method))
		if c.code == "" {
			if p != nil {
				t.Errorf("%s: can be tried again: %+v", name, p)
			}
			continue
		}
		if p == nil || status != c.status || p.Code != c.code {
			t.Errorf("%s: %d %+v, want %d %s", name, status, p, c.status, c.code)
		}
		if (status == http.StatusTooManyRequests) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", name, w.Header().Get("Retry-After"))
		}
	}
}

// Each result has its status, and what is not listed here is none of the API's.
func TestStatusesOfResults(t *testing.T) {
	want := map[string]int{"granted": 200, "denied": 200, "second_factor": 200, "enroll": 200, "ended": 200, "": 200, "unavailable": 503}
	for result, status := range want {
		if statuses[result] != status {
			t.Errorf("%q: %d", result, statuses[result])
		}
	}
	if len(statuses) != len(want) {
		t.Errorf("%v", statuses)
	}
}
