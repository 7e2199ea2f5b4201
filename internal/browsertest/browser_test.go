package browsertest

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"postern/internal/mailtest"
)

// TestMain is Main. As the child of TestChromiumEndsWithItsParent it starts a
// Chromium and waits to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("BROWSERTEST_HOLD") == "" {
		Main(m)
		return
	}
	ctx, err := start()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(chromedp.FromContext(ctx).Browser.Process().Pid)
	select {}
}

// TestChromiumEndsWithItsParent: also when that is killed, nothing is left running.
func TestChromiumEndsWithItsParent(t *testing.T) {
	mailtest.Long(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BROWSERTEST_HOLD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	line = strings.TrimSpace(line)
	dir := userDataDir(t, line)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if got := processesWith(t, dir); got < 2 {
		t.Errorf("%d processes of Chromium with %s", got, dir)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for end := time.Now().Add(patience); processesWith(t, dir) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d processes of Chromium are left", processesWith(t, dir))
		}
	}
}

// userDataDir is the directory of a Chromium, from its command line.
func userDataDir(t *testing.T, pid string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	_, dir, ok := strings.Cut(string(b), "--user-data-dir=")
	dir, _, _ = strings.Cut(dir, "\x00")
	if !ok || !strings.HasPrefix(dir, os.TempDir()+"/chromedp") {
		t.Fatalf("%q", b)
	}
	return dir
}

// processesWith counts the processes whose command line names a directory.
func processesWith(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), dir) {
			n++
		}
	}
	return n
}

// serve starts a site of some pages by path and returns its address under
// localhost.
func serve(t *testing.T, pages map[string]http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, page := range pages {
		mux.HandleFunc(path, page)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/"
}

// html answers with a page.
func html(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, "<!doctype html><meta name=viewport content='width=device-width'><title>t</title>"+body)
	}
}

// TestForm fills in a form, with scripts and without.
func TestForm(t *testing.T) {
	mailtest.Long(t)
	url := serve(t, map[string]http.HandlerFunc{
		"/{$}": html(`<form method=post action=/done><input id=user name=user value=old>
			<select id=s name=s><option value=1>one<option value=2>two</select>
			<button>Go on</button></form><script>document.title = "scripted"</script><noscript>no scripts</noscript>`),
		"/done": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			html("<h1>"+r.FormValue("user")+" "+r.FormValue("s")+"</h1>")(w, r)
		},
	})
	for _, scripts := range []bool{true, false} {
		began := time.Now()
		b := New(t)
		t.Logf("a browser after %v", time.Since(began))
		b.JavaScript(scripts)
		if status := b.Go(url); status != http.StatusOK {
			t.Error(status)
		}
		if got := b.Title(); (got == "scripted") != scripts {
			t.Errorf("scripts %v: title %q", scripts, got)
		}
		b.Fill("#user", "alice@example.test")
		b.Select("#s", "2")
		if got := b.Value("#user"); got != "alice@example.test" {
			t.Error(got)
		}
		if status := b.Follow("button"); status != http.StatusUnprocessableEntity {
			t.Error(status)
		}
		if got := b.Text("h1"); got != "alice@example.test 2" {
			t.Error(got)
		}
		if b.Has("#user") || !b.Has("h1") {
			t.Error("Has", b.HTML())
		}
		b.WaitURL("/done")
		b.WaitText("h1", "alice")
		b.WaitGone("#user")
		b.NoProblems("status of 422")
		b.Back()
		b.WaitFor("#user")
	}
}

// TestHostCookiesOnLocalhost is the fact that the package comment states.
func TestHostCookiesOnLocalhost(t *testing.T) {
	mailtest.Long(t)
	url := serve(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, r *http.Request) {
		got := fmt.Sprint(len(r.Cookies()))
		http.SetCookie(w, &http.Cookie{Name: "__Host-a", Value: "1", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		http.SetCookie(w, &http.Cookie{Name: "__Secure-b", Value: "2", Path: "/", Secure: true, SameSite: http.SameSiteLaxMode})
		http.SetCookie(w, &http.Cookie{Name: "__Host-bad", Value: "3", Path: "/x", Secure: true})
		html("<p>"+got)(w, r)
	}})
	for host, want := range map[string]string{"localhost": "2", "mail.example.test": "0"} {
		b := New(t)
		for range 2 {
			b.Go(strings.Replace(url, "localhost", host, 1))
		}
		if got := b.Text("p"); got != want {
			t.Errorf("http://%s was sent %s cookies, want %s", host, got, want)
		}
		c, ok := b.Cookie("__Host-a")
		if ok != (host == "localhost") || ok && (!c.Secure || !c.HTTPOnly || c.SameSite != "Strict" || !c.Expires.IsZero()) {
			t.Errorf("%s: %+v", host, b.Cookies())
		}
	}
}

