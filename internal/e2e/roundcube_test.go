package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/internal/browsertest"
	"postern/internal/desk"
	"postern/internal/mailclient"
	"postern/internal/mailtest"
)

// webmail is a site with Roundcube and the plug-in, where tickets are so short that
// every request renews them, and Dovecot writes down which passwords it sees.
type webmail struct{ *world }

// roundcubes are the versions that the plug-in is for. What depends on Roundcube's own
// ways is tested with both, the rest with one of them.
var roundcubes = []mailtest.RoundcubeVersion{mailtest.RC165, mailtest.RC1618}

// eachRoundcube runs a test with every Roundcube, at a site that tests share; they must
// leave it running.
func eachRoundcube(t *testing.T, f func(*webmail, *testing.T)) {
	t.Helper()
	atRoundcubes(t, roundcubes, f)
}

// oneRoundcube runs it with one.
func oneRoundcube(t *testing.T, v mailtest.RoundcubeVersion, f func(*webmail, *testing.T)) {
	t.Helper()
	atRoundcubes(t, []mailtest.RoundcubeVersion{v}, f)
}

func atRoundcubes(t *testing.T, versions []mailtest.RoundcubeVersion, f func(*webmail, *testing.T)) {
	t.Helper()
	mailtest.Long(t)
	for _, v := range versions {
		t.Run(string(v), func(t *testing.T) {
			w := &webmail{inhabit(t, mailtest.Shared(t, "roundcube-"+string(v), webmailOptions(v)))}
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(w.Webmail.Webhook().Log(), w.Webmail.Roundcube.Log())
				}
			})
			f(w, t)
		})
	}
}

// ownRoundcube gives a test sites of its own, with further plug-ins.
func ownRoundcube(t *testing.T, versions []mailtest.RoundcubeVersion, f func(*webmail, *testing.T), plugins ...mailtest.RoundcubePlugin) {
	t.Helper()
	mailtest.Long(t)
	for _, v := range versions {
		t.Run(string(v), func(t *testing.T) { f(&webmail{fresh(t, webmailOptions(v, plugins...))}, t) })
	}
}

func webmailOptions(v mailtest.RoundcubeVersion, plugins ...mailtest.RoundcubePlugin) mailtest.Options {
	return mailtest.Options{
		Dovecot: &mailtest.DovecotOptions{Door: "2.3-lua.conf", Extra: "auth_debug = yes\nauth_debug_passwords = yes\n"},
		Postfix: &mailtest.PostfixOptions{},
		Webmail: &mailtest.WebmailOptions{
			Roundcube:    &mailtest.RoundcubeOptions{Version: v, Plugins: plugins},
			PluginConfig: "$config['postern_passkey_button'] = true;\n",
		},
		Settings: mailtest.Settings{"webhook": {"ticket_life": "1m"}},
	}
}

const mainPassword = "my own main password"

// authenticated makes a user with an authenticator app, which tells a code of now,
// one of half a minute ago, and so on.
func (w *webmail) authenticated() (string, func(steps int) string) {
	w.t.Helper()
	user := w.user(mainPassword)
	a, err := w.desk.AddTOTP(w.t.Context(), admin, user, desk.NewTOTP{})
	must(w.t, err)
	return user, func(steps int) string {
		code, err := totp.GenerateCode(a.TOTP.SecretText(), time.Now().Add(time.Duration(steps)*30*time.Second))
		must(w.t, err)
		return code
	}
}

var saslResponse = regexp.MustCompile(`\bresp=([A-Za-z0-9+/]+=*)`)

// passwords are those that mail servers were shown for a user, in order.
func (w *webmail) passwords(user string) []string {
	w.t.Helper()
	var all []string
	for _, m := range saslResponse.FindAllStringSubmatch(w.Dovecot.Log(), -1) {
		text, err := base64.StdEncoding.DecodeString(m[1])
		if parts := strings.Split(string(text), "\x00"); err == nil && len(parts) == 3 && parts[1] == user {
			all = append(all, parts[2])
		}
	}
	return all
}

// signIn takes a browser up to the inbox.
func (w *webmail) signIn(t *testing.T, user, code string) (*browsertest.Browser, *browsertest.Webmail) {
	t.Helper()
	b := browsertest.New(t)
	rc := b.Webmail(w.Webmail.URL)
	rc.SignIn(user, mainPassword)
	if code != "" {
		rc.Fill("#code", code)
		rc.Follow("button.primary")
	}
	rc.WaitInbox()
	return b, rc
}

