package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/web"
)

// asking is a change of one account that a page asks about, or that a form wants.
type asking struct {
	*console
	action  web.AdminAction
	account *account.Account
	view    desk.Overview
	ref     desk.Ref // of web.ActRevoke and web.ActCode
	kind    web.Kind
	what    string // its name
}

// asking reads what the request is about; false: the turn is over.
func (t *turn) asking() (*asking, bool) {
	c := t.acting()
	if c == nil {
		return nil, false
	}
	value := t.field
	if t.r.Method != http.MethodPost {
		value = t.r.URL.Query().Get
	}
	q := &asking{console: c, action: web.AdminAction(value(web.FieldAction)), kind: web.Kind(value(web.FieldKind))}
	if _, known := adminRights[q.action]; !known {
		t.say(http.StatusNotFound, web.MessageNotFound)
		return nil, false
	}
	var ok bool
	if q.account, q.view, ok = t.shown(c, value(web.FieldTarget)); !ok {
		return nil, false
	}
	if q.action != web.ActRevoke && q.action != web.ActCode {
		return q, true
	}
	q.ref = desk.Ref{Kind: recordKinds[q.kind], ID: value(web.FieldID)}
	r, err := q.account.Record(q.ref.Kind, q.ref.ID)
	if err != nil || !r.Ended.IsZero() || q.action == web.ActCode && q.ref.Kind != account.KindTOTP {
		t.adminDone(q.account.Name, web.Notice{Code: web.DoneNothing})
		return nil, false
	}
	q.what = r.Name
	if q.ref.Kind == account.KindDevice || q.ref.Kind == account.KindSession {
		q.what = browserName(firstOf(r.Name, r.Used.Agent))
	}
	return q, true
}

// adminRights say which right each action needs, to ask about it at all: the form that
// follows is judged by the desk.
var adminRights = map[web.AdminAction]admin.Right{
	web.ActReset: admin.Reset, web.ActToken: admin.EnrolToken, web.ActRevoke: admin.Revoke, web.ActAll: admin.Revoke,
	web.ActSessions: admin.EndSessions, web.ActClass: admin.SetClass, web.ActCode: admin.ShowCode,
	web.ActBypass: admin.Bypass, web.ActEnd: admin.Bypass,
}

// withReason are the actions that are made for a reason only, which the audit log keeps.
func withReason(a web.AdminAction) bool { return a == web.ActCode || a == web.ActBypass }

func (q *asking) right() admin.Right {
	if q.action == web.ActRevoke {
		switch {
		case q.ref.Kind.IsFactor():
			return admin.RemoveFactor
		case q.ref.Kind == account.KindSession, q.ref.Kind == account.KindDevice:
			return admin.EndSessions
		}
	}
	return adminRights[q.action]
}

// adminDone goes back to the account, which tells what was done.
func (t *turn) adminDone(user string, n web.Notice) {
	t.notify(n)
	t.redirect(t.path(web.PathAdminAccount, web.FieldTarget, user))
}

// adminChangeGet asks before a change.
func (t *turn) adminChangeGet() {
	q, ok := t.asking()
	if !ok {
		return
	}
	if err := q.may.May(t.r.Context(), q.right(), q.account); err != nil {
		t.refuse(q.console, err)
		return
	}
	t.askChange(q, http.StatusOK, nil)
}

func (t *turn) askChange(q *asking, status int, p *web.Problem) {
	t.token = formToken{}
	page := &web.AdminChange{Admin: t.adminOf(q.console, "", q.account, p), Action: q.action, Name: q.account.Name, Kind: q.kind, ID: q.ref.ID, What: q.what,
		Reason: t.field(web.FieldReason), Class: firstOf(t.field(web.FieldClass), q.account.Class), Hours: int(account.MaxBypass / time.Hour)}
	v := &q.view
	switch q.action { //nolint:exhaustive // the others end nothing
	case web.ActReset:
		page.Factors, page.Codes, page.Apps = len(v.Factors), v.Backup.Left, len(liveApps(v.AppPasswords, t.s.now()))
		page.Sessions, page.Devices, page.Token = len(v.Sessions), len(v.Devices), v.PolicyErr != nil || v.Policy.ResetNeedsToken
	case web.ActAll:
		page.Apps, page.Sessions, page.Devices = len(liveApps(v.AppPasswords, t.s.now())), len(v.Sessions), len(v.Devices)
	case web.ActSessions:
		page.Sessions, page.Devices = len(v.Sessions), len(v.Devices)
	case web.ActClass:
		page.Classes = t.classes()
	}
	page.Self = withQuery(t.path(web.PathAdminChange), web.FieldTarget, q.account.Name, web.FieldAction, string(q.action), web.FieldKind, string(q.kind), web.FieldID, q.ref.ID)
	t.show(status, page)
}

// adminChangePost makes the change.
func (t *turn) adminChangePost() {
	q, ok := t.asking()
	if !ok {
		return
	}
	if withReason(q.action) && strings.TrimSpace(t.field(web.FieldReason)) == "" {
		t.askChange(q, http.StatusUnprocessableEntity, &web.Problem{Code: web.ReasonEmpty})
		return
	}
	if err := t.change(q); err != nil {
		status, p := t.adminProblem(err)
		if q.action == web.ActClass && status == http.StatusUnprocessableEntity {
			p = &web.Problem{Code: web.ClassWrong, Value: err.Error()}
		}
		t.askChange(q, status, p)
	}
}

