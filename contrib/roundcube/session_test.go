package roundcube

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/mailtest"
)

func TestLogout(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	grant := s.onlyGrant()
	b.get("?_task=mail")
	p := b.get("?_task=logout&_token=" + b.token)
	if !p.loginPage() || s.hook.live() != 0 || s.hook.last("/v1/logout").fields["grant"] != grant {
		t.Errorf("%d, %d sessions", p.status, s.hook.live())
	}
	if p := b.get("?_task=mail"); !p.loginPage() {
		t.Errorf("%d", p.status)
	}
}

func (s *site) onlyGrant() string {
	s.hook.mu.Lock()
	defer s.hook.mu.Unlock()
	for g := range s.hook.grants {
		return g
	}
	s.t.Fatal("no session")
	return ""
}

// TestLogoutWhileTheWebhookIsDown: the session here ends all the same.
func TestLogoutWhileTheWebhookIsDown(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	b.get("?_task=mail")
	s.hook.down()
	if p := b.get("?_task=logout&_token=" + b.token); !p.loginPage() {
		t.Errorf("%d", p.status)
	}
	if p := b.get("?_task=mail"); !p.loginPage() {
		t.Error("logged in after logout")
	}
	if !strings.Contains(s.rc.Log(), "postern: /v1/logout: cannot connect") {
		t.Error("not logged")
	}
}

// TestRenewal: in every kind of request, when less than two minutes are left.
func TestRenewal(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	for _, where := range []string{"?_task=mail", "?_task=mail&_action=keep-alive&_remote=1"} {
		b.get(where, "X-Roundcube-Request", b.token)
	}
	if slices.Contains(s.hook.paths(), "/v1/renew") {
		t.Fatal("renewed a ticket of ten minutes at once")
	}

	s.hook.change(func() { s.hook.life = time.Minute })
	b = s.browser()
	b.login(alice)
	grant := s.hook.last("/v1/renew").fields["grant"]
	for _, where := range []string{"?_task=mail", "?_task=mail&_action=keep-alive&_remote=1", "?_task=mail&_action=list&_remote=1&_mbox=INBOX"} {
		before := count(s.hook.paths(), "/v1/renew")
		p := b.get(where, "X-Roundcube-Request", b.token)
		if n := count(s.hook.paths(), "/v1/renew") - before; p.status != http.StatusOK || n < 1 {
			t.Errorf("%s: %d, %d renewals", where, p.status, n)
		}
	}
	if got := s.hook.last("/v1/renew").fields["grant"]; got != grant {
		t.Error("the grant changed")
	}
	tries := strings.Split(strings.TrimSpace(s.tries()), "\n")
	if last := tries[len(tries)-1]; slices.Index(tries, last) != len(tries)-1 {
		t.Errorf("the mail server never saw the new ticket:\n%s", s.tries())
	}

	s.hook.change(func() { s.hook.life = 10 * time.Minute })
	b.get("?_task=mail")
	before := count(s.hook.paths(), "/v1/renew")
	b.get("?_task=mail")
	if count(s.hook.paths(), "/v1/renew") != before {
		t.Error("renewed although the new ticket is fresh")
	}
}

// end ends all sessions at the webhook.
func (f *fake) end() { f.change(func() { clear(f.grants) }) }

