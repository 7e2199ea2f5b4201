package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// testPlugin builds the test plug-in into a directory of the test's own, where the test
// may swap it; it returns its path and checksum.
func testPlugin(t *testing.T) (path, sum string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "testplugin")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../internal/plugin/testplugin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	digest := sha256.Sum256(data)
	return path, hex.EncodeToString(digest[:])
}

// plugged is a site with the plug-in "test".
type plugged struct {
	*world
	path string
}

func withPlugin(t *testing.T) *plugged {
	t.Helper()
	path, sum := testPlugin(t)
	w := inhabit(t, mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}, Settings: mailtest.Settings{
		"plugins.test":       {"path": path, "sha256": sum, "timeout": "10s"},
		"plugins.test.label": {"en": "Test token", "de": "Testtoken"},
		"throttle":           {"prefix_free": 99_999, "prefix_refuse": 100_000, "network_free": 99_999, "network_refuse": 100_000},
	}}))
	w.pluginUp(path)
	return &plugged{w, path}
}

// process is the plug-in's process; 0: there is none.
func process(path string) int {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		text, _ := os.ReadFile(file)
		if name, _, _ := strings.Cut(string(text), "\x00"); name == path {
			n := 0
			for _, c := range strings.Split(file, "/")[2] {
				n = n*10 + int(c-'0')
			}
			return n
		}
	}
	return 0
}

// pluginUp waits for the plug-in to be asked.
func (w *world) pluginUp(path string) {
	w.t.Helper()
	eventually(w.t, func() bool { return process(path) != 0 })
	user := w.user()
	w.policy(user, "twofactor=mandatory", "methods=plugin:test")
	eventually(w.t, func() bool {
		a, err := w.Call(w.t.Context(), "login", w.start(user))
		must(w.t, err)
		p, err := w.browser().Get(w.t.Context(), a.URL)
		return err == nil && p.Status == http.StatusOK
	})
}