// change makes the change, and answers unless it fails.
func (t *turn) change(q *asking) error {
	ctx, who, user := t.r.Context(), q.actor(t), q.account.Name
	switch q.action { //nolint:exhaustive // the others tell nothing but that they are done
	case web.ActReset:
		done, err := t.s.desk.Reset(ctx, who, user)
		if err != nil || done.Token.Token.Empty() {
			return t.told(err, user, web.Notice{Code: web.DoneAdminReset, Name: user})
		}
		t.showOnce(q, &web.AdminShow{What: web.ShownToken, Value: done.Token.Token, Until: done.Token.Until, Ended: count(done.Ended)})
		return nil
	case web.ActToken:
		token, err := t.s.desk.NewEnrolToken(ctx, who, user)
		if err == nil {
			t.showOnce(q, &web.AdminShow{What: web.ShownToken, Value: token.Token, Until: token.Until})
		}
		return err
	case web.ActCode:
		shown, err := t.s.desk.Code(ctx, who, user, desk.WantedCode{ID: q.ref.ID, Reason: t.field(web.FieldReason)})
		if err == nil {
			t.showOnce(q, &web.AdminShow{What: web.ShownCode, Value: shown.Code, Until: shown.Expires})
		}
		return err
	}
	if q.action == web.ActRevoke && q.ref.Kind.IsFactor() {
		return t.removeFactor(ctx, q, who)
	}
	n, err := t.changed(ctx, q, who)
	return t.told(err, user, n)
}

// removeFactor removes a second factor. After the last one its owner needs a token.
func (t *turn) removeFactor(ctx context.Context, q *asking, who desk.Actor) error {
	gone, err := t.s.desk.RemoveFactor(ctx, who, q.account.Name, q.ref)
	if err != nil || gone.Token.Token.Empty() {
		return t.told(err, q.account.Name, web.Notice{Code: web.DoneAdminRevoked, Name: q.what})
	}
	t.showOnce(q, &web.AdminShow{What: web.ShownToken, Value: gone.Token.Token, Until: gone.Token.Until})
	return nil
}

// changed makes one of the changes that show nothing.
func (t *turn) changed(ctx context.Context, q *asking, who desk.Actor) (web.Notice, error) {
	d, user, n := t.s.desk, q.account.Name, web.Notice{Name: q.account.Name}
	var err error
	switch q.action { //nolint:exhaustive // the others are change's
	case web.ActAll:
		n.Code = web.DoneAdminAll
		_, err = d.RevokeAll(ctx, who, user)
	case web.ActSessions:
		n.Code = web.DoneAdminSessions
		_, err = d.EndAllSessions(ctx, who, user)
	case web.ActClass:
		n.Code = web.DoneAdminClass
		_, err = t.s.policies().SetClass(ctx, who, user, t.field(web.FieldClass))
	case web.ActRevoke:
		n = web.Notice{Code: web.DoneAdminRevoked, Name: q.what}
		err = t.revokeOne(ctx, q, who)
	case web.ActBypass:
		n.Code = web.DoneAdminBypass
		_, err = d.Bypass(ctx, who, user, t.wantedBypass())
	case web.ActEnd:
		n.Code = web.DoneAdminEnd
		_, err = d.EndBypass(ctx, who, user)
	}
	return n, err
}

// wantedBypass is what the form asks for; the desk refuses a time that is none.
func (t *turn) wantedBypass() desk.NewBypass {
	n := desk.NewBypass{Reason: t.field(web.FieldReason)}
	if hours, err := strconv.ParseUint(t.field(web.FieldHours), 10, 8); err == nil {
		n.For = time.Duration(hours) * time.Hour
	}
	return n
}

func (t *turn) revokeOne(ctx context.Context, q *asking, who desk.Actor) error {
	d, user := t.s.desk, q.account.Name
	var err error
	switch q.kind {
	case web.KindApp:
		_, err = d.RevokeAppPassword(ctx, who, user, q.ref.ID)
	case web.KindSession:
		_, err = d.EndSession(ctx, who, user, q.ref.ID)
	case web.KindDevice:
		_, err = d.RemoveDevice(ctx, who, user, q.ref.ID)
	default:
		err = account.ErrNoRecord // factors are removeFactor's
	}
	return err
}

// told goes back to the account with the notice, unless the change failed.
func (t *turn) told(err error, user string, n web.Notice) error {
	if err == nil {
		t.adminDone(user, n)
	}
	return err
}

// showOnce answers with what nobody sees again.
func (t *turn) showOnce(q *asking, page *web.AdminShow) {
	t.token = formToken{}
	page.Admin, page.Name = t.adminOf(q.console, "", q.account, nil), q.account.Name
	page.Self = t.path(web.PathAdminAccount, web.FieldTarget, q.account.Name)
	t.show(http.StatusOK, page)
}

func count(e desk.Ended) int {
	n := 0
	for _, k := range e {
		n += k
	}
	return n
}
