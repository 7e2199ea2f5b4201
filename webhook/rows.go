package main

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/web"
)

// fillFactors puts the factors into the lists of their kinds. Disabled are the methods
// that were switched off after too many wrong tries.
func fillFactors(p *web.Security, o *login.Owner, factors []desk.Factor, disabled []string) {
	for _, f := range factors {
		c := web.Credential{ID: f.ID, Name: f.Name, Created: f.Created, Used: f.Used.At}
		switch f.Kind {
		case account.KindTOTP:
			c.Disabled = slices.Contains(disabled, string(web.TOTP))
			p.Authenticators = append(p.Authenticators, c)
		case account.KindPasskey:
			c.Disabled = slices.Contains(disabled, string(web.Passkey))
			p.Passkeys = append(p.Passkeys, passkeyRow(o, c))
		default:
			c.Disabled = pluginDisabled(disabled)
			p.Plugins = append(p.Plugins, c)
		}
	}
}

// backupState is nil for accounts that have nothing that backup codes could stand in for.
func backupState(o *login.Owner, view *desk.Overview) *web.BackupState {
	if !o.Account.State.Enrolled || !o.Policy.BackupCodes {
		return nil
	}
	b := view.Backup
	return &web.BackupState{Total: b.Left + b.BackupCount.Used, Used: b.BackupCount.Used, Created: b.Created}
}

func (t *turn) devices(o *login.Owner, list []desk.Device) []web.Device {
	cookie, _ := web.Cookie{Name: login.DeviceCookieName(o.Account.ID)}.Get(t.r)
	this := t.s.signIn.TrustedDevice(o.Account.ID, cookie)
	var rows []web.Device
	for _, d := range list {
		rows = append(rows, web.Device{ID: d.ID, Browser: browserName(d.Name), Address: addressText(d.Used.From),
			Since: d.Created, Expires: d.Expires, Used: d.Used.At, This: d.ID == this})
	}
	return rows
}

func sessions(o *login.Owner, list []desk.Session) []web.Session {
	var rows []web.Session
	for _, s := range list {
		rows = append(rows, web.Session{ID: s.ID, Browser: browserName(s.Used.Agent), Address: addressText(s.Used.From),
			Since: s.Created, Seen: s.Used.At, This: s.ID == o.SessionID()})
	}
	return rows
}

func apps(o *login.Owner, list []desk.AppPassword, now time.Time) web.AppList {
	l := web.AppList{Allowed: o.Policy.AppPasswords, Max: o.Policy.AppPasswordMax}
	for _, a := range list {
		if a.State(now) == desk.AppRevoked {
			continue
		}
		row := appRow(&a, now)
		row.Flagged = a.Created.Before(o.Account.PasswordChanged)
		l.List = append(l.List, row)
	}
	return l
}

func appRow(a *desk.AppPassword, now time.Time) web.AppRow {
	row := web.AppRow{Credential: web.Credential{ID: a.ID, Name: a.Name, Created: a.Created, Used: a.Used.At},
		Services: a.Services, Expires: a.Expires, UsedService: a.Used.Service, UsedFrom: addressText(a.Used.From)}
	row.Expired, row.Unused = a.State(now) == desk.AppExpired, a.State(now) == desk.AppUnused
	for _, p := range a.Networks {
		row.Networks = append(row.Networks, p.String())
	}
	return row
}

// known are the places where the main password is still enough, the latest first.
func known(k *desk.Known) *web.Known {
	if k == nil {
		return nil
	}
	view := &web.Known{Until: k.Until}
	for _, d := range slices.Backward(k.Devices) {
		view.Places = append(view.Places, web.KnownPlace{Service: d.Service, Network: d.Network.String(), Seen: d.At()})
	}
	return view
}

func liveApps(list []desk.AppPassword, now time.Time) []desk.AppPassword {
	return slices.DeleteFunc(slices.Clone(list), func(a desk.AppPassword) bool { return a.State(now) != desk.AppActive })
}

// events is what the account itself remembers, the newest first.
func events(a *account.Account) []web.Event {
	var list []web.Event
	for _, u := range a.State.MainUses {
		list = append(list, web.Event{Code: web.EventMainPassword, At: u.At, Name: string(u.Service), Address: addressText(u.From), Client: u.Agent})
	}
	for _, h := range a.State.Happenings() {
		list = append(list, web.Event{Code: web.EventCode(h.Topic), At: h.At(), Name: browserName(h.Name), Address: addressText(h.From),
			Client: browserName(h.Agent), By: h.By, Count: int(h.Count)}) //nolint:gosec // a count of tries
	}
	list = slices.DeleteFunc(list, func(e web.Event) bool { // a newer Postern may have noted what has no text here
		return e.Code != web.EventMainPassword && (!slices.Contains(effect.Topics, effect.Topic(e.Code)) || e.Code == web.EventCode(effect.TopicNewSignIn))
	})
	slices.SortStableFunc(list, func(x, y web.Event) int { return y.At.Compare(x.At) })
	return list
}

// alertFor is how long what is grave stands at the top.
const alertFor = 7 * 24 * time.Hour

// alerts are the grave events of the last days that the browser's owner has not hidden.
func (t *turn) alerts(o *login.Owner, list []web.Event) []web.Event {
	since := t.s.now().Add(-alertFor).Unix()
	if value, ok := seenCookie(o.Account.ID).Get(t.r); ok {
		if seen, err := strconv.ParseInt(value, 10, 64); err == nil {
			since = max(since, seen)
		}
	}
	var grave []web.Event
	for _, e := range list {
		if e.Code.Grave() && e.At.Unix() > since && !t.own(e) {
			grave = append(grave, e)
		}
	}
	return grave
}

// own reports that this browser did it within the hour: its user knows.
func (t *turn) own(e web.Event) bool {
	return e.By == "" && e.Address == addressText(t.browser.Addr) && e.Client == browserName(t.browser.Agent) &&
		t.s.now().Sub(e.At) < time.Hour
}

// seenCookie remembers up to when an owner has seen the alerts; each account has its own.
func seenCookie(id account.ID) web.Cookie {
	return web.Cookie{Name: strings.Replace(login.DeviceCookieName(id), "device", "seen", 1), Life: alertFor, SameSite: http.SameSiteLaxMode}
}

// seenPost hides the alerts that were shown. It changes nothing but a cookie of the
// browser, so no factor is asked for.
func (t *turn) seenPost() {
	o := t.owner()
	if o == nil {
		return
	}
	seen, err := strconv.ParseInt(t.field(web.FieldID), 10, 64)
	if err == nil && seen <= t.s.now().Unix() {
		err = seenCookie(o.Account.ID).Set(t.w, strconv.FormatInt(seen, 10))
	}
	if err != nil {
		t.s.log.Warn("alerts were not hidden", "error", err)
	}
	t.redirect(t.path(web.PathSecurity))
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// browserName is what people call a browser: "Firefox, Windows". A name that somebody
// gave it stays.
func browserName(agent string) string { return effect.ProgramName(agent) }
