package main

import (
	"errors"
	"net/http"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/web"
)

const (
	// purposeCodes seals backup codes that are on a page, so that it can be shown again.
	purposeCodes = "backup codes on a page"
	codesLife    = 10 * time.Minute
)

// showCodes shows the backup codes that are stored with the factor.
func (t *turn) showCodes(en *enrolling, codes []account.Secret, p *web.Problem) {
	var plain []string
	for _, c := range codes {
		plain = append(plain, string(c.Reveal()))
	}
	var err error
	if t.token.codes, err = t.s.Ring.Issue(account.RoleFactor, purposeCodes, t.s.now().Add(codesLife), plain); err != nil {
		t.unavailable(err)
		return
	}
	status := http.StatusOK
	if p != nil {
		status = http.StatusUnprocessableEntity
	}
	t.show(status, &web.BackupCodes{Common: t.enrolCommon(en, p), Duty: t.duty(en), Codes: codes, Steps: !en.more && (en.visit == nil || !en.visit.Renews())})
}

// codesAgain are the codes that the page showed.
func (t *turn) codesAgain() []account.Secret {
	var plain []string
	if t.s.Ring.Parse(account.RoleFactor, purposeCodes, t.token.codes, t.s.now(), &plain) != nil {
		return nil
	}
	var codes []account.Secret
	for _, c := range plain {
		codes = append(codes, account.SecretString(c))
	}
	return codes
}

// enrolSaved stores the factor, once its owner says that the codes are saved.
func (t *turn) enrolSaved() {
	if t.token.enrolled == "" { // new codes of the security pages: they are stored already
		t.redirect(t.path(web.PathSecurity))
		return
	}
	en := t.finishing()
	if en == nil {
		return
	}
	if t.field(web.FieldSaved) != web.Yes {
		if codes := t.codesAgain(); codes != nil {
			t.showCodes(en, codes, &web.Problem{Code: web.SavedMissing})
			return
		}
	}
	t.finish(en)
}

// finish stores the factor and shows what comes next.
func (t *turn) finish(en *enrolling) {
	added, err := t.s.signIn.FinishEnrol(t.r.Context(), en.Enrolee, t.token.enrolled)
	if err != nil {
		t.notFinished(en, err)
		return
	}
	t.token.codes = ""
	if en.visit != nil {
		t.show(http.StatusOK, &web.EnrolDone{Common: t.enrolCommon(en, nil), Apps: en.newToApps(),
			Known: desk.KeepsKnown(en.Account, en.Policy, t.s.now())})
		return
	}
	n := web.Notice{Code: web.DoneMethodAdded, Name: added.Name}
	if added.First {
		n.Code = web.DoneTwoFactorOn
	}
	t.done(web.PathSecurity, n)
}

// notFinished says why nothing was stored.
func (t *turn) notFinished(en *enrolling, err error) {
	t.token.enrolled, t.token.codes = "", ""
	switch {
	case errors.Is(err, factor.ErrEnrolToken), errors.Is(err, factor.ErrForm):
		t.token.token = ""
		t.choose(en, http.StatusUnprocessableEntity, &web.Problem{Code: web.EnrolTokenWrong})
	case errors.Is(err, desk.ErrChanged) && en.visit != nil:
		t.over(en.visit, login.AccountChanged)
	case login.Stale(err), errors.Is(err, desk.ErrChanged), errors.Is(err, desk.ErrInvalid):
		t.choose(en, http.StatusConflict, &web.Problem{Code: web.FormOld})
	case errors.Is(err, desk.ErrForbidden), errors.Is(err, desk.ErrMaximum):
		t.notAllowed(en)
	default:
		t.unavailable(err)
	}
}

// enrolDone sends the visitor who has just enrolled on to webmail. That it was this
// login which enrolled is what the token proves: a factor that was added otherwise
// would have to be asked for.
func (t *turn) enrolDone() {
	en := t.finishing()
	if en == nil {
		return
	}
	if en.visit == nil {
		t.redirect(t.path(web.PathSecurity))
		return
	}
	if _, err := t.s.signIn.FinishEnrol(t.r.Context(), en.Enrolee, t.token.enrolled); err != nil {
		t.notFinished(en, err)
		return
	}
	a := t.s.signIn.Enrolled(t.r.Context(), en.visit)
	switch a.Outcome {
	case account.Granted:
		t.leave(en.visit, a)
	case account.Denied:
		t.over(en.visit, a.Reason)
	default:
		t.unavailable(nil)
	}
}

// enrolLater puts enrolment off, while the grace lasts.
func (t *turn) enrolLater() {
	v := t.visit()
	if v == nil {
		return
	}
	if a := t.s.signIn.Postpone(v); a.Outcome == account.Granted {
		t.leave(v, a)
		return
	}
	t.over(v, login.BadTransaction)
}

// askToken asks for the token that an administrator handed out.
func (t *turn) askToken(en *enrolling, status int, p *web.Problem) {
	t.token.token = ""
	t.show(status, &web.EnrolToken{Common: t.enrolCommon(en, p), Duty: t.duty(en)})
}

// tokenProblem compares the token that the form carries with the account's. It is
// checked once more, and used up, when the factor is stored.
func (t *turn) tokenProblem(en *enrolling) error {
	return factor.CheckEnrolToken(&en.account().State, account.SecretString(t.token.token), t.s.now())
}

// enrolToken takes the token.
func (t *turn) enrolToken() {
	t.token.token = cleanToken(t.field(web.FieldEnrolToken))
	en := t.enrolling()
	if en == nil {
		return
	}
	if en.visit != nil && en.visit.NeedsEnrolToken() && t.tokenProblem(en) != nil {
		t.askToken(en, http.StatusUnprocessableEntity, &web.Problem{Code: web.EnrolTokenWrong})
		return
	}
	t.choose(en, http.StatusOK, nil)
}
