package roundcube

import (
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
	mailtest.Eventually(t, "logged", func() bool { return strings.Contains(s.rc.Log(), "postern: /v1/logout: cannot connect") })
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