// TestSessionEnded: the webhook says no at renewal. Every kind of request tells the
// browser to log in again, and says why once.
func TestSessionEnded(t *testing.T) {
	s := newSite(t, "")
	s.hook.change(func() { s.hook.life = time.Minute })
	for name, ask := range map[string]func(b *browser) page{
		"page":     func(b *browser) page { return b.get("?_task=mail") },
		"ajax":     func(b *browser) page { return b.ajax("?_task=mail&_action=list&_mbox=INBOX") },
		"iframe":   func(b *browser) page { return b.get("?_task=settings&_action=edit-prefs&_section=general&_framed=1") },
		"logout":   func(b *browser) page { return b.get("?_task=logout&_token=" + b.token) },
		"security": func(b *browser) page { return b.get("?_task=settings&_action=plugin.postern") },
	} {
		b := s.browser()
		b.login(alice)
		b.get("?_task=mail")
		s.hook.end()
		tried := s.tries()
		p := ask(b)
		redirected := p.status == http.StatusFound && strings.HasSuffix(p.location, "?_task=login")
		told := strings.Contains(p.body, "session_error(") && strings.Contains(p.body, "_task=login")
		if !redirected && !told || p.loggedIn() || s.tries() != tried {
			t.Errorf("%s: %d %s %.2000s", name, p.status, p.location, p.body)
		}
		p = b.get("?_task=login")
		p.refused(t, "Your session has ended. Sign in again.")
		if p = b.get("?_task=login"); strings.Contains(p.message(), "ended") {
			t.Errorf("%s: said twice", name)
		}
		if p = b.get("?_task=mail"); !p.loginPage() {
			t.Errorf("%s: still logged in", name)
		}
	}
	if slices.Contains(s.hook.paths(), "/v1/logout") {
		t.Error("a session that has ended was ended again")
	}
}

// TestWebhookDownInASession: it goes on until the ticket ends, without asking at
// every click, and heals when the webhook is back.
func TestWebhookDownInASession(t *testing.T) {
	s := newSite(t, "")
	s.hook.change(func() { s.hook.life = time.Minute })
	b := s.browser()
	b.login(alice)
	s.hook.answers("/v1/renew", http.StatusServiceUnavailable, `{"result":"unavailable"}`)
	before := count(s.hook.paths(), "/v1/renew")
	for range 3 {
		if p := b.get("?_task=mail"); !p.loggedIn() {
			t.Fatalf("%d", p.status)
		}
	}
	if n := count(s.hook.paths(), "/v1/renew") - before; n != 1 {
		t.Errorf("%d tries to renew", n)
	}
	s.hook.shut() // the ticket has ended
	p := b.ajax("?_task=mail&_action=list&_mbox=INBOX")
	if strings.Contains(p.body, "add_message_row") || strings.Contains(p.body, "session_error") {
		t.Errorf("%.500s", p.body)
	}
	s.hook.answers("/v1/renew", 0, "")
	if p := b.get("?_task=mail"); !p.loggedIn() || strings.Contains(p.message(), "failed") {
		t.Errorf("not healed: %d %s", p.status, p.message())
	}
}

