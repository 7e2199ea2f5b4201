package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
	"postern/internal/policy"
)

var groupsOnce sync.Once

// administered is a site with administrators: the group of example.test, of a help desk
// and of the site, each with one member who is there for good.
func administered(t *testing.T) *world {
	t.Helper()
	base := "ou=mailadmins," + mailtest.Base
	w := inhabit(t, mailtest.Shared(t, "administered", mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Settings: mailtest.Settings{
		"admin": {"domain_group": "cn=%d-admins," + base, "helpdesk_group": "cn=helpdesk," + base, "site_group": "cn=site," + base},
	}}))
	groupsOnce.Do(func() {
		must(t, w.Slapd.Add(base, map[string][]string{"objectClass": {"organizationalUnit"}}))
		for name, mail := range map[string]string{"example.test-admins": "boss@example.test", "helpdesk": "desk@example.test", "site": "chief@example.test"} {
			must(t, w.Slapd.AddUser(mail, mailtest.Password, nil))
			must(t, w.Slapd.Add("cn="+name+","+base, map[string][]string{"objectClass": {"groupOfNames"}, "member": {mailtest.UserDN(mail)}}))
			added, err := w.desk.AddTOTP(t.Context(), operator, mail, desk.NewTOTP{})
			must(t, err)
			staff[mail] = &added.TOTP
			w.policy(mail, "totp_tolerance=5")
		}
		must(t, w.Slapd.AddUser("weak@example.test", mailtest.Password, nil)) // with the right, and no factor
		must(t, w.Slapd.SetAttr("cn=example.test-admins,"+base, "member", mailtest.UserDN("boss@example.test"), mailtest.UserDN("weak@example.test")))
		_, err := w.desk.AddTOTP(t.Context(), operator, "dave@other.test", desk.NewTOTP{})
		must(t, err)
	})
	return w
}

// staff are the administrators' authenticators.
var staff = map[string]*factor.TOTP{}

// administrator signs in at the administration pages themselves.
func (w *world) administrator(mail string) *person {
	w.t.Helper()
	p := &person{world: w, user: mail, totp: staff[mail], b: w.browser()}
	form := p.page("admin/sign-in")
	begun := w.submit(p.b, http.StatusSeeOther, form, "admin/sign-in", "username", mail, "password", mailtest.Password)
	page := w.get(p.b, http.StatusOK, begun.Location())
	back := w.submit(p.b, http.StatusSeeOther, page, "sign-in", "code", p.code())
	in := w.get(p.b, http.StatusSeeOther, back.Location())
	if !strings.HasSuffix(in.Location(), "/admin/") {
		w.t.Fatalf("the sign-in leads to %s", in.Location())
	}
	return p
}

