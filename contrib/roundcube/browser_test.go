package roundcube

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/mailtest"
)

// site is a Roundcube with the plug-in and a Dovecot that takes what the fake
// webhook opens.
type site struct {
	t       testing.TB
	hook    *fake
	dovecot *mailtest.Dovecot
	rc      *mailtest.Roundcube
	base    string
}

// dovecotLua is a passdb that reads its passwords anew each time and writes down
// what was tried, so that tests see what Roundcube showed to the mail server.
const dovecotLua = `
function auth_passdb_lookup(req) return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, "" end
function auth_password_verify(req, pass)
	local tries = io.open("@DIR@/tries", "a")
	tries:write(req.service .. " " .. req.user .. " " .. req.rip .. " " .. pass .. "\n")
	tries:close()
	for line in io.lines("@DIR@/tickets") do
		if line == req.user .. " " .. pass then return dovecot.auth.PASSDB_RESULT_OK, "" end
	end
	return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, ""
end
function script_init() return 0 end
function script_deinit() end
`

// siteOptions say how a site differs from the usual one.
type siteOptions struct {
	version mailtest.RoundcubeVersion // 1.6.5
	dovecot string                    // configuration text
	plugin  string                    // the plug-in's configuration, with the paths of the guide
	config  string                    // PHP at its end
	rc      string                    // PHP at the end of Roundcube's
	others  []mailtest.RoundcubePlugin
}

// newSite starts one. config is PHP at the end of the plug-in's configuration.
func newSite(t *testing.T, config string, others ...mailtest.RoundcubePlugin) *site {
	t.Helper()
	return newSiteAs(t, siteOptions{config: config, others: others})
}

func newSiteAs(t *testing.T, o siteOptions) *site {
	t.Helper()
	mailtest.Long(t)
	t.Parallel() // Roundcube sleeps a second after a login that failed
	s := &site{t: t}
	s.startDovecot(cmp.Or(o.dovecot, "login_trusted_networks = 127.0.0.0/8\n"))
	rc, err := mailtest.PrepareRoundcube(t.Context(), cmp.Or(o.version, mailtest.RC165))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rc.Stop)
	s.rc = rc
	s.hook = newFake(t, filepath.Join(rc.Dir, "hook.sock"), filepath.Join(s.dovecot.Dir, "tickets"))
	s.startRoundcube(o)
	s.base = fmt.Sprintf("http://127.0.0.1:%d/", rc.Port)
	t.Cleanup(s.inspect)
	return s
}