// TestTicketRefusedInASession: Dovecot refuses a ticket that should be good. A new
// one is tried, once.
func TestTicketRefusedInASession(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	s.hook.shut()
	if p := b.get("?_task=mail"); !p.loggedIn() || p.message() != "" {
		t.Errorf("not healed: %d %s", p.status, p.message())
	}
	if n := count(s.hook.paths(), "/v1/renew"); n != 1 {
		t.Errorf("%d renewals", n)
	}

	tickets := s.hook.tickets
	before := len(s.hook.paths())
	s.hook.change(func() { s.hook.tickets = tickets + ".lost" }) // and no new one is good
	if err := os.WriteFile(tickets, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if p := b.get("?_task=mail"); !p.loggedIn() || len(s.hook.paths()) != before+1 {
		t.Errorf("%d %s, %v", p.status, p.message(), s.hook.paths())
	}

	s.hook.change(func() { s.hook.tickets = tickets })
	s.hook.end()
	p := b.get("?_task=mail")
	if p.status != http.StatusFound || !strings.HasSuffix(p.location, "?_task=login") {
		t.Errorf("%d %s %s", p.status, p.location, p.message())
	}
	b.get(p.location).refused(t, "Your session has ended.")
}

// TestMailServerDown: that is no reason to renew, and ends nothing.
func TestMailServerDown(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	s.dovecot.Shutdown()
	p := b.get("?_task=mail")
	if !p.loggedIn() || slices.Contains(s.hook.paths(), "/v1/renew") {
		t.Errorf("%d %v", p.status, s.hook.paths())
	}
	if err := s.dovecot.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := b.get("?_task=mail"); !p.loggedIn() || p.message() != "" {
		t.Errorf("%d %s", p.status, p.message())
	}
}

// TestMailServersGetTickets: submission and ManageSieve as well, fresh ones.
func TestMailServersGetTickets(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	if p := b.get("?_task=settings&_action=plugin.managesieve"); strings.Contains(p.message(), "Unable to connect") {
		t.Error(p.message())
	}
	s.hook.change(func() { s.hook.life = time.Minute })
	s.hook.shut() // tickets made so far are worth nothing: both ways must bring a new one
	b.get("?_task=mail")
	s.hook.shut()
	if p := b.get("?_task=settings&_action=plugin.managesieve"); strings.Contains(p.message(), "Unable to connect") {
		t.Error(p.message())
	}
	b.send()
	for _, line := range strings.Split(strings.TrimSpace(s.tries()), "\n") {
		if strings.HasSuffix(line, password) {
			t.Errorf("the mail server saw the password: %s", line)
		}
	}
	for _, service := range []string{"sieve ", "submission "} {
		if !strings.Contains(s.tries(), service+alice) {
			t.Errorf("%s was not used:\n%s", service, s.tries())
		}
	}
}

// switcher is a plug-in like those for several mail accounts: it puts another one into
// the session.
const switcher = `<?php
class switcher extends rcube_plugin {
	function init() { $this->add_hook('startup', [$this, 'startup']); }
	function startup($args) {
		if (isset($_GET['_switch'])) {
			$_SESSION['username'] = $_GET['_switch'];
			$_SESSION['password'] = rcmail::get_instance()->encrypt('password elsewhere');
		}
		return $args;
	}
}`

// TestOtherAccount: while another mail account is in the session, its server sees no
// ticket, and its password stays.
func TestOtherAccount(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "switcher.php"), []byte(switcher), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, "", mailtest.RoundcubePlugin{Name: "switcher", Dir: dir})
	s.hook.change(func() { s.hook.life = time.Minute })
	s.hook.open("other@example.test", "password elsewhere")
	b := s.browser()
	b.login(alice)
	b.get("?_task=settings&_switch=other@example.test")
	before := len(s.hook.paths())
	for range 2 {
		if p := b.get("?_task=mail"); !p.loggedIn() || p.message() != "" {
			t.Errorf("%d %s", p.status, p.message())
		}
	}
	if strings.Contains(s.tries(), "other@example.test 127.0.0.1 pt1_") || !strings.Contains(s.tries(), "other@example.test 127.0.0.1 password elsewhere") {
		t.Error(s.tries())
	}
	if len(s.hook.paths()) != before {
		t.Errorf("%v", s.hook.paths()[before:])
	}
	b.get("?_task=logout&_token=" + b.token)
	if s.hook.live() != 0 {
		t.Error("the grant lives on after logout")
	}
}

// send tries to send a mail; there is no server behind submission.
func (b *browser) send() {
	b.t.Helper()
	p := b.get("?_task=mail&_action=compose")
	p = b.get(p.location)
	_, rest, _ := strings.Cut(p.body, `"compose_id":"`)
	id, _, ok := strings.Cut(rest, `"`)
	if !ok {
		b.t.Fatalf("no compose form: %d %s", p.status, p.location)
	}
	_, rest, _ = strings.Cut(p.body, `<select name="_from"`)
	_, rest, _ = strings.Cut(rest, `value="`)
	from, _, _ := strings.Cut(rest, `"`)
	b.post("?_task=mail&_action=send&_framed=1", url.Values{
		"_id": {id}, "_from": {from}, "_to": {plain}, "_subject": {"greetings"}, "_message": {"hello"}, "_is_html": {"0"},
	})
}

// secFetch are the headers of a link that was followed within Roundcube.
var secFetch = []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document"}