func about(page, user string, more ...string) string {
	q := url.Values{"account": {user}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "admin/" + page + "?" + q.Encode()
}

// A domain administrator signs in with a second factor, finds a mailbox, resets it and
// sees the token once; what its owner signed in with is over (FEATURES A5, A6).
func TestA5_AdministratorResetsAtThePages(t *testing.T) {
	w := administered(t)
	user, totp := w.twoFactor()
	owner := w.signIn(user, totp)
	boss := w.administrator("boss@example.test")
	list := boss.page("admin/?q=" + url.QueryEscape(user))
	if !strings.Contains(list.Body, `value="`+handle(owner.account().ID)+`"`) || strings.Contains(list.Body, "dave@") {
		t.Fatalf("the list:\n%s", list.Body)
	}
	if page := boss.page(about("account", user)); !strings.Contains(page.Body, "action=reset") {
		t.Error("no reset is offered for an account with two-step login")
	}
	plain := w.user()
	if page := boss.page(about("account", plain)); strings.Contains(page.Body, "action=reset") {
		t.Error("a reset is offered where there is nothing to reset")
	}
	ask := boss.page(about("change", user, "action", "reset"))
	done := w.submit(boss.b, http.StatusOK, ask, "admin/change")
	if done.Header.Get("Cache-Control") != "no-store" || !strings.Contains(done.Body, `id="value"`) {
		t.Fatalf("no token is shown:\n%s", done.Body)
	}
	if view := owner.view(); view.TwoFactor != desk.TwoFactorMustEnrol || len(view.Factors)+len(view.Sessions) != 0 {
		t.Errorf("after the reset: %+v", view.Summary)
	}
	w.call("renew", "denied", hooktest.Fields{"grant": owner.grant})
	if page := boss.page(about("account", user)); !strings.Contains(page.Body, "action=token") || strings.Contains(page.Body, `id="value"`) {
		t.Error("no new token is offered, or the old one is shown again")
	}
	again := w.submit(boss.b, http.StatusConflict, boss.page(about("change", plain, "action", "reset")), "admin/change")
	if !strings.Contains(again.Body, `role="alert"`) {
		t.Error("a reset of nothing says nothing")
	}
}

// ATTACKS 27: another domain's accounts, list and policy are refused at every page and to
// every form, and read like what is not there.
func TestAttack27_PagesRefuseAnotherDomain(t *testing.T) {
	w := administered(t)
	boss := w.administrator("boss@example.test")
	own := w.user()
	const other = "dave@other.test"
	nobody := w.get(boss.b, http.StatusForbidden, w.Webmail.PublicURL+about("account", "nobody@example.test"))
	foreign := w.get(boss.b, http.StatusForbidden, w.Webmail.PublicURL+about("account", other))
	plainly := func(p *hooktest.Page, name string) string { // without what the request itself put there
		_, main, _ := strings.Cut(p.Body, "<main")
		main, _, _ = strings.Cut(main, "</main>")
		return strings.ReplaceAll(main, name, "")
	}
	if plainly(nobody, "nobody@example.test") != plainly(foreign, other) {
		t.Error("another domain's mailbox does not read like one that is not there")
	}
	for _, path := range []string{about("change", other, "action", "reset"), about("change", other, "action", "class"), about("totp", other), "admin/?domain=other.test",
		"admin/policy?level=domain&of=other.test", "admin/policy?level=account&of=" + other, "admin/bulk?domain=other.test&action=reset&selected=x",
		about("change", "chief@example.test", "action", "reset"), about("change", "boss@example.test", "action", "reset")} {
		w.get(boss.b, http.StatusForbidden, w.Webmail.PublicURL+path)
	}
	form, target, err := boss.page(about("change", own, "action", "revoke_all")).Form("admin/change")
	must(t, err)
	for _, action := range []string{"reset", "revoke_all", "sessions", "class", "token"} {
		form.Set("account", other)
		form.Set("action", action)
		if got := w.post(boss.b, target, form); got.Status != http.StatusForbidden {
			t.Errorf("%s of another domain: %d", action, got.Status)
		}
	}
	set, to, err := boss.page("admin/policy?level=domain&of=example.test").Form("admin/policy")
	must(t, err)
	for level, of := range map[string]string{"domain": "other.test", "class": "students", "account": other} {
		set.Set("level", level)
		set.Set("of", of)
		set.Set("twofactor", "off")
		if got := w.post(boss.b, to, set); got.Status != http.StatusForbidden {
			t.Errorf("policy of %s %s: %d", level, of, got.Status)
		}
	}
	set.Set("level", "default")
	set.Set("of", "")
	if got := w.post(boss.b, to, set); got.Status < 400 {
		t.Errorf("the site's default: %d", got.Status)
	}
	view, err := w.desk.Overview(t.Context(), other)
	if err != nil || view.TwoFactor != desk.TwoFactorOn {
		t.Errorf("%+v, %v", view.Summary, err)
	}
}

// Who administers nothing, or has no second factor, stays outside; and a session of
// webmail alone, without a factor given for these pages, shows nothing (FEATURES A8).
func TestA8_AdministrationAsksForAFactor(t *testing.T) {
	w := administered(t)
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	p.settings()
	w.get(p.b, http.StatusForbidden, w.Webmail.PublicURL+"admin/")
	stranger := w.browser()
	if to := w.get(stranger, http.StatusSeeOther, w.Webmail.PublicURL+"admin/").Location(); !strings.HasSuffix(to, "/admin/sign-in") {
		t.Errorf("a stranger is led to %s", to)
	}
	plain := w.user() // signs in, and administers nothing
	form := w.get(stranger, http.StatusOK, w.Webmail.PublicURL+"admin/sign-in")
	w.submit(stranger, http.StatusUnprocessableEntity, form, "admin/sign-in", "username", plain, "password", "wrong")
	w.submit(stranger, http.StatusForbidden, form, "admin/sign-in", "username", plain, "password", mailtest.Password)
	if view, err := w.desk.Overview(t.Context(), plain); err != nil || len(view.Sessions) != 0 || stranger.Cookies["__Host-postern_settings"] != "" {
		t.Errorf("a session goes on: %+v, %v", view.Sessions, err)
	}
	boss := w.signIn("boss@example.test", staff["boss@example.test"])
	if page := boss.settings(); !strings.Contains(page.Body, `/admin/"`) {
		t.Error("Security does not lead an administrator to the administration")
	}
	for path := range adminPages {
		if path = strings.TrimSuffix(path, "{$}"); path == "admin/sign-in" || path == "admin/passkey" || path == "admin/back" || path == "admin/leave" {
			continue
		}
		if to := w.get(boss.b, http.StatusSeeOther, w.Webmail.PublicURL+path).Location(); !strings.Contains(to, "/security/confirm?next=") {
			t.Errorf("%s leads to %s", path, to)
		}
	}
	if page := boss.confirm("admin/"); !strings.Contains(page.Body, `<table class="list"`) {
		t.Error("a factor does not lead to the list")
	}
}

// The help desk resets, and neither sees addresses and policies nor revokes (FEATURES A18).
func TestA18_HelpDeskAtThePages(t *testing.T) {
	w := administered(t)
	user, totp := w.twoFactor()
	w.signIn(user, totp)
	help := w.administrator("desk@example.test")
	page := help.page(about("account", user))
	for _, hidden := range []string{addr, "action=revoke", "action=class", "admin/totp", "admin/policy", `id="policy"`, `"#policy"`} {
		if strings.Contains(page.Body, hidden) {
			t.Errorf("the help desk sees %s", hidden)
		}
	}
	if !strings.Contains(page.Body, "action=reset") {
		t.Error("no reset is offered")
	}
	w.get(help.b, http.StatusForbidden, w.Webmail.PublicURL+"admin/policy?level=domain&of=example.test")
	w.get(help.b, http.StatusForbidden, w.Webmail.PublicURL+about("change", user, "action", "revoke_all"))
	w.get(help.b, http.StatusForbidden, w.Webmail.PublicURL+about("change", "boss@example.test", "action", "reset"))
	w.submit(help.b, http.StatusOK, help.page(about("change", user, "action", "reset")), "admin/change")
}

// A hardware token is handed out, its code is shown for a reason only, and it is taken
// away again (FEATURES T4, T5).
func TestT4_AdministratorHandsATokenOut(t *testing.T) {
	w := administered(t)
	user := w.user()
	boss := w.administrator("boss@example.test")
	form := boss.page(about("totp", user))
	fields := []string{"name", "Token 42", "algorithm", "SHA256", "digits", "8", "period", "60"}
	w.submit(boss.b, http.StatusUnprocessableEntity, form, "admin/totp", append(fields, "secret", "not base32!")...)
	w.submit(boss.b, http.StatusSeeOther, form, "admin/totp", append(fields, "secret", "gezd gnbv gy3t qojq")...)
	view, err := w.desk.Overview(t.Context(), user)
	must(t, err)
	if len(view.TOTP) != 1 || view.TOTP[0].Digits != 8 || view.TOTP[0].Algorithm != factor.SHA256 || view.TOTP[0].Period != 60 {
		t.Fatalf("%+v", view.TOTP)
	}
	ask := boss.page(about("change", user, "action", "code", "kind", "totp", "id", view.TOTP[0].ID))
	w.submit(boss.b, http.StatusUnprocessableEntity, ask, "admin/change", "reason", " ")
	long := w.submit(boss.b, http.StatusUnprocessableEntity, ask, "admin/change", "reason", strings.Repeat("x", 201))
	if !strings.Contains(long.Body, "200 characters or fewer") {
		t.Errorf("a long reason:\n%s", long.Body)
	}
	shown := w.submit(boss.b, http.StatusOK, ask, "admin/change", "reason", "ticket 17")
	if !strings.Contains(shown.Body, `id="value"`) {
		t.Error("no code is shown")
	}
	gone := w.submit(boss.b, http.StatusOK, boss.page(about("change", user, "action", "revoke", "kind", "totp", "id", view.TOTP[0].ID)), "admin/change")
	if !strings.Contains(gone.Body, `id="value"`) { // it was the last one: the owner needs a token
		t.Error("no enrolment token is shown")
	}
}

// Several mailboxes at once: what is done is listed first, counted by hand, and told of
// each.
func TestA5_SeveralMailboxesAtOnce(t *testing.T) {
	w := administered(t)
	boss := w.administrator("boss@example.test")
	one, _ := w.twoFactor()
	two := w.user() // nothing to reset
	var selected []string
	for _, user := range []string{one, two} {
		p := &person{world: w, user: user}
		selected = append(selected, handle(p.account().ID))
	}
	q := url.Values{"domain": {"example.test"}, "action": {"reset"}, "selected": selected}
	ask := boss.page("admin/bulk?" + q.Encode())
	if !strings.Contains(ask.Body, "2 of ") {
		t.Error("the page does not count what is selected")
	}
	w.submit(boss.b, http.StatusUnprocessableEntity, ask, "admin/bulk", "count", "3")
	w.submit(boss.b, http.StatusUnprocessableEntity, ask, "admin/bulk", "count", "1", "selected", strings.Join(selected, " "))
	done := w.submit(boss.b, http.StatusOK, ask, "admin/bulk", "count", "2")
	failed, rest, _ := strings.Cut(done.Body, `id="done-title"`)
	name := func(user string) string { local, _, _ := strings.Cut(user, "@"); return local }
	if !strings.Contains(failed, name(two)) || !strings.Contains(rest, name(one)) {
		t.Errorf("what was done and what not is not told:\n%s", done.Body)
	}
	w.get(boss.b, http.StatusUnprocessableEntity, w.Webmail.PublicURL+"admin/bulk?domain=example.test&action=reset")
	q.Set("action", "class")
	w.submit(boss.b, http.StatusOK, boss.page("admin/bulk?"+q.Encode()), "admin/bulk", "count", "2", "class", "Staff")
	if view, err := w.desk.Overview(t.Context(), two); err != nil || view.Class != "staff" {
		t.Errorf("class %q, %v", view.Class, err)
	}
}

// A domain's policy: set, unset, refused with the reason where values contradict each
// other; what somebody else sets meanwhile stays (FEATURES A1, A2).
func TestA2_PolicyOfADomainAtThePages(t *testing.T) {
	w := administered(t)
	boss := w.administrator("boss@example.test")
	level, err := policy.NewLevel(policy.LevelDomain, "example.test")
	must(t, err)
	policies := desk.Policies{Desk: w.desk, Store: w.desk.Store.(desk.PolicyStore)}
	t.Cleanup(func() {
		if _, err := policies.UnsetAll(t.Context(), operator, level); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	form := boss.page("admin/policy?level=domain&of=example.test")
	_, err = policies.Set(t.Context(), operator, level, desk.Assignment{Key: "app_password_max", Value: "7"})
	must(t, err)
	w.submit(boss.b, http.StatusSeeOther, form, "admin/policy", "trusted_device_days", "60", "recommend", "false")
	shown, err := policies.Show(t.Context(), level)
	must(t, err)
	if got := shown.Own.JSON(); !strings.Contains(got, `"trusted_device_days":60`) || !strings.Contains(got, `"app_password_max":7`) || !strings.Contains(got, `"recommend":false`) {
		t.Errorf("the domain sets %s", got)
	}
	form = boss.page("admin/policy?level=domain&of=example.test")
	for _, wrong := range [][]string{{"trusted_device_days", "3", "session_life", "7d"}, {"grace", "400d"}, {"twofactor", "perhaps"}, {"methods", "smoke"}} {
		refused := w.submit(boss.b, http.StatusUnprocessableEntity, form, "admin/policy", wrong...)
		if !strings.Contains(refused.Body, `role="alert"`) || !strings.Contains(refused.Body, wrong[0]) {
			t.Errorf("%v: the reason is not told", wrong)
		}
	}
	w.submit(boss.b, http.StatusSeeOther, form, "admin/policy", "trusted_device_days", "", "recommend", "", "app_password_max", "")
	if shown, err = policies.Show(t.Context(), level); err != nil || !shown.Own.Empty() {
		t.Errorf("the domain sets %s, %v", shown.Own.JSON(), err)
	}
	if read := boss.page("admin/policy?level=default"); strings.Contains(read.Body, `name="twofactor"`) {
		t.Error("the site's default can be changed")
	}
}

// The list has pages and filters, for many mailboxes too.
func TestA5_ListOfManyMailboxes(t *testing.T) {
	w := administered(t)
	for range perPage + 1 {
		w.user()
	}
	boss := w.administrator("boss@example.test")
	first := boss.page("admin/")
	if n := strings.Count(first.Body, `name="selected"`); n != perPage || !strings.Contains(first.Body, `rel="next"`) {
		t.Errorf("%d mailboxes on the first page", n)
	}
	if all := boss.page("admin/?all=yes"); strings.Count(all.Body, " checked") != perPage {
		t.Error("not all of the page are ticked")
	}
	if second := boss.page("admin/?page=2"); !strings.Contains(second.Body, `rel="prev"`) || strings.Count(second.Body, `name="selected"`) == 0 {
		t.Error("no second page")
	}
	on := boss.page("admin/?state=on")
	if strings.Contains(on.Body, "w0") && !strings.Contains(on.Body, "boss") || !slices.Contains([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, strings.Count(on.Body, `name="selected"`)) {
		t.Error("the filter shows others than those with two-step login")
	}
	boss.submit(boss.b, http.StatusOK, first, "admin/leave")
	w.get(boss.b, http.StatusSeeOther, w.Webmail.PublicURL+"admin/")
}