func (s *site) startDovecot(config string) {
	d, err := mailtest.PrepareDovecot(s.t.Context(), mailtest.V23)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.Stop)
	s.dovecot = d
	if err := os.Chmod(d.Dir, 0o777); err != nil { // Lua runs as Dovecot's own user
		s.t.Fatal(err)
	}
	script := filepath.Join(d.Dir, "tickets.lua")
	if err := os.WriteFile(script, []byte(strings.ReplaceAll(dovecotLua, "@DIR@", d.Dir)), 0o644); err != nil {
		s.t.Fatal(err)
	}
	err = d.Start(s.t.Context(), mailtest.DovecotOptions{
		Passdb: "passdb {\n driver = lua\n args = file=" + script + " blocking=yes\n}\n",
		Extra:  config,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

const usualConfig = "<?php\n$config['postern_url'] = 'unix:///run/postern/webhook.sock';\n$config['postern_key_file'] = '/etc/roundcube/postern.key';\n"

func (s *site) startRoundcube(o siteOptions) {
	key := s.rc.Inside("postern.key")
	if err := os.WriteFile(filepath.Join(s.rc.Dir, "postern.key"), []byte(apiKey+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	config := strings.NewReplacer("/run/postern/webhook.sock", s.rc.Inside("hook.sock"), "/etc/roundcube/postern.key", key).
		Replace(cmp.Or(o.plugin, usualConfig) + o.config)
	err := s.rc.Start(s.t.Context(), mailtest.RoundcubeOptions{
		IMAP: s.dovecot.IMAP, SMTP: s.dovecot.Submission, Sieve: s.dovecot.Sieve,
		Plugins: append([]mailtest.RoundcubePlugin{{Name: "postern", Dir: "contrib/roundcube/postern", Config: config}}, o.others...),
		Config:  "$config['language'] = null;\n$config['log_logins'] = true;\n$config['session_debug'] = true;\n" + o.rc,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// inspect looks for secrets and PHP's complaints in the logs, and shows these if the
// test has failed.
func (s *site) inspect() {
	log := s.rc.Log()
	for _, secret := range s.hook.secrets() {
		if strings.Contains(log, secret) {
			s.t.Errorf("a log holds %q", secret)
		}
	}
	if strings.Contains(log, "plugins/postern") {
		s.t.Error("PHP complains about the plug-in")
	}
	if s.t.Failed() {
		s.t.Logf("calls: %v\ntries:\n%s\nroundcube:\n%s\ndovecot:\n%s", s.hook.paths(), s.tries(), log, s.dovecot.Log())
	}
}

// tries are the lines of dovecotLua.
func (s *site) tries() string {
	text, _ := os.ReadFile(filepath.Join(s.dovecot.Dir, "tries"))
	return string(text)
}

// browser keeps cookies and follows no redirects.
type browser struct {
	*site
	client *http.Client
	token  string // Roundcube's, of the last page
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{site: s, client: &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// page is an answer of Roundcube.
type page struct {
	status   int
	location string
	body     string
}

func (b *browser) do(method, where string, form url.Values, headers ...string) page {
	b.t.Helper()
	if !strings.HasPrefix(where, "http") {
		where = b.base + strings.TrimPrefix(where, "./")
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, where, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := page{res.StatusCode, res.Header.Get("Location"), string(body)}
	if m := regexp.MustCompile(`"request_token":"(\w+)"`).FindStringSubmatch(p.body); m != nil {
		b.token = m[1]
	}
	return p
}

func (b *browser) get(where string, headers ...string) page {
	return b.do(http.MethodGet, where, nil, headers...)
}

func (b *browser) post(where string, form url.Values) page {
	form.Set("_token", b.token)
	return b.do(http.MethodPost, where, form)
}

// ajax is a request as Roundcube's scripts make them.
func (b *browser) ajax(where string) page {
	return b.get(where+"&_remote=1", "X-Roundcube-Request", b.token)
}

// submit fills in the login form.
func (b *browser) submit(user, password string) page {
	b.t.Helper()
	b.get("?_task=login")
	return b.post("?_task=login", loginForm(user, password))
}

func loginForm(user, password string) url.Values {
	return url.Values{"_task": {"login"}, "_action": {"login"}, "_timezone": {"Europe/Berlin"}, "_url": {"_task=settings"}, "_user": {user}, "_pass": {password}}
}

// begin logs alice in up to the page, and returns where it would send her back to.
func (b *browser) begin() string {
	b.t.Helper()
	p := b.submit(alice, password)
	if p.status != http.StatusFound || p.location != "http://pages.example.test/2fa/begin" {
		b.t.Fatalf("the login did not go on to the page: %d %s\n%s", p.status, p.location, p.message())
	}
	return b.hook.last("/v1/login").fields["return_to"]
}

// login logs somebody in, and fails the test if that fails.
func (b *browser) login(user string) {
	b.t.Helper()
	var p page
	if user == alice {
		p = b.get(b.begin() + "&code=" + goodCode)
	} else {
		p = b.submit(user, password)
	}
	b.follow(p)
}

// follow follows the redirect after a login to the user's page.
func (b *browser) follow(p page) page {
	b.t.Helper()
	if p.status != http.StatusFound || !strings.Contains(p.location, "_task=") {
		b.t.Fatalf("not logged in: %d %s %s", p.status, p.location, p.message())
	}
	p = b.get(p.location)
	if p.status != http.StatusOK || !p.loggedIn() {
		b.t.Fatalf("not logged in: %d %s", p.status, p.message())
	}
	return p
}

// loggedIn reports whether the page is one for a user.
func (p page) loggedIn() bool {
	return strings.Contains(p.body, `_task=logout`) && !strings.Contains(p.body, `id="rcmloginuser"`)
}

// loginPage reports whether the page is the login form.
func (p page) loginPage() bool {
	return p.status != http.StatusFound && strings.Contains(p.body, `id="rcmloginuser"`)
}

// message is what Roundcube tells the user.
func (p page) message() string {
	var all []string
	for _, m := range regexp.MustCompile(`display_message\("((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(p.body, -1) {
		all = append(all, strings.ReplaceAll(m[1], `\/`, "/"))
	}
	return strings.Join(all, " | ")
}

// serve is a web server on loopback.
func serve(t *testing.T, f http.HandlerFunc) string {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

// reconfigure restarts Roundcube with further settings of the plug-in.
func (s *site) reconfigure(config string) {
	s.t.Helper()
	err := s.rc.Restart(s.t.Context(), func(o *mailtest.RoundcubeOptions) {
		base, _, _ := strings.Cut(o.Plugins[0].Config, "\n// changed")
		o.Plugins[0].Config = base + "\n// changed\n" + config + "\n"
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// readable is a file's text, and what in it is base64: sessions are stored so.
func readable(t testing.TB, file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{string(text)}
	for _, m := range regexp.MustCompile(`[A-Za-z0-9+/]{40,}=*`).FindAllString(string(text), -1) {
		for shift := range 4 { // sqlite writes no boundary before it
			if b, _ := base64.StdEncoding.DecodeString(m[shift:]); len(b) > 0 {
				all = append(all, string(b))
			}
		}
	}
	return all
}
