package main

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/login"
	"postern/internal/policy"
	"postern/internal/web"
)

var securityPages = map[string]page{
	pathSettings:          {get: (*turn).redeem},
	web.PathSecurity:      {get: (*turn).securityGet},
	web.PathConfirm:       {get: (*turn).confirmGet, post: (*turn).confirmPost},
	web.PathConfirmMethod: {post: (*turn).confirmMethod},
	web.PathConfirmWait:   {get: (*turn).confirmWait},
	web.PathAdd:           {get: (*turn).addGet},
	web.PathRename:        {get: (*turn).renameGet, post: (*turn).renamePost},
	web.PathRemove:        {get: (*turn).removeGet, post: (*turn).removePost},
	web.PathPasswordless:  {get: func(t *turn) { t.redirect(t.path(web.PathSecurity)) }, post: (*turn).passwordlessPost},
	web.PathBackupCodes:   {get: ask(web.AskBackupCodes), post: (*turn).backupCodesPost},
	web.PathSessionsEnd:   {get: ask(web.AskSessionsEnd), post: (*turn).sessionsEndPost},
	web.PathDevicesEnd:    {get: ask(web.AskDevicesEnd), post: (*turn).devicesEndPost},
	web.PathDisable:       {get: ask(web.AskDisable), post: (*turn).disablePost},
	web.PathAppPassword:   {get: (*turn).appGet, post: (*turn).appPost},
	web.PathAppRenew:      {get: func(t *turn) { t.redirect(t.path(web.PathSecurity)) }, post: (*turn).appRenewPost},
	web.PathAppsEnd:       {get: ask(web.AskAppsEnd), post: (*turn).appsEndPost},
	web.PathSeen:          {post: (*turn).seenPost},
	web.PathLogout:        {post: (*turn).leaveSettings},
}

func (t *turn) securityGet() {
	if o := t.owner(); o != nil {
		t.secure(o, http.StatusOK, nil)
	}
}

// secure shows the first of the security pages.
func (t *turn) secure(o *login.Owner, status int, p *web.Problem) {
	t.token = formToken{}
	now := t.s.now()
	view := desk.OverviewOf(o.Account, now)
	if view.Unreadable != nil {
		t.s.log.Error("records that cannot be read are left out of the security page", "user", o.Account.Name, "error", view.Unreadable)
	}
	page := &web.Security{Common: t.ownerCommon(o, p), On: o.Account.TwoFactor(), Duty: dutyOf(o, now),
		Recommend:  o.Policy.Recommend && o.Policy.TwoFactor == policy.Optional,
		MayDisable: o.Account.State.Enrolled && desk.MayDisable(o.Policy),
		MayTrust:   o.Policy.TrustedDeviceDays > 0,
		Backup:     backupState(o, &view),
		Devices:    t.devices(o, view.Devices),
		Sessions:   sessions(o, view.Sessions),
		Apps:       apps(o, view.AppPasswords, now),
		Known:      known(view.Known),
		Events:     events(o.Account),
	}
	page.Alerts = t.alerts(o, page.Events)
	page.Notice, page.Self, page.Administrator = t.notice(), t.path(web.PathSecurity), t.administers(o)
	page.Signal = t.signal(o, page.Notice)
	for _, name := range t.s.signIn.EnrolMethods(o.Finishing()) {
		page.MayAdd = append(page.MayAdd, web.Method(name))
	}
	_, disabled := t.s.signIn.ConfirmMethods(o)
	fillFactors(page, o, view.Factors, disabled)
	t.show(status, page)
}

func dutyOf(o *login.Owner, now time.Time) web.Duty {
	if o.Policy.TwoFactor != policy.Mandatory {
		return web.Duty{}
	}
	d := web.Duty{Mandatory: true}
	if end := login.GraceEnds(o.Account, o.Policy, now); end.After(now) {
		d.Until, d.DaysLeft = end, daysUntil(end, now)
	}
	return d
}

// daysUntil rounds up: what ends today has a day left.
func daysUntil(end, now time.Time) int {
	return max(1, int((end.Sub(now)+24*time.Hour-1)/(24*time.Hour)))
}

// change is what a page does to the account; the notice tells it.
type change func(*login.Owner) (web.Notice, error)

