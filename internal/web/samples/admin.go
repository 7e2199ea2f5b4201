package samples

import (
	"fmt"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
	"postern/internal/web"
)

var allRights = web.AdminRights{Reset: true, Token: true, Revoke: true, Sessions: true, Class: true, Provision: true, Code: true, Bypass: true,
	Policies: true, Policy: true, Remove: true, Several: true}

// desk is an administrator of one domain.
func desk(c web.Common) web.Admin {
	c.User, c.Webmail, c.Self = "admin@example.test", web.Webmail{}, "/2fa/admin/"
	return web.Admin{Common: c, Role: web.AdminDomain, Looked: "example.test", May: allRights}
}

func standing(s web.AdminState) web.AdminStanding {
	a := web.AdminStanding{State: s}
	if s == web.StateGrace {
		a.Until = Now.AddDate(0, 0, 9)
	}
	return a
}

var adminStates = []web.AdminState{web.StateOn, web.StateOff, web.StateGrace, web.StateRequired, web.StateMustEnrol, web.StateUnreadable}

func rows() []web.AdminRow {
	list := []web.AdminRow{
		{Name: "alice@example.test", Methods: web.AdminMethods{Authenticators: 2, Passkeys: 1, Codes: true}, Apps: 3, Seen: ago(time.Hour), AdminStanding: standing(web.StateOn)},
		{Name: "bob@example.test", Methods: web.AdminMethods{Authenticators: 1, Codes: true}, Apps: 1, Main: ago(2 * day), Seen: ago(day), AdminStanding: standing(web.StateOn)},
		{Name: "carol@example.test", Seen: ago(40 * day), AdminStanding: standing(web.StateMustEnrol)},
		{Name: "dora@example.test", Main: ago(5 * time.Hour), AdminStanding: standing(web.StateGrace)},
		{Name: "erik@example.test", AdminStanding: standing(web.StateOff)},
		{Name: "farid@example.test", Main: ago(9 * day), AdminStanding: standing(web.StateRequired)},
		{Name: "greta@example.test", AdminStanding: standing(web.StateUnreadable)},
	}
	list[1].Bypass, list[3].Class, list[4].Disabled, list[5].Locked = Now.Add(time.Hour), "students", true, true
	for i := range list {
		list[i].Handle = fmt.Sprintf("h%d", i)
	}
	return list
}

func listPage(a web.Admin) *web.AdminList {
	return &web.AdminList{Admin: a, Total: 340, With: 211, MustEnrol: 3, Main: 17, Found: 340, Page: 2, Pages: 7, Rows: rows(),
		Tick: "/2fa/admin/?page=2&all=yes", Address: func(page int) string { return fmt.Sprintf("/2fa/admin/?page=%d", page) }}
}

func adminLists() []Sample {
	site := listPage(desk(common()))
	site.Role, site.Looked, site.Domains = web.AdminSite, "", []string{"example.test", "other.test", "verwaltungsgemeinschaft-niederbayern.example.test"}
	site.Ticked, site.Filter, site.Query = true, web.StateOn, "a"
	help := listPage(desk(common()))
	help.Role, help.May = web.AdminHelpDesk, web.AdminRights{Reset: true, Token: true}
	empty := listPage(desk(common()))
	empty.Rows, empty.Found, empty.Page, empty.Pages = nil, 0, 1, 1
	none := listPage(desk(with(web.NoneSelected)))
	long := listPage(desk(common()))
	long.User, long.Rows[0].Name = longUser, longUser
	all := []Sample{
		{Name: "admin-list", Page: listPage(desk(common()))},
		{Name: "admin-list-site", Page: site},
		{Name: "admin-list-help", Page: help},
		{Name: "admin-list-empty", Page: empty},
		{Name: "admin-list-none", Page: none},
		{Name: "admin-list-long", Page: long, Long: true},
	}
	return all
}

