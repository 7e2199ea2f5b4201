package e2e

import (
	"net/http"
	"strings"
	"testing"

	"postern/internal/browsertest"
	"postern/internal/desk"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// administered is a site with a domain administrator, boss@example.test, who signs in at
// the administration pages.
func administered(t *testing.T) (w *webmail, code func(steps int) string) {
	t.Helper()
	mailtest.Long(t)
	groups := "ou=mailadmins," + mailtest.Base
	w = &webmail{world: fresh(t, mailtest.Options{
		Mails: true, EndSessions: true, Dovecot: &mailtest.DovecotOptions{Door: "2.3-lua.conf"}, Postfix: &mailtest.PostfixOptions{},
		Webmail:  &mailtest.WebmailOptions{Roundcube: &mailtest.RoundcubeOptions{}, TLS: true},
		Settings: mailtest.Settings{"admin": {"domain_group": "cn=%d," + groups}},
	})}
	const boss = "boss@example.test"
	must(t, w.Slapd.AddUser(boss, mainPassword, nil))
	must(t, w.Slapd.Add(groups, map[string][]string{"objectClass": {"organizationalUnit"}}))
	must(t, w.Slapd.Add("cn=example.test,"+groups, map[string][]string{"objectClass": {"groupOfNames"}, "member": {mailtest.UserDN(boss)}}))
	added, err := w.desk.AddTOTP(t.Context(), admin, boss, desk.NewTOTP{})
	must(t, err)
	return w, func(steps int) string { return codeOf(t, added.TOTP.SecretText(), steps) }
}

// TestA5_LostPhone: a domain administrator signs in at the administration pages, sees
// the own domain only, and resets somebody who lost the telephone. All that person had
// is over, a mail says by whom, and the next sign-in leads through enrolment, with the
// token and not without (ATTACKS 37).
func TestA5_LostPhone(t *testing.T) {
	w, code := administered(t)
	carol, carolCode := w.authenticated()
	must(t, w.Slapd.AddUser("other@other.test", mainPassword, nil))
	app := reveal(w.app(carol).Password)
	phone := w.open(mailclient.IMAP, carol, app)
	_, rc := w.signIn(t, carol, carolCode(0))

	boss := browsertest.New(t)
	boss.Go(w.Webmail.PublicURL + "admin/")
	boss.Fill("#username", "boss@example.test")
	boss.Fill("#password", mainPassword)
	boss.Follow("button.primary")
	boss.Fill("#code", code(0))
	boss.Follow("button.primary")
	boss.WaitText("table.list", carol)
	if text := boss.Text("main"); strings.Contains(text, "@other.test") {
		t.Errorf("another domain is in the list:\n%s", text)
	}
	if status := boss.Go(w.Webmail.PublicURL + "admin/account?account=other@other.test"); status != http.StatusForbidden {
		t.Errorf("a mailbox of another domain: %d", status)
	}
	boss.Go(w.Webmail.PublicURL + "admin/")
	boss.Fill("#q", carol)
	boss.Follow("form[role=search] button")
	boss.Follow("table.list a[href*='admin/account']")
	boss.Follow("a[href*='action=reset']")
	boss.Follow("main form button.danger")
	token := boss.Text("#value")
	if boss.Phone(); boss.Overflow() > 0 {
		t.Error("the page with the token is wider than a telephone")
	}
	boss.NoProblems("status of 403")

	phone.ends()
	w.want(mailclient.Refused, carol, app)
	w.want(mailclient.Refused, carol, mainPassword)
	rc.Task("_task=mail")
	rc.WaitLogin()
	rc.SignIn(carol, mainPassword)
	page := rc.Tab.URL()
	rc.Task("_task=mail")
	rc.WaitLogin() // there is no way around the page
	rc.Go(page)
	rc.Fill("#enrolment", "wrong-wrong-wrong")
	if status := rc.Follow("button.primary"); status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong token: %d", status)
	}
	rc.Fill("#enrolment", token)
	rc.Follow("button.primary")
	rc.Follow("button[value=totp]")
	addApp(t, rc, 0)
	rc.Click("#saved")
	rc.Follow("button.primary")
	if rc.Has("form[action$='enrol/done']") {
		rc.Follow("button.primary")
	}
	rc.WaitInbox()
	if text := rc.Read("Two-step login was reset"); !strings.Contains(text, "boss@example.test") {
		t.Errorf("the mail does not say by whom:\n%s", text)
	}
}