// ajax asks Roundcube as its scripts do, from the page in a tab.
func ajax(tab *browsertest.Tab, query string) string {
	return browsertest.Eval[string](tab, fmt.Sprintf(
		`fetch("./?%s&_remote=1", {headers: {"X-Roundcube-Request": rcmail.env.request_token}}).then(r => r.text())`, query))
}

// TestRoundcubeSecondFactor: no mail server hears of a login before the code is
// right, and never of the password; then mail is sent and read for longer than a
// ticket lives.
func TestRoundcubeSecondFactor(t *testing.T) {
	eachRoundcube(t, func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		b := browsertest.New(t)
		rc := b.Webmail(w.Webmail.URL)
		rc.SignIn(user, mainPassword)
		rc.WaitFor("#code")

		half := b.NewTab().Webmail(w.Webmail.URL)
		half.Task("_task=mail")
		half.WaitLogin()
		if got := ajax(half.Tab, "_task=mail&_action=list&_mbox=INBOX"); !strings.Contains(got, "session_error") || strings.Contains(got, "add_message_row") {
			t.Errorf("half-finished: %s", got)
		}

		rc.Fill("#code", "123456")
		if status := rc.Follow("button.primary"); status != http.StatusUnprocessableEntity || len(w.passwords(user)) != 0 {
			t.Errorf("a wrong code: status %d, the mail server saw %q", status, w.passwords(user))
		}
		rc.Fill("#code", code(0))
		rc.Follow("button.primary")
		rc.WaitInbox()
		rc.Send(user, "by ticket", "Hello.")
		if got := rc.Read("by ticket"); got != "Hello." {
			t.Errorf("the message says %q", got)
		}
		rc.Task("_task=settings&_action=plugin.managesieve")
		seen := w.passwords(user)
		for _, p := range seen {
			if !strings.HasPrefix(p, "pt1_") {
				t.Errorf("a mail server saw %q", p)
			}
		}
		if len(seen) < 4 || seen[0] == seen[len(seen)-1] {
			t.Errorf("the ticket was not renewed: %q", seen)
		}
		if strings.Contains(w.Webmail.Roundcube.Log(), "plugins/postern") {
			t.Error("PHP complains about the plug-in")
		}
		rc.NoProblems("status of 422")
	})
}

// TestRoundcubeCodeOnce: a code that somebody looked at over a shoulder is spent,
// and the address that the browser came back with is worth nothing elsewhere.
func TestRoundcubeCodeOnce(t *testing.T) {
	oneRoundcube(t, mailtest.RC165, func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		spent := code(0)
		_, rc := w.signIn(t, user, spent)
		rc.NoProblems()
		thief := browsertest.New(t).Webmail(w.Webmail.URL)
		thief.SignIn(user, mainPassword)
		thief.Fill("#code", spent)
		if status := thief.Follow("button.primary"); status != http.StatusUnprocessableEntity {
			t.Errorf("a replayed code: status %d", status)
		}
		back := regexp.MustCompile(`"GET (/\?_task=login&_action=postern[^ ]*code=[^ ]*) HTTP`)
		var all [][]string
		eventually(t, "somebody came back from the page", func() bool {
			all = back.FindAllStringSubmatch(w.Webmail.Nginx.Log(), -1)
			return all != nil
		})
		returned := all[len(all)-1] // tests come one after the other
		for _, b := range []*browsertest.Webmail{thief, browsertest.New(t).Webmail(w.Webmail.URL)} {
			b.Go(strings.TrimSuffix(w.Webmail.URL, "/") + returned[1])
			if got := b.WaitLogin(); !strings.Contains(got, "went on in another window") {
				t.Errorf("the login page says %q", got)
			}
		}
	})
}

// TestRoundcubeTwoTabs: of two logins in one browser the later counts, and a page
// left open leads to the inbox.
func TestRoundcubeTwoTabs(t *testing.T) {
	oneRoundcube(t, mailtest.RC1618, func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		b := browsertest.New(t)
		first, second := b.Webmail(w.Webmail.URL), b.NewTab().Webmail(w.Webmail.URL)
		first.SignIn(user, mainPassword)
		second.SignIn(user, mainPassword)
		first.Fill("#code", code(-1))
		first.Follow("button.primary")
		if got := first.WaitLogin(); !strings.Contains(got, "went on in another window") {
			t.Errorf("the login page says %q", got)
		}
		second.Fill("#code", code(0))
		second.Follow("button.primary")
		second.WaitInbox()
		first.Task("_task=mail")
		first.WaitInbox()
	})
}

