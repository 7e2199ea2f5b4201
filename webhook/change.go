package main

import (
	"errors"
	"net/http"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/login"
	"postern/internal/web"
)

// recordKinds are the records behind the kinds that forms name.
var recordKinds = map[web.Kind]account.Kind{
	web.KindTOTP: account.KindTOTP, web.KindPasskey: account.KindPasskey, web.KindPlugin: account.KindPlugin,
	web.KindDevice: account.KindDevice, web.KindSession: account.KindSession, web.KindApp: account.KindApp,
}

// thing is one record that a page is about.
type thing struct {
	kind web.Kind
	ref  desk.Ref
	name string
}

// thing finds the record that the request names, in the query or the form; false: the
// account has no such record, and the turn is over.
func (t *turn) thing(o *login.Owner) (thing, bool) {
	value := t.field
	if t.r.Method != http.MethodPost {
		value = t.r.URL.Query().Get
	}
	th := thing{kind: web.Kind(value(web.FieldKind))}
	k, known := recordKinds[th.kind]
	th.ref = desk.Ref{Kind: k, ID: value(web.FieldID)}
	if known {
		r, err := o.Account.Record(k, th.ref.ID)
		if err == nil && r.Ended.IsZero() {
			th.name = r.Name
			if k == account.KindDevice || k == account.KindSession {
				th.name = browserName(firstOf(r.Name, r.Used.Agent))
			}
			return th, true
		}
	}
	t.done(web.PathSecurity, web.Notice{Code: web.DoneNothing})
	return th, false
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func (t *turn) renameGet() {
	if o := t.changing(); o != nil {
		if th, ok := t.thing(o); ok {
			t.rename(o, th, th.name, http.StatusOK, nil)
		}
	}
}

func (t *turn) rename(o *login.Owner, th thing, name string, status int, p *web.Problem) {
	page := &web.Rename{Common: t.ownerCommon(o, p), Kind: th.kind, ID: th.ref.ID, Name: name, Was: th.name}
	page.Self = t.path(web.PathRename, web.FieldKind, string(th.kind), web.FieldID, th.ref.ID)
	t.show(status, page)
}

func (t *turn) renamePost() {
	o := t.changing()
	if o == nil {
		return
	}
	th, ok := t.thing(o)
	if !ok {
		return
	}
	name := t.field(web.FieldName)
	err := t.s.desk.Rename(t.r.Context(), o.Actor(), o.Account.Name, desk.NewName{Ref: th.ref, Name: name})
	switch {
	case err == nil:
		t.done(web.PathSecurity, web.Notice{Code: web.DoneRenamed, Name: name})
	case errors.Is(err, desk.ErrNothing), errors.Is(err, account.ErrNoRecord):
		t.done(web.PathSecurity, web.Notice{Code: web.DoneNothing})
	default:
		t.rename(o, th, name, statusOf(err), t.changeProblem(err))
	}
}

func (t *turn) removeGet() {
	o := t.changing()
	if o == nil {
		return
	}
	th, ok := t.thing(o)
	if !ok {
		return
	}
	left := t.left(o, th)
	if t.wouldLockOut(o, left) {
		t.secure(o, http.StatusForbidden, &web.Problem{Code: web.NotAllowed})
		return
	}
	page := &web.Remove{Common: t.ownerCommon(o, nil), Kind: th.kind, ID: th.ref.ID, Name: th.name, Left: left}
	t.show(http.StatusOK, page)
}

// left counts what remains of the factors once the thing is gone.
func (t *turn) left(o *login.Owner, gone thing) web.Remaining {
	view := desk.OverviewOf(o.Account, t.s.now())
	r := web.Remaining{BackupCodes: view.Backup.Left}
	factor := gone.ref.Kind.IsFactor()
	for _, f := range view.Factors {
		switch {
		case f.Ref == gone.ref:
		case f.Kind == account.KindTOTP:
			r.Authenticators++
		case f.Kind == account.KindPasskey:
			r.Passkeys++
		default:
			r.Plugins++
		}
	}
	r.MustEnrol = factor && r.None()
	return r
}

// wouldLockOut reports that the removal would be refused (desk.ErrLast): without a
// factor and backup codes the next sign-in asks for an administrator's token, which an
// owner who removed the last one by mistake does not have.
func (t *turn) wouldLockOut(o *login.Owner, left web.Remaining) bool {
	return left.MustEnrol && left.BackupCodes == 0 && o.Policy.ResetNeedsToken
}

func (t *turn) removePost() {
	o := t.changing()
	if o == nil {
		return
	}
	th, ok := t.thing(o)
	if !ok {
		return
	}
	t.carry(func(o *login.Owner) (web.Notice, error) { return t.remove(o, th) })
}

// remove ends one thing.
func (t *turn) remove(o *login.Owner, th thing) (web.Notice, error) {
	ctx, d, who, user := t.r.Context(), t.s.desk, o.Actor(), o.Account.Name
	n := web.Notice{Name: th.name}
	var err error
	switch th.kind {
	case web.KindDevice:
		n.Code = web.DoneDeviceRemoved
		_, err = d.RemoveDevice(ctx, who, user, th.ref.ID)
	case web.KindSession:
		n.Code = web.DoneSessionEnded
		_, err = d.EndSession(ctx, who, user, th.ref.ID)
	case web.KindApp:
		n.Code = web.DoneAppRevoked
		_, err = d.RevokeAppPassword(ctx, who, user, th.ref.ID)
	default:
		n.Code = web.DoneMethodRemoved
		if th.kind == web.KindPasskey {
			n.Code = web.DonePasskeyRemoved
		}
		_, err = d.RemoveFactor(ctx, who, user, th.ref)
	}
	return n, err
}

// sessionsEndPost logs out everywhere, here too.
func (t *turn) sessionsEndPost() {
	o := t.changing()
	if o == nil {
		return
	}
	if _, err := t.s.desk.EndAllSessions(t.r.Context(), o.Actor(), o.Account.Name); err != nil {
		t.secure(o, statusOf(err), t.changeProblem(err))
		return
	}
	t.signedOut(http.StatusOK)
}

func (t *turn) devicesEndPost() {
	t.carry(func(o *login.Owner) (web.Notice, error) {
		_, err := t.s.desk.RemoveAllDevices(t.r.Context(), o.Actor(), o.Account.Name)
		return web.Notice{Code: web.DoneDevicesRemoved}, err
	})
}

func (t *turn) disablePost() {
	t.carry(func(o *login.Owner) (web.Notice, error) {
		_, err := t.s.desk.DisableTwoFactor(t.r.Context(), o.Actor(), o.Account.Name)
		return web.Notice{Code: web.DoneTwoFactorOff}, err
	})
}

// backupCodesPost makes new backup codes, and shows them in its answer: the only time
// that anybody sees them.
func (t *turn) backupCodesPost() {
	o := t.changing()
	if o == nil {
		return
	}
	codes, err := t.s.backup.NewCodes(t.r.Context())
	fresh := len(o.Account.Values(account.KindBackup)) > 0
	if err == nil {
		_, err = t.s.desk.NewBackupCodes(t.r.Context(), o.Actor(), o.Account.Name, codes.Body)
	}
	if err != nil {
		t.secure(o, statusOf(err), t.changeProblem(err))
		return
	}
	t.token = formToken{}
	page := &web.BackupCodes{Common: t.ownerCommon(o, nil), Codes: codes.Codes, Fresh: fresh}
	page.Self = t.path(web.PathSecurity)
	t.show(http.StatusOK, page)
}