// TestBrowsersAreApart: another browser has none of one's cookies, a tab has all.
func TestBrowsersAreApart(t *testing.T) {
	mailtest.Long(t)
	url := serve(t, map[string]http.HandlerFunc{"/": html("<p>here")})
	one, other := New(t), New(t)
	one.Go(url)
	other.Go(url)
	one.SetCookie(url, Cookie{Name: "a", Value: "x", Path: "/"})
	if c, ok := one.Cookie("a"); !ok || c.Value != "x" {
		t.Error(one.Cookies())
	}
	if len(other.Cookies()) != 0 {
		t.Error(other.Cookies())
	}
	tab := one.NewTab()
	tab.Go(url)
	if got := Eval[string](tab, "document.cookie"); got != "a=x" {
		t.Error(got)
	}
	one.DeleteCookie(url, "a")
	if len(one.Cookies()) != 0 {
		t.Error(one.Cookies())
	}
	one.SetCookie(url, Cookie{Name: "b", Value: "y"})
	one.ClearCookies()
	if len(one.Cookies()) != 0 {
		t.Error(one.Cookies())
	}
}

// TestProblemsAreSeen: each thing that must not happen on our pages.
func TestProblemsAreSeen(t *testing.T) {
	mailtest.Long(t)
	strict := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; form-action 'none'")
			html(body)(w, r)
		}
	}
	url := serve(t, map[string]http.HandlerFunc{
		"/style":   strict(`<p style="color:red">x`),
		"/sheet":   strict(`<link rel=stylesheet href=/x.css>`),
		"/form":    strict(`<form method=post action=/ok><button>x</button></form>`),
		"/throw":   strict(`<script>throw new Error("thrown")</script>`),
		"/console": strict(`<script>console.error("said", 1)</script>`),
		"/missing": html(`<img src=/nowhere.png>`),
		"/ok":      strict(`<p>fine`),
	})
	for path, want := range map[string]string{
		"style": "Content Security Policy", "sheet": "Content Security Policy", "form": "Content Security Policy",
		"throw": "exception: Uncaught Error: thrown", "console": `console: "said" 1`, "missing": "status of 404", "ok": "",
	} {
		b := New(t)
		b.Go(url + path)
		if path == "form" {
			b.Click("button")
		}
		b.expectProblem(want)
	}
}

// expectProblem waits until the only problem contains a text.
func (b *Browser) expectProblem(want string) {
	b.t.Helper()
	var got []Problem
	for end := time.Now().Add(patience); time.Now().Before(end); {
		got = b.Problems()
		if want == "" || len(got) > 0 {
			break
		}
	}
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), want)) {
		b.t.Errorf("%s: %v, want %q", b.URL(), got, want)
	}
}

// TestSavedAndCopied reads what a page makes the browser save and copy, and says
// yes to its questions.
func TestSavedAndCopied(t *testing.T) {
	mailtest.Long(t)
	url := serve(t, map[string]http.HandlerFunc{
		"/{$}": html(`<form method=post action=/file><button id=save>Save</button></form>
			<button id=copy onclick="navigator.clipboard.writeText('copied').then(() => out.innerText = 'done')">Copy</button>
			<button id=ask onclick="out.innerText = confirm('Sure?') ? 'yes' : 'no'">Ask</button><p id=out>`),
		"/file": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Disposition", `attachment; filename="codes.txt"`)
			_, _ = fmt.Fprint(w, "one\ntwo\n")
		},
	})
	b := New(t)
	b.Go(url)
	for range 2 {
		if d := b.Download("#save"); d.Name != "codes.txt" || string(d.Content) != "one\ntwo\n" {
			t.Errorf("%+v", d)
		}
	}
	b.Click("#copy")
	b.WaitText("#out", "done")
	if got := b.Clipboard(); got != "copied" {
		t.Error(got)
	}
	b.Click("#ask")
	b.WaitText("#out", "yes")
	b.NoProblems()
}