// TestRoundcubeCancel goes back from the page.
func TestRoundcubeCancel(t *testing.T) {
	oneRoundcube(t, mailtest.RC165, func(w *webmail, t *testing.T) {
		user, _ := w.authenticated()
		rc := browsertest.New(t).Webmail(w.Webmail.URL)
		rc.SignIn(user, mainPassword)
		rc.WaitFor("#code")
		rc.Follow(`form[action$="/cancel"] button, a[href*="cancel"]`)
		if got := rc.WaitLogin(); !strings.Contains(got, "You have not signed in.") || rc.Value("#rcmloginuser") != user {
			t.Errorf("the login page says %q", got)
		}
	})
}

// TestRoundcubePasskeyButton begins a login without a password, and thinks better of it.
func TestRoundcubePasskeyButton(t *testing.T) {
	oneRoundcube(t, mailtest.RC1618, func(w *webmail, t *testing.T) {
		rc := browsertest.New(t).Webmail(w.Webmail.URL)
		rc.Go(w.Webmail.URL)
		rc.WaitFor("#postern-passkey")
		rc.Screenshot("roundcube-login", 1280, 800)
		rc.Screenshot("roundcube-login", 360, 740)
		rc.Follow("#postern-passkey")
		rc.WaitText("main", "Sign in with a passkey")
		rc.Follow(`form[action$="/cancel"] button, a[href*="cancel"]`)
		if got := rc.WaitLogin(); !strings.Contains(got, "You have not signed in.") {
			t.Errorf("the login page says %q", got)
		}
		rc.NoProblems()
	})
}

// TestRoundcubeLogout: the ticket that was good for mail is refused at once.
func TestRoundcubeLogout(t *testing.T) {
	eachRoundcube(t, func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		_, rc := w.signIn(t, user, code(0))
		ticket := last(w.passwords(user))
		w.want(mailclient.OK, user, ticket)
		w.want(mailclient.Refused, user, mainPassword)
		rc.Logout()
		w.want(mailclient.Refused, user, ticket)
		rc.Task("_task=mail")
		rc.WaitLogin()
		rc.NoProblems()
	})
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

// TestRoundcubeSessionEnded: somebody ends the session elsewhere. A page and a
// request of the scripts both lead to the login page, which says so.
func TestRoundcubeSessionEnded(t *testing.T) {
	eachRoundcube(t, func(w *webmail, t *testing.T) {
		for name, next := range map[string]func(*browsertest.Webmail){
			"page": func(rc *browsertest.Webmail) { rc.Task("_task=mail") },
			"ajax": func(rc *browsertest.Webmail) { browsertest.Eval[bool](rc.Tab, `rcmail.refresh() || true`) },
		} {
			user, code := w.authenticated()
			_, rc := w.signIn(t, user, code(0))
			ticket := last(w.passwords(user))
			_, err := w.desk.EndAllSessions(t.Context(), admin, user)
			must(t, err)
			next(rc)
			if got := rc.WaitLogin(); !strings.Contains(got, "Your session has ended. Sign in again.") {
				t.Errorf("%s: the login page says %q", name, got)
			}
			w.want(mailclient.Refused, user, ticket)
		}
	})
}

// TestRoundcubeSecurity goes from Settings to the hosted pages and back.
func TestRoundcubeSecurity(t *testing.T) {
	oneRoundcube(t, mailtest.RC1618, func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		_, rc := w.signIn(t, user, code(0))
		rc.Task("_task=settings")
		rc.Screenshot("roundcube-settings", 1280, 800)
		rc.Follow("#settings-menu li.postern a")
		rc.WaitText("main", "Two-step login is on")
		if !strings.HasPrefix(rc.Tab.URL(), w.Webmail.PublicURL) {
			t.Error(rc.Tab.URL())
		}
		rc.Go(w.Webmail.URL + "?_task=settings&_action=plugin.postern") // typed: nobody clicked
		rc.WaitText("#layout-content", "pages of their own")
		rc.Screenshot("roundcube-security", 1280, 800)
		rc.Follow("#layout-content form button")
		rc.WaitText("main", "Two-step login is on")
		rc.NoProblems()
	})
}

// TestRoundcubeRecommendation: who has no second factor reads about it once.
func TestRoundcubeRecommendation(t *testing.T) {
	oneRoundcube(t, mailtest.RC165, func(w *webmail, t *testing.T) {
		user := w.user(mainPassword)
		_, rc := w.signIn(t, user, "")
		rc.WaitText("#messagestack", "Set up two-step login")
		rc.Screenshot("roundcube-recommendation", 1280, 800)
		rc.Click("#messagestack a")
		rc.WaitURL("/2fa/")
		rc.Task("_task=mail")
		rc.WaitInbox()
		if rc.Has("#messagestack a") {
			t.Error("recommended twice")
		}
		rc.NoProblems()
	})
}