func TestSecurityInSettings(t *testing.T) {
	const where, link = "?_task=settings&_action=plugin.postern", "http://pages.example.test/2fa/security?link=1"
	s := newSite(t, "")
	b := s.browser()
	b.login(alice)
	if p := b.get("?_task=settings"); !strings.Contains(p.body, `_action=plugin.postern`) || !strings.Contains(p.body, "plugins/postern/skins/elastic/postern") {
		t.Error("no entry, or no icon")
	}
	if p := b.get(where, secFetch...); p.location != link {
		t.Errorf("%d %s", p.status, p.location)
	}
	c := s.hook.last("/v1/settings")
	if c.fields["grant"] != s.onlyGrant() || c.fields["return_to"] != s.base+"?_task=settings" {
		t.Errorf("%+v", c)
	}

	// Another site's link or picture gets a page with a button only.
	n := len(s.hook.paths())
	for _, headers := range [][]string{nil, {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document"}, {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "iframe"}} {
		if p := b.get(where, headers...); p.location != "" || !strings.Contains(p.body, "Open Security") {
			t.Errorf("%v: %d %s", headers, p.status, p.location)
		}
	}
	if p := b.do(http.MethodPost, where, url.Values{"x": {"1"}}); p.location != "" {
		t.Errorf("forged: %d %s", p.status, p.location)
	}
	if len(s.hook.paths()) != n {
		t.Errorf("%v", s.hook.paths())
	}
	b.get(where)
	if p := b.post(where, url.Values{}); p.location != link {
		t.Errorf("%d %s", p.status, p.location)
	}

	s.hook.down()
	if p := b.get(where, secFetch...); p.location != "" || !strings.Contains(p.body, "do not answer at the moment") {
		t.Errorf("%d %s", p.status, p.location)
	}
	s.hook.up()
	s.hook.end()
	if p := b.get(where, secFetch...); !strings.HasSuffix(p.location, "?_task=login") {
		t.Errorf("%d %s", p.status, p.location)
	}
}

func TestRecommendation(t *testing.T) {
	s := newSite(t, "")
	s.hook.change(func() { s.hook.recommend = true })
	b := s.browser()
	b.login(plain)
	b.ajax("?_task=mail&_action=list&_mbox=INBOX")
	for i, want := range []bool{true, false} {
		p := b.get("?_task=mail")
		if got := strings.Contains(p.message(), "Set up two-step login"); got != want {
			t.Errorf("page %d: %t: %s", i, got, p.message())
		}
	}
}

// passwordPlugin is Roundcube's, with a driver that tells a web server what it was
// asked to change.
func passwordPlugin(t *testing.T, changes chan url.Values) mailtest.RoundcubePlugin {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		changes <- r.PostForm
		_, _ = w.Write([]byte("ok"))
	})
	return mailtest.RoundcubePlugin{Name: "password", Config: fmt.Sprintf(`<?php
$config['password_driver'] = 'httpapi';
$config['password_confirm_current'] = true;
$config['password_httpapi_url'] = '%s';
$config['password_httpapi_method'] = 'POST';
$config['password_httpapi_var_user'] = 'user';
$config['password_httpapi_var_curpass'] = 'old';
$config['password_httpapi_var_newpass'] = 'new';
$config['password_httpapi_expect'] = '/^ok$/';
`, address)}
}

// changePassword fills in that plug-in's form.
func (b *browser) changePassword(current string) page {
	return b.post("?_task=settings&_action=plugin.password-save", url.Values{
		"_curpasswd": {current}, "_newpasswd": {"a new Password 1"}, "_confpasswd": {"a new Password 1"},
	})
}