// TestScreen: what the page is told of its viewport, colours and language.
func TestScreen(t *testing.T) {
	mailtest.Long(t)
	languages := make(chan string, 2)
	url := serve(t, map[string]http.HandlerFunc{"/{$}": func(w http.ResponseWriter, r *http.Request) {
		languages <- r.Header.Get("Accept-Language")
		html(`<div style="width:500px;height:3000px">long</div>`)(w, r)
	}})
	b := New(t)
	b.Language("de, fr;q=0.5")
	b.Go(url)
	if got := <-languages; !strings.HasPrefix(got, "de") {
		t.Error(got)
	}
	if got := b.Overflow(); got != 0 {
		t.Error(got)
	}
	b.Phone()
	if w, over := Eval[int](b.Tab, "innerWidth"), b.Overflow(); over < 140 || w < 360 {
		t.Error(w, over)
	}
	b.Dark(true)
	b.Media("prefers-reduced-motion", "reduce")
	if !Eval[bool](b.Tab, `matchMedia("(prefers-color-scheme: dark) and (prefers-reduced-motion: reduce)").matches`) {
		t.Error("not dark")
	}
	path := b.Screenshot("browsertest", 400, 0)
	if fi, err := os.Stat(path); err != nil || fi.Size() < 1000 {
		t.Error(path, err)
	}
	if b.width != phone[0] {
		t.Error(b.width)
	}
}

// TestPasskey registers a passkey and signs in by it, as localhost and under a
// real name with a certificate of nobody's.
func TestPasskey(t *testing.T) {
	mailtest.Long(t)
	page := html("<p>passkeys")
	secure := httptest.NewTLSServer(page)
	t.Cleanup(secure.Close)
	for rp, url := range map[string]string{
		"localhost":    serve(t, map[string]http.HandlerFunc{"/": page}),
		"example.test": strings.Replace(secure.URL, "127.0.0.1", "mail.example.test", 1),
	} {
		b := New(t)
		a := b.EnableVirtualAuthenticator(Passkeys())
		b.Go(url)
		Eval[string](b.Tab, fmt.Sprintf(registerPasskey, rp))
		if got := a.Credentials(); len(got) != 1 || got[0].RpID != rp {
			t.Fatalf("%+v", got)
		}
		// The flags are present 1, verified 4 (Web Authentication, section 6.1).
		use := func(verification string) string {
			return Eval[string](b.Tab, fmt.Sprintf(usePasskey, rp, verification))
		}
		if got := use("preferred"); got != "5" {
			t.Errorf("flags %s: not present and verified", got)
		}
		a.Break(webauthn.SetResponseOverrideBitsParams{IsBadUV: new(true)})
		if got := use("required"); got != "1" {
			t.Errorf("flags %s: verified all the same", got)
		}
		a.Break(webauthn.SetResponseOverrideBitsParams{})
		a.SetUserVerified(false)
		if got := use("preferred"); got != "NotAllowedError" {
			t.Errorf("%s: the wrong finger", got)
		}
		a.SetUserVerified(true)
		copied := a.Credentials()[0]
		a.RemoveCredential(copied.CredentialID)
		a.AddCredential(copied)
		if got := use("required"); got != "5" {
			t.Errorf("with the copy: %s", got)
		}
		a.Remove()
	}
}

const registerPasskey = `navigator.credentials.create({publicKey: {
	challenge: new Uint8Array(32), rp: {name: "x", id: %q}, user: {id: new Uint8Array(8), name: "a", displayName: "a"},
	pubKeyCredParams: [{type: "public-key", alg: -7}], authenticatorSelection: {residentKey: "required"},
}}).then(c => c.id)`

const usePasskey = `navigator.credentials.get({publicKey: {
	challenge: new Uint8Array(32), rpId: %q, userVerification: %q,
}}).then(c => String(new Uint8Array(c.response.authenticatorData)[32] & 5), e => e.name)`