// enrol adds the plug-in's factor in the middle of signing in.
func (w *world) enrol(user, name string) {
	w.t.Helper()
	w.policy(user, "twofactor=mandatory", "methods=plugin:test,totp", "backup_codes=false")
	begun := w.call("login", "enroll", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	if !strings.Contains(page.Body, "Test token") {
		w.t.Fatalf("the plug-in is not offered:\n%s", page.Body)
	}
	page = w.submit(b, http.StatusOK, page, "enrol", "method", "plugin:test")
	page = w.submit(b, http.StatusUnprocessableEntity, page, "enrol/plugin", "code", "", "name", "Mine")
	page = w.submit(b, http.StatusOK, page, "enrol/plugin", "code", name, "name", "Mine")
	back := w.submit(b, http.StatusSeeOther, page, "enrol/done").Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
}

var message = regexp.MustCompile(`message (\d+)`)

// A15: enrolled on the pages, asked for at the next login, one message for one login,
// each code good once; removed by the command.
func TestA15_PluginOnThePages(t *testing.T) {
	w := withPlugin(t)
	user := w.user()
	w.enrol(user, "token7")
	view, err := w.desk.Overview(t.Context(), user)
	must(t, err)
	if len(view.Factors) != 1 || view.Factors[0].Kind != account.KindPlugin || view.Factors[0].Name != "Mine" {
		t.Fatalf("%+v", view.Factors)
	}
	begun := w.call("login", "second_factor", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	first := message.FindString(page.Body)
	if again := w.get(b, http.StatusOK, begun.URL); first == "" || message.FindString(again.Body) != first {
		t.Errorf("%q, and %q for the same page", first, message.FindString(again.Body))
	}
	for typed, problem := range map[string]string{"12345": "too short", "000000": "was not accepted", "000012": "does not look right", "000002": "no answer yet", "000007": "has expired"} {
		page = w.submit(b, http.StatusUnprocessableEntity, page, "sign-in", "code", typed)
		if !strings.Contains(page.Body, problem) || message.FindString(page.Body) != first {
			t.Errorf("%s: not %q, or another message:\n%s", typed, problem, page.Body)
		}
	}
	page = w.submit(b, http.StatusOK, page, "sign-in/method", "method", "plugin:test", "again", "yes")
	if message.FindString(page.Body) == first {
		t.Error("asking again sends nothing")
	}
	page = w.submit(b, http.StatusOK, page, "sign-in", "code", "000008")
	if !strings.Contains(page.Body, "and once more") {
		t.Errorf("one more question:\n%s", page.Body)
	}
	back := w.submit(b, http.StatusSeeOther, page, "sign-in", "code", "123456").Location()
	in := w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	begun = w.call("login", "second_factor", w.start(user))
	page = w.get(b, http.StatusOK, begun.URL)
	if page = w.submit(b, http.StatusUnprocessableEntity, page, "sign-in", "code", "123456"); !strings.Contains(page.Body, "used already") {
		t.Errorf("a code twice:\n%s", page.Body)
	}
	w.pluginSettings(user, in.Grant, view.Factors[0].ID)
}

// pluginSettings confirms by the plug-in, renames its factor and finds what policy and
// command say of it.
func (w *plugged) pluginSettings(user, grant, id string) {
	w.t.Helper()
	p := &person{world: w.world, user: user, b: w.browser(), grant: grant}
	page := p.settings()
	for _, want := range []string{"Mine", "Add: Test token", "method=plugin%3atest"} {
		if !strings.Contains(page.Body, want) {
			w.t.Errorf("the security page has no %q", want)
		}
	}
	ask := p.follow(w.get(p.b, http.StatusSeeOther, w.Webmail.PublicURL+"security/rename?kind=plugin&id="+id))
	rename := p.follow(w.submit(p.b, http.StatusSeeOther, ask, "security/confirm", "code", "222222"))
	w.submit(p.b, http.StatusSeeOther, rename, "security/rename", "name", "Yours")
	w.policy(user, "methods=totp,plugin:other")
	begun := w.call("login", "second_factor", w.start(user))
	if page := w.get(w.browser(), http.StatusForbidden, begun.URL); strings.Contains(page.Body, "Test code") {
		w.t.Error("a plug-in that policy does not allow is asked")
	}
	w.policy(user, "methods=plugin:*", "reset_needs_token=false")
	out, err := w.Posternctl(w.t.Context(), "factor", "list", user)
	if err != nil || !strings.Contains(out, "Yours") || !strings.Contains(out, "plugin:test") {
		w.t.Errorf("%s, %v", out, err)
	}
	_, err = w.Posternctl(w.t.Context(), "factor", "remove", user, "plugin", id)
	must(w.t, err)
	w.call("login", "enroll", w.start(user))
}

// A push: the page asks by itself until there is an answer.
func TestA15_PluginThatWaits(t *testing.T) {
	w := withPlugin(t)
	user := "push" + w.user()
	must(t, w.Slapd.AddUser(user, mailtest.Password, nil))
	answer := filepath.Join(t.TempDir(), "a")
	w.enrol(user, answer)
	begun := w.call("login", "second_factor", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	address := refreshed(t, page)
	page = w.get(b, http.StatusOK, address)
	if again := refreshed(t, page); again == "" || strings.Contains(page.Body, "role=\"alert\"") {
		t.Errorf("it does not go on asking:\n%s", page.Body)
	}
	stranger := w.browser()
	w.get(stranger, http.StatusForbidden, address)
	must(t, os.WriteFile(answer, []byte("no"), 0o644))
	page = w.get(b, http.StatusUnprocessableEntity, address)
	if !strings.Contains(page.Body, "was not accepted") || strings.Contains(page.Body, "http-equiv=\"refresh\"") {
		t.Errorf("refused:\n%s", page.Body)
	}
	must(t, os.WriteFile(answer, []byte("yes"), 0o644))
	page = w.submit(b, http.StatusOK, page, "sign-in/method", "method", "plugin:test", "again", "yes")
	back := w.get(b, http.StatusSeeOther, refreshed(t, page)).Location()
	in := w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	p := &person{world: w.world, user: user, b: w.browser(), grant: in.Grant}
	p.settings()
	ask := p.follow(w.get(p.b, http.StatusSeeOther, w.Webmail.PublicURL+"security/add"))
	if to := w.get(p.b, http.StatusSeeOther, refreshed(t, ask)).Location(); !strings.HasSuffix(to, "/security/add") {
		t.Errorf("confirmed, the page leads to %s", to)
	}
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="\d+; url=([^"]*)">`)

// refreshed is the address that the page loads by itself.
func refreshed(t *testing.T, p *hooktest.Page) string {
	t.Helper()
	m := refresh.FindStringSubmatch(p.Body)
	if m == nil {
		t.Fatalf("the page does not ask by itself:\n%s", p.Body)
	}
	to, err := p.URL.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
	must(t, err)
	return to.String()
}

// ATTACKS 33: a plug-in that crashes, or was swapped on disk, is unavailable; the other
// factors go on, and the account never counts as one without two-step login.
func TestAttack33_PluginDownAtThePages(t *testing.T) {
	w := withPlugin(t)
	user, totp := w.twoFactor()
	p := w.signIn(user, totp)
	p.settings()
	w.policy(user, "methods=plugin:test,totp")
	page := p.confirmed("security/add?method=plugin:test")
	w.submit(p.b, http.StatusSeeOther, w.submit(p.b, http.StatusOK, page, "enrol/plugin", "code", "t", "name", "Mine"), "enrol/saved", "saved", "yes")
	begun := w.call("login", "second_factor", w.start(user))
	b := w.browser()
	page = w.submit(b, http.StatusOK, w.get(b, http.StatusOK, begun.URL), "sign-in/method", "method", "plugin:test")
	data, err := os.ReadFile(w.path)
	must(t, err)
	must(t, os.Remove(w.path))
	must(t, os.WriteFile(w.path, append(data, "swapped"...), 0o700))
	page = w.submit(b, http.StatusServiceUnavailable, page, "sign-in", "code", "000003") // crashes
	if !strings.Contains(page.Body, "cannot be checked") || strings.Contains(page.Body, "not accepted") || !strings.Contains(page.Body, `value="totp"`) {
		t.Errorf("crashed:\n%s", page.Body)
	}
	page = w.submit(b, http.StatusServiceUnavailable, page, "sign-in", "code", "123456")
	if view, err := w.desk.Overview(t.Context(), user); err != nil || view.Failures[account.KindPlugin] != 0 {
		t.Errorf("what could not be checked was counted: %v, %v", view.Failures, err)
	}
	w.call("login", "second_factor", w.start(user))
	other := w.submit(b, http.StatusOK, page, "sign-in/method", "method", "totp")
	w.submit(b, http.StatusSeeOther, other, "sign-in", "code", p.code())
	if process(w.path) != 0 {
		t.Error("a swapped file was started")
	}
	must(t, os.Remove(w.path))
	must(t, os.WriteFile(w.path, data, 0o700))
	w.pluginUp(w.path)
	w.submit(b, http.StatusSeeOther, page, "sign-in", "code", "123456")
}

// confirmed opens a page of the settings, for which the owner gives a factor first.
func (p *person) confirmed(path string) *hooktest.Page {
	p.t.Helper()
	ask := p.follow(p.get(p.b, http.StatusSeeOther, p.Webmail.PublicURL+path))
	return p.follow(p.submit(p.b, http.StatusSeeOther, ask, "security/confirm", "code", p.code()))
}

// With the webhook its plug-ins end; -check starts each once, and says what is wrong.
func TestA15_PluginsEndWithTheWebhook(t *testing.T) {
	w := withPlugin(t)
	cfg, err := app.Load(w.Path)
	must(t, err)
	if errs := checkPlugins(t.Context(), cfg); join(errs) != "" {
		t.Errorf("%v", errs)
	}
	swapped := cfg.Plugins["test"]
	swapped.SHA256 = strings.Repeat("0", 64)
	cfg.Plugins["test"] = swapped
	if errs := checkPlugins(t.Context(), cfg); !strings.Contains(join(errs), "plugin:test") || !strings.Contains(join(errs), "is not the file") {
		t.Errorf("%v", errs)
	}
	pid := process(w.path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, w.Webmail.Webhook().Restart(ctx))
	eventually(t, func() bool { return syscall.Kill(pid, 0) != nil })

	w.pluginUp(w.path)
	w.Webmail.Webhook().Kill() // which can end nothing any more
	eventually(t, func() bool { return process(w.path) == 0 })
}

func join(errs []error) string {
	var b strings.Builder
	for _, err := range errs {
		if err != nil {
			b.WriteString(err.Error() + "\n")
		}
	}
	return b.String()
}