// TestPasswordPlugin: the current password is the account's, not the session's; the
// driver gets it; and the session keeps its ticket.
func TestPasswordPlugin(t *testing.T) {
	changes := make(chan url.Values, 10)
	s := newSite(t, "", passwordPlugin(t, changes))
	b := s.browser()
	b.login(alice)
	b.get("?_task=settings&_action=plugin.password")
	ticket := s.tries()
	ticket = ticket[strings.LastIndex(ticket, "pt1_"):]
	for _, wrong := range []string{"wrong", strings.TrimSpace(ticket)} {
		if p := b.changePassword(wrong); !strings.Contains(p.message(), "Current password incorrect") || len(changes) != 0 {
			t.Errorf("%s", p.message())
		}
	}

	s.hook.answers("/v1/check", http.StatusServiceUnavailable, `{"result":"unavailable"}`)
	if p := b.changePassword(password); !strings.Contains(p.message(), "could not be checked right now") || strings.Contains(p.message(), "incorrect") || len(changes) != 0 {
		t.Error(p.message())
	}
	s.hook.answers("/v1/check", 0, "")

	p := b.changePassword(password)
	if !strings.Contains(p.message(), "Successfully saved") || len(changes) != 1 {
		t.Fatal(p.message())
	}
	if c := <-changes; c.Get("old") != password || c.Get("new") != "a new Password 1" || c.Get("user") != alice {
		t.Errorf("the driver got %v", c)
	}
	if p := b.get("?_task=mail"); !p.loggedIn() || p.message() != "" {
		t.Errorf("the session lost its ticket: %s", p.message())
	}
	if strings.Contains(s.tries(), "Password 1") || strings.Contains(s.tries(), password) {
		t.Errorf("the mail server saw a password:\n%s", s.tries())
	}

	n := len(s.hook.paths())
	b.do(http.MethodPost, "?_task=settings&_action=plugin.password-save", url.Values{"_curpasswd": {password}, "_newpasswd": {"x"}, "_confpasswd": {"x"}})
	if len(changes) != 0 || len(s.hook.paths()) != n {
		t.Errorf("forged: %v", s.hook.paths())
	}
}

// TestNoPasswordInTheSession: what Roundcube stores while alice is logged in, in all
// of its files, is not her password, nor anything else readable.
func TestNoPasswordInTheSession(t *testing.T) {
	s := newSite(t, "")
	b := s.browser()
	b.begin()
	s.searchFiles()
	b = s.browser()
	b.login(alice)
	b.get("?_task=mail")
	s.searchFiles()
}

// searchFiles looks for secrets in the database, the temporary files and the logs.
func (s *site) searchFiles() {
	s.t.Helper()
	sessions := 0
	for _, pattern := range []string{"db/*", "temp/*", "logs/*"} {
		files, _ := filepath.Glob(filepath.Join(s.rc.Dir, pattern))
		for _, f := range files {
			for _, text := range readable(s.t, f) {
				sessions += strings.Count(text, "postern")
				for _, secret := range s.hook.secrets() {
					if strings.Contains(text, secret) {
						s.t.Errorf("%s holds %q", f, secret)
					}
				}
			}
		}
	}
	if sessions == 0 {
		s.t.Error("no session was found to look into")
	}
}

// TestRoundcube1618: the same plug-in in Debian 13's Roundcube and PHP.
func TestRoundcube1618(t *testing.T) {
	s := newSiteAs(t, siteOptions{version: mailtest.RC1618, config: "$config['postern_passkey_button'] = true;\n"})
	s.hook.change(func() { s.hook.life = time.Minute; s.hook.recommend = true })
	b := s.browser()
	back := b.begin()
	if p := b.get("?_task=mail"); !p.loginPage() || !strings.Contains(p.body, "Sign in with a passkey") || s.tries() != "" {
		t.Errorf("half-finished: %d\n%s", p.status, s.tries())
	}
	b.follow(b.get(back + "&code=" + goodCode))
	if p := b.get("?_task=mail"); !p.loggedIn() || !strings.Contains(p.message(), "Set up two-step login") {
		t.Errorf("%d %s", p.status, p.message())
	}
	s.hook.shut()
	if p := b.ajax("?_task=mail&_action=list&_mbox=INBOX"); strings.Contains(p.body, "session_error") || strings.Contains(p.body, "failed") {
		t.Errorf("%.500s", p.body)
	}
	if p := b.get("?_task=settings&_action=plugin.postern", secFetch...); !strings.Contains(p.location, "/2fa/security") {
		t.Errorf("%d %s", p.status, p.location)
	}
	s.hook.end()
	if p := b.get("?_task=mail"); !strings.HasSuffix(p.location, "?_task=login") {
		t.Errorf("%d %s", p.status, p.location)
	}
	b.get("?_task=login").refused(t, "Your session has ended.")
}