// passwordPlugin is Roundcube's own, which changes passwords through a web server;
// that tells old and new ones.
func passwordPlugin(t *testing.T) (mailtest.RoundcubePlugin, chan [2]string) {
	t.Helper()
	changed := make(chan [2]string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changed <- [2]string{r.FormValue("old"), r.FormValue("new")}
		_, _ = w.Write([]byte("ok"))
	}))
	t.Cleanup(s.Close)
	return mailtest.RoundcubePlugin{Name: "password", Config: fmt.Sprintf(`<?php
$config['password_driver'] = 'httpapi';
$config['password_confirm_current'] = true;
$config['password_httpapi_url'] = '%s';
$config['password_httpapi_method'] = 'POST';
$config['password_httpapi_var_user'] = 'user';
$config['password_httpapi_var_curpass'] = 'old';
$config['password_httpapi_var_newpass'] = 'new';
$config['password_httpapi_expect'] = '/^ok$/';
`, s.URL)}, changed
}

// TestRoundcubePassword changes the password by Roundcube's own plug-in.
func TestRoundcubePassword(t *testing.T) {
	plugin, changed := passwordPlugin(t)
	ownRoundcube(t, roundcubes, func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		_, rc := w.signIn(t, user, code(0))
		change := func(current, answer string) {
			t.Helper()
			rc.Task("_task=settings&_action=plugin.password")
			rc.Fill("#curpasswd", current)
			rc.Fill("#newpasswd", "another main password 1")
			rc.Fill("#confpasswd", "another main password 1")
			rc.Click("button.submit")
			rc.WaitText("#messagestack", answer)
		}
		change("not my password", "Current password incorrect.")
		change(last(w.passwords(user)), "Current password incorrect.")
		if len(changed) != 0 {
			t.Fatal("changed by a wrong password")
		}
		change(mainPassword, "Successfully saved.")
		if got := <-changed; got != [2]string{mainPassword, "another main password 1"} {
			t.Errorf("%q", got)
		}
		rc.Task("_task=mail")
		rc.WaitInbox()
		for _, p := range w.passwords(user) {
			if !strings.HasPrefix(p, "pt1_") {
				t.Errorf("a mail server saw %q", p)
			}
		}
		rc.NoProblems()
	}, plugin)
}

// TestRoundcubeWebhookDown: Dovecot is the boundary. Who has no second factor logs
// in, who has one does not, and a session that is there goes on.
func TestRoundcubeWebhookDown(t *testing.T) {
	ownRoundcube(t, roundcubes[:1], func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		plain := w.user(mainPassword)
		app := reveal(w.app(user).Password)
		_, rc := w.signIn(t, user, code(0))
		w.Webmail.Webhook().Kill()
		rc.Task("_task=mail")
		rc.WaitInbox()
		w.signIn(t, plain, "")
		w.refused(t, user, mainPassword, "it does not answer at the moment")
		w.refused(t, user, app, "This is an app password, for mail programs.")
		must(t, w.Webmail.Webhook().Restart(context.Background()))
		w.signIn(t, w.user(mainPassword), "")
	})
}

// refused fails the test unless Roundcube refuses a login with a text.
func (w *webmail) refused(t *testing.T, user, password, text string) {
	t.Helper()
	rc := browsertest.New(t).Webmail(w.Webmail.URL)
	rc.SignIn(user, password)
	if got := rc.WaitLogin(); !strings.Contains(got, text) {
		t.Errorf("the login page says %q, not %q", got, text)
	}
}

// TestAttack28_AppPasswordAtWebmail: neither an app password nor a stolen ticket is a
// password at webmail's login, and neither is tried or logged.
func TestAttack28_AppPasswordAtWebmail(t *testing.T) {
	oneRoundcube(t, mailtest.RC1618, func(w *webmail, t *testing.T) {
		user, code := w.authenticated()
		app := reveal(w.app(user).Password)
		w.want(mailclient.OK, user, app)
		w.signIn(t, user, code(0))
		ticket := last(w.passwords(user))
		seen := len(w.passwords(user))
		w.refused(t, user, app, "This is an app password, for mail programs.")
		w.refused(t, user, ticket, "This is an app password, for mail programs.")
		w.refused(t, app, mainPassword, "Login failed")
		if log := w.Webmail.Roundcube.Log(); len(w.passwords(user)) != seen || strings.Contains(log, app) || strings.Contains(log, ticket) {
			t.Error("tried or logged")
		}
	})
}