// fields are all settings, as a domain has them.
func fields() []web.AdminField {
	eff, _ := policy.Layers{}.Resolve() // built in: always there
	var list []web.AdminField
	for _, f := range policy.Fields() {
		row := web.Field(f.Key, f.Choices())
		row.Inherited, row.Origin = policy.Text(eff.Get(f.Key)), web.OriginOf(eff.Origin[f.Key])
		list = append(list, row)
	}
	list[0].Own, list[0].Origin = "mandatory", web.AdminLevel{Level: "default"}
	list[1].Own = "14d"
	list[2].Inherited = ""
	list[5].Origin = web.AdminLevel{Level: "class", Of: "students"}
	return list
}

func accountPage(c web.Common) *web.AdminAccount {
	own := full(common())
	a := &web.AdminAccount{Admin: desk(c), Name: "carol@example.test", AdminStanding: standing(web.StateOn), Backup: own.Backup, Apps: own.Apps.List,
		Devices: own.Devices, Sessions: own.Sessions, Main: own.Events[3:4], Events: own.Events, Policy: fields(), Resettable: true}
	a.Class = "students"
	for _, row := range own.Authenticators {
		a.Methods = append(a.Methods, web.AdminCredential{Kind: web.KindTOTP, Credential: row, Detail: "SHA-1, 6, 30 s"})
	}
	for _, row := range own.Passkeys {
		a.Methods = append(a.Methods, web.AdminCredential{Kind: web.KindPasskey, Credential: row.Credential})
	}
	return a
}

func adminAccounts() []Sample {
	help := accountPage(common())
	help.Role, help.May = web.AdminHelpDesk, web.AdminRights{Reset: true, Token: true}
	help.EnrolUntil = Now.Add(3 * day)
	long := accountPage(common())
	long.Name = longUser
	all := []Sample{
		{Name: "admin-account", Page: accountPage(common())},
		{Name: "admin-account-help", Page: help},
		{Name: "admin-account-long", Page: long, Long: true},
	}
	for _, s := range adminStates {
		page := &web.AdminAccount{Admin: desk(common()), Name: "erik@example.test", AdminStanding: standing(s), NeedsToken: s == web.StateMustEnrol}
		if s == web.StateUnreadable {
			page.Cause, page.Resettable, page.Bypass = `totp "abc" is not named by State`, true, Now.Add(time.Hour)
		}
		all = append(all, Sample{Name: "admin-account-" + string(s), Page: page})
	}
	return all
}

var adminActions = []web.AdminAction{web.ActReset, web.ActToken, web.ActRevoke, web.ActAll, web.ActSessions, web.ActClass, web.ActCode, web.ActBypass, web.ActEnd}

func changePage(c web.Common, a web.AdminAction) *web.AdminChange {
	page := &web.AdminChange{Admin: desk(c), Action: a, Name: "carol@example.test", Classes: []string{"students", "staff"}, Hours: 24}
	switch a { //nolint:exhaustive // the others end nothing
	case web.ActReset, web.ActAll:
		page.Factors, page.Codes, page.Apps, page.Sessions, page.Devices, page.Token = 2, 7, 3, 1, 2, a == web.ActReset
		if a == web.ActAll {
			page.Factors, page.Codes = 0, 0
		}
	case web.ActRevoke, web.ActCode:
		page.Kind, page.ID, page.What = web.KindTOTP, "abcd2345", "Pixel 9"
	}
	return page
}