// changing is the owner who may change something now: confirmed a moment ago. With a
// POST of who is not, the page asks again after the confirmation.
func (t *turn) changing() *login.Owner {
	again := t.r.URL.RequestURI()
	if t.r.Method == http.MethodPost {
		q := []string{}
		for _, name := range []string{web.FieldKind, web.FieldID} {
			if v := t.field(name); v != "" {
				q = append(q, name, v)
			}
		}
		again = withQuery(t.r.URL.Path, q...)
	}
	return t.confirmedOwner(again)
}

// carry makes a change for a confirmed owner, and goes back to the first page.
func (t *turn) carry(do change) {
	o := t.changing()
	if o == nil {
		return
	}
	n, err := do(o)
	switch {
	case errors.Is(err, desk.ErrNothing), errors.Is(err, account.ErrNoRecord):
		t.done(web.PathSecurity, web.Notice{Code: web.DoneNothing})
	case err != nil:
		t.secure(o, statusOf(err), t.changeProblem(err))
	default:
		t.done(web.PathSecurity, n)
	}
}

// errorAnswer says how an error of a change is answered.
type errorAnswer struct {
	err    error
	status int
	code   web.ProblemCode
}

// nameErrors are those of desk.CheckName.
var nameErrors = []errorAnswer{
	{desk.ErrNameEmpty, http.StatusUnprocessableEntity, web.NameEmpty},
	{desk.ErrNameLong, http.StatusUnprocessableEntity, web.NameLong},
	{desk.ErrNameForm, http.StatusUnprocessableEntity, web.NameForm},
}

// changeErrors are those of every change, the first that fits.
var changeErrors = append(slices.Clone(nameErrors), []errorAnswer{
	{desk.ErrNameTaken, http.StatusUnprocessableEntity, web.NameTaken},
	{desk.ErrInvalid, http.StatusUnprocessableEntity, web.NotAllowed},
	{desk.ErrMaximum, http.StatusConflict, web.AppMaximum},
	{desk.ErrForbidden, http.StatusForbidden, web.NotAllowed},
	{account.ErrDamaged, http.StatusForbidden, web.NotAllowed},
	{desk.ErrBusy, http.StatusConflict, web.Busy},
	{desk.ErrChanged, http.StatusConflict, web.FormOld},
}...)

func (t *turn) changeProblem(err error) *web.Problem {
	for _, c := range changeErrors {
		if errors.Is(err, c.err) {
			return &web.Problem{Code: c.code}
		}
	}
	t.s.log.Warn("a change could not be made", "path", t.r.URL.Path, "error", err)
	return &web.Problem{Code: web.Unavailable}
}

func statusOf(err error) int {
	for _, c := range changeErrors {
		if errors.Is(err, c.err) {
			return c.status
		}
	}
	return http.StatusServiceUnavailable
}

// addGet begins the enrolment of one more factor.
func (t *turn) addGet() {
	o := t.changing()
	if o == nil {
		return
	}
	t.token = formToken{}
	en := &enrolling{Enrolee: o.Enrolee(t.s.now()), owner: o, more: o.Account.State.Enrolled}
	if method := t.r.URL.Query().Get(web.FieldMethod); slices.Contains(t.s.signIn.EnrolMethods(en.Enrolee), method) {
		t.prepare(en, method, http.StatusOK, nil)
		return
	}
	t.choose(en, http.StatusOK, nil)
}

// ask shows the question before something that concerns several things at once.
func ask(what web.Question) func(*turn) {
	return func(t *turn) {
		o := t.changing()
		if o == nil {
			return
		}
		view := desk.OverviewOf(o.Account, t.s.now())
		n := map[web.Question]int{
			web.AskDisable: len(liveApps(view.AppPasswords, t.s.now())), web.AskAppsEnd: len(liveApps(view.AppPasswords, t.s.now())),
			web.AskBackupCodes: view.Backup.Left, web.AskSessionsEnd: len(view.Sessions), web.AskDevicesEnd: len(view.Devices),
		}[what]
		page := &web.Ask{Common: t.ownerCommon(o, nil), What: what, N: n}
		t.show(http.StatusOK, page)
	}
}
