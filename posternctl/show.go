package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"postern/internal/account"
	"postern/internal/desk"
)

func (c *ctl) userShow(ctx context.Context, d *desk.Desk, args []string) error {
	o, err := d.Overview(ctx, args[0])
	if err != nil {
		return err
	}
	if c.json {
		return errors.Join(c.print(c.overview(&o, d)), o.Unreadable)
	}
	err = c.print(nil, inWords(&o)...)
	for _, t := range c.tables(&o, d) {
		if len(t.rows) > 0 {
			err = errors.Join(err, c.print(nil, "", t.title), c.table(nil, t.header, t.rows))
		}
	}
	return errors.Join(err, o.Unreadable)
}

// inWords are the lines above the tables.
func inWords(o *desk.Overview) []string {
	lines := []string{"mailbox: " + o.Name, "entry: " + printable(o.DN), "status: " + statusText(&o.Summary),
		"two-factor login: " + twoFactorText(&o.Summary)}
	if o.Class != "" {
		lines = append(lines, "class: "+printable(o.Class))
	}
	if o.BackupCodes {
		lines = append(lines, fmt.Sprintf("backup codes: %d left, %d used", o.Backup.Left, o.Backup.Used))
	}
	if o.Known != nil {
		lines = append(lines, "main password: enough from known devices until "+when(o.Known.Until, ""))
	}
	if !o.EnrolUntil.IsZero() {
		lines = append(lines, "enrolment token: good until "+when(o.EnrolUntil, ""))
	}
	for _, k := range account.Kinds {
		if n := o.Failures[k]; n > 0 {
			lines = append(lines, fmt.Sprintf("wrong tries in a row, %s: %d", k, n))
		}
	}
	return lines
}

type titled struct {
	title, header string
	rows          [][]string
}

func (c *ctl) tables(o *desk.Overview, d *desk.Desk) []titled {
	_, totps := authenticators(o.TOTP)
	_, passkeys := factors(o.Factors, account.KindPasskey)
	_, plugins := factors(o.Factors, account.KindPlugin)
	_, apps := appPasswords(o.AppPasswords, d.Now(), false)
	_, devices := devices(o.Devices)
	_, sessions := sessions(o.Sessions)
	_, uses := ownMainUses(o.MainUses)
	_, known := knownDevices(o.Known)
	return []titled{
		{"Authenticators", authenticatorHeader, totps},
		{"Passkeys and security keys", factorHeader, passkeys},
		{"Plug-in factors", factorHeader, plugins},
		{"App passwords", appPasswordHeader, apps},
		{"Trusted devices", deviceHeader, devices},
		{"Webmail sessions", sessionHeader, sessions},
		{"Main password is still enough from", knownHeader, known},
		{"Main password still tried by", "SERVICE,ADDRESS,PROGRAM,LAST USED,HOURS", uses},
	}
}

func (c *ctl) overview(o *desk.Overview, d *desk.Desk) object {
	all := summary(&o.Summary)
	all["authenticators"], _ = authenticators(o.TOTP)
	all["passkeys"], _ = factors(o.Factors, account.KindPasskey)
	all["plugin_factors"], _ = factors(o.Factors, account.KindPlugin)
	all["app_passwords"], _ = appPasswords(o.AppPasswords, d.Now(), false)
	all["trusted_devices"], _ = devices(o.Devices)
	all["sessions"], _ = sessions(o.Sessions)
	all["main_password_uses"], _ = ownMainUses(o.MainUses)
	if o.Known != nil {
		all["known_devices"], _ = knownDevices(o.Known)
	}
	all["backup_codes_left"], all["backup_codes_used"] = o.Backup.Left, o.Backup.Used
	all["key"], all["entry"] = o.ID, printable(o.DN)
	all.addTime("token_expires", o.EnrolUntil)
	failures := object{}
	for k, n := range o.Failures {
		failures[k.Word()] = n
	}
	all["failures"] = failures
	return all
}

const factorHeader = "ID,NAME,CREATED,LAST USED"

// factors are those of one kind.
func factors(list []desk.Factor, k account.Kind) (all []object, rows [][]string) {
	all = []object{}
	for i := range list {
		f := &list[i]
		if f.Kind != k {
			continue
		}
		o := object{"id": f.ID, "name": f.Name, "created": stamp(f.Created)}
		o.addUse(f.Used)
		all = append(all, o)
		rows = append(rows, []string{f.ID, f.Name, when(f.Created, "unknown"), used(account.Use{At: f.Used.At})})
	}
	return all, rows
}

const deviceHeader = "ID,NAME,SINCE,UNTIL,LAST USED,BY"

func devices(list []desk.Device) (all []object, rows [][]string) {
	all = []object{}
	for i := range list {
		d := &list[i]
		o := object{"id": d.ID, "name": d.Name, "created": stamp(d.Created), "via": d.Via}
		o.addTime("expires", d.Expires)
		o.addUse(d.Used)
		all = append(all, o)
		rows = append(rows, []string{d.ID, orUnknown(d.Name), when(d.Created, "unknown"), when(d.Expires, "never"), seen(d.Used), orUnknown(d.Via)})
	}
	return all, rows
}

const sessionHeader = "ID,WEBMAIL,SINCE,UNTIL,LAST USED,BY,BROWSER"

func sessions(list []desk.Session) (all []object, rows [][]string) {
	all = []object{}
	for i := range list {
		s := &list[i]
		o := object{"id": s.ID, "client": s.Client, "created": stamp(s.Created), "via": s.Via, "second_factor": s.Strong}
		o.addTime("expires", s.Expires)
		o.addUse(s.Used)
		if s.Used.Agent != "" {
			o["agent"] = printable(s.Used.Agent)
		}
		all = append(all, o)
		rows = append(rows, []string{s.ID, orUnknown(s.Client), when(s.Created, "unknown"), when(s.Expires, "never"), seen(s.Used), orUnknown(s.Via),
			orUnknown(printable(s.Used.Agent))})
	}
	return all, rows
}

// seen is a last use of webmail: when and from where.
func seen(u account.Use) string { return used(account.Use{At: u.At, From: u.From}) }

func orUnknown(s string) string {
	if strings.TrimSpace(s) == "" {
		return "unknown"
	}
	return s
}