func adminChanges() []Sample {
	bulk := func(c web.Common, a web.AdminAction) *web.AdminBulk {
		return &web.AdminBulk{Admin: desk(c), Action: a, Rows: rows(), Total: 340, Selected: "h0 h1 h2", Classes: []string{"students"}}
	}
	token := account.SecretString("k3vx-m2qd-7hra-w5tz")
	done := &web.AdminDone{Admin: desk(common()), Action: web.ActReset,
		Done:   []web.AdminResult{{Name: "alice@example.test", Token: token, Until: Now.Add(3 * day)}, {Name: "bob@example.test"}},
		Failed: []web.AdminResult{{Name: "erik@example.test", Problem: web.AccountNothing}, {Name: "greta@example.test", Problem: web.Unavailable}}}
	plain := &web.AdminDone{Admin: desk(common()), Action: web.ActClass, Done: []web.AdminResult{{Name: "alice@example.test"}}}
	show := func(w web.AdminShown, value string) *web.AdminShow {
		return &web.AdminShow{Admin: desk(common()), What: w, Name: "carol@example.test", Value: account.SecretString(value), Until: Now.Add(3 * day)}
	}
	reset := show(web.ShownToken, "k3vx-m2qd-7hra-w5tz")
	reset.Ended = 9
	key := show(web.ShownKey, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	key.URI, key.Until = totpPage(common()).URI, time.Time{}
	totp := func(c web.Common) *web.AdminTOTP {
		return &web.AdminTOTP{Admin: desk(c), Name: "carol@example.test", Algorithms: []string{"SHA1", "SHA256", "SHA512"}, Algorithm: "SHA1", Digits: 6, Period: 30}
	}
	all := []Sample{
		{Name: "admin-token", Page: show(web.ShownToken, "k3vx-m2qd-7hra-w5tz")},
		{Name: "admin-token-reset", Page: reset},
		{Name: "admin-code", Page: show(web.ShownCode, "492039")},
		{Name: "admin-key", Page: key},
		{Name: "admin-totp", Page: totp(common())},
		{Name: "admin-totp-wrong", Page: totp(with(web.SecretWrong))},
		{Name: "admin-bulk-reset", Page: bulk(common(), web.ActReset)},
		{Name: "admin-bulk-class", Page: bulk(common(), web.ActClass)},
		{Name: "admin-bulk-wrong", Page: bulk(with(web.CountWrong), web.ActAll)},
		{Name: "admin-done", Page: done},
		{Name: "admin-done-plain", Page: plain},
		{Name: "admin-reason", Page: changePage(with(web.ReasonEmpty), web.ActCode)},
		{Name: "admin-reason-wrong", Page: changePage(with(web.ReasonWrong), web.ActCode)},
	}
	for _, a := range adminActions {
		all = append(all, Sample{Name: "admin-change-" + string(a), Page: changePage(common(), a)})
	}
	class := changePage(with(web.ClassWrong), web.ActClass)
	class.Problem.Value, class.Class = "it is not the name of a class", "\t"
	all = append(all, Sample{Name: "admin-change-class-wrong", Page: class})
	for _, p := range []web.ProblemCode{web.AdminForbidden, web.AccountUnknown, web.AccountNothing, web.AccountDamaged} {
		all = append(all, Sample{Name: "problem-" + string(p), Page: changePage(with(p), web.ActReset)})
	}
	return all
}

func adminPolicies() []Sample {
	levels := []web.AdminLevel{{Level: "default"}, {Level: "domain", Of: "example.test"}, {Level: "class", Of: "students"}}
	write := func(c web.Common) *web.AdminPolicy {
		return &web.AdminPolicy{Admin: desk(c), Level: "domain", Of: "example.test", Others: levels, Fields: fields(), MayWrite: true, Was: `{"twofactor":"mandatory","grace":"14d"}`}
	}
	read := write(common())
	read.Level, read.Of, read.MayWrite, read.Clashes = "default", "", false, []string{"session_idle (12h, default) must not exceed session_life (2h, domain example.test)"}
	wrong := write(with(web.PolicyWrong))
	wrong.Problem.Value, wrong.Fields[1].Wrong, wrong.Fields[1].Own = `grace must be from 0 to 366d, not 400d`, true, "400d"
	broken := write(common())
	broken.Broken = "not a JSON object"
	own := write(common())
	own.Level, own.Of = "account", "carol@example.test"
	return []Sample{
		{Name: "admin-policy", Page: write(common())},
		{Name: "admin-policy-read", Page: read},
		{Name: "admin-policy-wrong", Page: wrong},
		{Name: "admin-policy-broken", Page: broken},
		{Name: "admin-policy-account", Page: own},
	}
}

// admin are the administration pages, and the way to them.
func admin() []Sample {
	nobody := common()
	nobody.User, nobody.Webmail = "", web.Webmail{}
	entrance := full(common())
	entrance.Administrator = true
	all := []Sample{
		{Name: "admin-start", Page: &web.SignInStart{Common: nobody, Passkeys: true, Admin: true}},
		{Name: "admin-security", Page: entrance},
	}
	for _, more := range [][]Sample{adminLists(), adminAccounts(), adminChanges(), adminPolicies()} {
		all = append(all, more...)
	}
	return all
}
