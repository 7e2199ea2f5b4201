package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/policy"
	"postern/internal/web"
)

// adminAccount shows one account.
func (t *turn) adminAccount() {
	c := t.looking()
	if c == nil {
		return
	}
	t.account(c, t.r.URL.Query().Get(web.FieldTarget), http.StatusOK, nil)
}

// account shows an account, with a problem of what was wanted with it.
func (t *turn) account(c *console, name string, status int, p *web.Problem) {
	a, view, ok := t.shown(c, name)
	if !ok {
		return
	}
	t.token = formToken{}
	now := t.s.now()
	page := &web.AdminAccount{Admin: t.adminOf(c, policy.DomainName(a.Domain), a, p), Name: a.Name, AdminStanding: t.standing(a, &view.Summary), Cause: cause(&view),
		Methods: adminMethods(&view), Backup: adminBackup(&view), Devices: adminDevices(view.Devices), Sessions: adminSessions(view.Sessions),
		Apps: adminApps(view.AppPasswords, now), Main: mainUses(view.MainUses), EnrolUntil: view.EnrolUntil,
		NeedsToken: needsToken(&view), Resettable: a.TwoFactor()}
	if !view.EnrolUntil.After(now) {
		page.EnrolUntil = time.Time{}
	}
	page.May.Bypass = page.May.Bypass && bypassable(a, &view, now)
	if c.may.May(t.r.Context(), admin.SeeAddresses, a) == nil {
		page.Events = events(a)
	}
	if c.may.May(t.r.Context(), admin.SeePolicy, a) == nil {
		page.Policy = effectiveFields(&view)
	}
	page.Notice, page.Self = t.notice(), t.path(web.PathAdminAccount, web.FieldTarget, a.Name)
	t.show(status, page)
}

// bypassable: there is a bypass to end, or something that one would let pass.
func bypassable(a *account.Account, view *desk.Overview, now time.Time) bool {
	return view.Bypass != nil ||
		a.Status != account.Disabled && view.Damage == nil && view.PolicyErr == nil && a.NeedsFactor(view.Policy, now)
}

// cause is why an account is not as it should be.
func cause(view *desk.Overview) string {
	if err := errors.Join(view.Damage, view.PolicyErr); err != nil {
		return err.Error()
	}
	return view.Cause
}

// needsToken: whoever owns it cannot enrol without an administrator.
func needsToken(view *desk.Overview) bool {
	stranded := view.TwoFactor == desk.TwoFactorOn && len(view.Factors) == 0 && view.Backup.Left == 0
	return view.Policy.ResetNeedsToken && (stranded || view.TwoFactor == desk.TwoFactorMustEnrol)
}

func adminMethods(view *desk.Overview) []web.AdminCredential {
	kinds := map[account.Kind]web.Kind{account.KindTOTP: web.KindTOTP, account.KindPasskey: web.KindPasskey, account.KindPlugin: web.KindPlugin}
	var list []web.AdminCredential
	for _, f := range view.Factors {
		c := web.AdminCredential{Kind: kinds[f.Kind], Credential: web.Credential{ID: f.ID, Name: f.Name, Created: f.Created, Used: f.Used.At}}
		if i := slices.IndexFunc(view.TOTP, func(x desk.Authenticator) bool { return x.ID == f.ID }); f.Kind == account.KindTOTP && i >= 0 {
			c.Detail = fmt.Sprintf("%s · %d · %d s", view.TOTP[i].Algorithm, view.TOTP[i].Digits, view.TOTP[i].Period)
		}
		list = append(list, c)
	}
	return list
}

func adminBackup(view *desk.Overview) *web.BackupState {
	b := view.Backup
	if b.Left+b.BackupCount.Used == 0 {
		return nil
	}
	return &web.BackupState{Total: b.Left + b.BackupCount.Used, Used: b.BackupCount.Used, Created: b.Created}
}

func adminApps(list []desk.AppPassword, now time.Time) []web.AppRow {
	var rows []web.AppRow
	for _, a := range list {
		if a.State(now) != desk.AppRevoked {
			rows = append(rows, appRow(&a, now))
		}
	}
	return rows
}

func adminDevices(list []desk.Device) []web.Device {
	var rows []web.Device
	for _, d := range list {
		rows = append(rows, web.Device{ID: d.ID, Browser: browserName(d.Name), Address: addressText(d.Used.From), Since: d.Created, Expires: d.Expires, Used: d.Used.At})
	}
	return rows
}

func adminSessions(list []desk.Session) []web.Session {
	var rows []web.Session
	for _, s := range list {
		rows = append(rows, web.Session{ID: s.ID, Browser: browserName(s.Used.Agent), Address: addressText(s.Used.From), Since: s.Created, Seen: s.Used.At})
	}
	return rows
}

func mainUses(list []account.MainUse) []web.Event {
	var events []web.Event
	for _, u := range slices.Backward(list) {
		events = append(events, web.Event{Code: web.EventMainPassword, At: u.At, Name: string(u.Service), Address: addressText(u.From), Client: u.Agent})
	}
	return events
}

// effectiveFields are what holds for an account, each with where it comes from.
func effectiveFields(view *desk.Overview) []web.AdminField {
	if view.PolicyErr != nil {
		return nil
	}
	var list []web.AdminField
	for _, f := range policy.Fields() {
		row := web.Field(f.Key, f.Choices())
		row.Inherited, row.Origin = fieldText(view.Policy.Get(f.Key)), web.OriginOf(view.Policy.Origin[f.Key])
		list = append(list, row)
	}
	return list
}

// fieldText is a value as a form has it; empty: there is none.
func fieldText(v any) string {
	if v == nil {
		return ""
	}
	return policy.Text(v)
}
