package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// guarded is a server behind nginx, which asks Postern before everything below /dav/.
type guarded struct {
	*world
	nginx *mailtest.Nginx
}

// nginx starts one with contrib's snippets. The key is what nginx's own file of it
// holds; the server behind /dav/ is at an address like 127.0.0.1:5232.
func (w *world) nginx(key, behind string) *guarded {
	w.t.Helper()
	mailtest.Long(w.t)
	n, err := mailtest.PrepareNginx()
	must(w.t, err)
	w.t.Cleanup(n.Stop)
	change := strings.NewReplacer("snippets/", n.Dir+"/", "/etc/nginx/", n.Dir+"/", "127.0.0.1:5232", behind,
		"http://unix:/run/postern/webhook.sock:", "http://webhooks")
	for _, name := range []string{"postern-basic.conf", "postern-basic-location.conf", "radicale.conf"} {
		text, err := os.ReadFile("../contrib/nginx/" + name)
		must(w.t, err)
		must(w.t, os.WriteFile(filepath.Join(n.Dir, name), []byte(change.Replace(string(text))), 0o600))
	}
	must(w.t, os.WriteFile(filepath.Join(n.Dir, "postern-basic.key"), []byte(key), 0o600))
	must(w.t, n.Start(w.t.Context(), mailtest.NginxOptions{Webhooks: []string{w.Webmail.Webhook().Socket},
		Extra: "include @DIR@/postern-basic.conf; include @DIR@/radicale.conf;"}))
	return &guarded{w, n}
}

// rightKey is nginx's key file as it should be.
func (w *world) rightKey() string { return fmt.Sprintf("proxy_set_header X-API-Key %q;\n", w.Key) }

// logged is a site whose directory writes down every bind.
func logged(t *testing.T) *world {
	t.Helper()
	return inhabit(t, mailtest.Shared(t, "dav", mailtest.Options{Slapd: mailtest.SlapdOptions{Log: true}, Webmail: &mailtest.WebmailOptions{}}))
}

// seen is what the server behind got.
type seen struct {
	Path, Body string
	Header     http.Header
}

// echo is a server behind nginx that answers with what it got.
func echo(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if err := json.NewEncoder(w).Encode(seen{r.URL.Path, string(body), r.Header}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// ask sends a request through nginx. The options are headers, by name and value.
func (g *guarded) ask(method, path, user, password, body string, header ...string) (*http.Response, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, strings.TrimSuffix(g.nginx.URL(), "/")+path, strings.NewReader(body))
	must(g.t, err)
	if user+password != "" {
		req.SetBasicAuth(user, password)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header[header[i]] = []string{header[i+1]} // as it is written
	}
	return receive(g.t, http.DefaultClient, req)
}

func receive(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	return res, string(text)
}

// opens reports as an error if something does not get through nginx, and returns what
// the server behind got.
func (g *guarded) opens(user, password string, header ...string) seen {
	g.t.Helper()
	res, text := g.ask("PUT", "/dav/x", user, password, "BODY", header...)
	var got seen
	if res.StatusCode != http.StatusOK || json.Unmarshal([]byte(text), &got) != nil {
		g.t.Errorf("%s: %s %s\n%s", user, res.Status, text, g.nginx.Log())
	}
	return got
}

// app makes an app password for services.
func (w *world) app(user string, services ...account.Service) string {
	w.t.Helper()
	made, err := w.desk.CreateAppPassword(w.t.Context(), operator, user, desk.NewAppPassword{Name: "calendar", Services: services})
	must(w.t, err)
	return string(made.Password.Reveal())
}

func (w *world) revoked(user string) string {
	w.t.Helper()
	made, err := w.desk.CreateAppPassword(w.t.Context(), operator, user, desk.NewAppPassword{Name: "old", Services: []account.Service{account.DAV}})
	must(w.t, err)
	_, err = w.desk.RevokeAppPassword(w.t.Context(), operator, user, made.ID)
	must(w.t, err)
	return string(made.Password.Reveal())
}

func (w *world) expired(user string) string {
	w.t.Helper()
	past := time.Now().Add(-time.Hour)
	d := *w.desk
	d.Now = func() time.Time { return past }
	made, err := d.CreateAppPassword(w.t.Context(), operator, user,
		desk.NewAppPassword{Name: "expired", Services: []account.Service{account.DAV}, Expires: past.Add(time.Minute)})
	must(w.t, err)
	return string(made.Password.Reveal())
}

// nobodys is an app password that nobody has.
func nobodys() string {
	plain, _, _ := factor.NewAppPassword(factor.AppPassword{})
	return string(plain.Reveal())
}

// ATTACKS 1: behind nginx an app password with the service dav is the only thing that
// opens DAV, and nothing of a main password reaches the directory.
func TestE5_BasicBehindNginx(t *testing.T) {
	w := logged(t)
	g := w.nginx(w.rightKey(), echo(t))
	user, _ := w.twoFactor()
	without := w.user()
	dav := w.app(user, account.DAV)
	before := w.binds(user) + w.binds(without)
	for name, typed := range map[string]string{"as it is": user, "in capitals": strings.ToUpper(user)} {
		got := g.opens(typed, dav)
		if got.Path != "/x" || got.Body != "BODY" || got.Header.Get("X-Remote-User") != user || got.Header.Get("X-Postern-User") != user ||
			got.Header.Get("Authorization") != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	g.opens(without, w.app(without, account.DAV, account.IMAP))
	visible := map[string]bool{}
	for name, c := range map[string]struct{ user, password string }{
		"main password, 2FA":    {user, mailtest.Password},
		"main password, no 2FA": {without, mailtest.Password},
		"wrong main password":   {without, "wrong"},
		"without dav":           {user, w.app(user)},
		"revoked":               {user, w.revoked(user)},
		"expired":               {user, w.expired(user)},
		"nobody's":              {user, nobodys()},
		"copied badly":          {user, dav + "x"},
		"somebody else's":       {without, dav},
		"unknown user":          {"nobody@example.test", dav},
		"unknown, main":         {"nobody@example.test", mailtest.Password},
		"a ticket":              {user, "pt1_AeRtZagHa0nUWAAAAABrSc4YYWJjZGVmZ2g"},
		"a filter":              {"*)(mail=*", dav},
		"no user":               {"", dav},
		"no password":           {user, ""},
		"nothing":               {"", ""},
	} {
		res, text := g.ask("GET", "/dav/x", c.user, c.password, "")
		if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") != `Basic realm="localhost", charset="UTF-8"` {
			t.Errorf("%s: %s %q", name, res.Status, res.Header)
		}
		visible[text] = true
	}
	if len(visible) != 1 {
		t.Errorf("denials differ: %v", visible)
	}
	w.wantBinds(without, before, user)
}

// binds is how often a user's main password was checked by the directory.
func (w *world) binds(user string) int {
	return strings.Count(w.Slapd.LogNow(w.t), fmt.Sprintf("BIND dn=%q method=128", mailtest.UserDN(user)))
}

// wantBinds checks that nobody's main password was tried since before, by a last one
// of user that slapd must log.
func (w *world) wantBinds(user string, before int, others ...string) {
	w.t.Helper()
	count := func() int {
		n := w.binds(user)
		for _, other := range others {
			n += w.binds(other)
		}
		return n
	}
	w.call("login", "denied", w.start(user).With("password", "surely wrong"))
	eventually(w.t, func() bool { return count() > before })
	if got := count() - before - 1; got != 0 {
		w.t.Errorf("%d binds reached the directory", got)
	}
}

// Revoked means: from the next request on.
func TestE5_BasicForgetsAtOnce(t *testing.T) {
	w := logged(t)
	g := w.nginx(w.rightKey(), echo(t))
	user := w.user()
	made, err := w.desk.CreateAppPassword(t.Context(), operator, user, desk.NewAppPassword{Name: "phone", Services: []account.Service{account.DAV}})
	must(t, err)
	password := string(made.Password.Reveal())
	g.opens(user, password)
	_, err = w.desk.RevokeAppPassword(t.Context(), operator, user, made.ID)
	must(t, err)
	if res, _ := g.ask("GET", "/dav/x", user, password, ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after its end: %s", res.Status)
	}
}

// ATTACKS 25: what a browser says about itself reaches neither Postern nor the server
// behind, and nginx's own question is not for browsers.
func TestAttack25_HeadersAroundBasic(t *testing.T) {
	w := logged(t)
	g := w.nginx(w.rightKey(), echo(t))
	user, other := w.user(), w.user()
	password := w.app(user, account.DAV)
	got := g.opens(user, password, "X-Postern-User", other, "X-Remote-User", other, "X_Remote_User", other, "X_Postern_User", other,
		"X-Forwarded-For", "198.51.100.1", "X-Forwarded-Proto", "https", "X-Script-Name", "/evil")
	for name, want := range map[string]string{"X-Postern-User": user, "X-Remote-User": user, "X-Forwarded-For": "127.0.0.1",
		"X-Forwarded-Proto": "http", "X-Script-Name": "/dav"} {
		if values := got.Header.Values(name); !slices.Equal(values, []string{want}) {
			t.Errorf("%s: %q, want %q", name, values, want)
		}
	}
	for name := range got.Header {
		if strings.Contains(name, "_") {
			t.Errorf("%s reaches the server behind, which may read it as another header", name)
		}
	}
	for name, header := range map[string][]string{
		"user alone":     {"X-Postern-User", user, "X-Remote-User", user},
		"hook key":       {"X-API-Key", w.Key},
		"hook as bearer": {"Authorization", "Bearer " + w.Key},
		"negotiate":      {"Authorization", "Negotiate YII="},
		"broken basic":   {"Authorization", "Basic !!"},
		"no colon":       {"Authorization", "Basic eHh4"},
	} {
		if res, _ := g.ask("GET", "/dav/x", "", "", "", header...); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	for _, path := range []string{"/_postern/basic", "/_postern/%62asic", "/dav/../_postern/basic"} {
		if res, _ := g.ask("GET", path, user, password, ""); res.StatusCode != http.StatusNotFound || res.Header.Get("X-Postern-User") != "" {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if res, _ := g.ask("GET", "/dav/broken", user, password, ""); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("an error of the server behind: %s", res.Status)
	}
}

// Networks of app passwords, and the audit log, go by the user's own address.
func TestE5_BasicKnowsTheAddress(t *testing.T) {
	w := logged(t)
	g := w.nginx(w.rightKey(), echo(t))
	user := w.user()
	made, err := w.desk.CreateAppPassword(t.Context(), operator, user,
		desk.NewAppPassword{Name: "home", Services: []account.Service{account.DAV}, Networks: prefixes("203.0.113.0/28")})
	must(t, err)
	password := string(made.Password.Reveal())
	g.opens(user, password, "X-Test-Address", "203.0.113.9")
	for _, header := range [][]string{
		{"X-Test-Address", "203.0.113.99"}, {}, {"X-Test-Address", "203.0.113.99", "X-Forwarded-For", "203.0.113.9"},
	} {
		if res, _ := g.ask("GET", "/dav/x", user, password, "", header...); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", header, res.Status)
		}
	}
}

// nginx with a wrong key is a failure: nobody gets in, and nobody's program is told
// that its password is wrong.
func TestE5_BasicWithoutKey(t *testing.T) {
	w := logged(t)
	user := w.user()
	password := w.app(user, account.DAV)
	for name, key := range map[string]string{
		"none":           "",
		"wrong":          `proxy_set_header X-API-Key "wrong";`,
		"policyserver's": fmt.Sprintf("proxy_set_header X-API-Key %q;", w.Config.Key),
		"as bearer":      fmt.Sprintf("proxy_set_header X-API-Key wrong; proxy_set_header Authorization \"Bearer %s\";", w.Key),
	} {
		g := w.nginx(key, echo(t))
		res, text := g.ask("GET", "/dav/x", user, password, "", "X-API-Key", w.Key)
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || strings.Contains(text, "Header") {
			t.Errorf("%s: %s %s", name, res.Status, text)
		}
	}
}

// Without directory, or without webhook, it is "try again later": never access, never
// a wrong password.
func TestE5_BasicUnavailable(t *testing.T) {
	w := inhabit(t, mailtest.New(t, mailtest.Options{Webmail: &mailtest.WebmailOptions{}}))
	g := w.nginx(w.rightKey(), echo(t))
	user := w.user()
	right, none := w.app(user, account.DAV), nobodys()
	g.opens(user, right)
	w.Slapd.Shutdown()
	wantUnavailable := func(when string) {
		t.Helper()
		for _, password := range []string{right, none} {
			res, text := g.ask("GET", "/dav/x", user, password, "")
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || res.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s: %s %q %s", when, res.Status, res.Header, text)
			}
		}
	}
	wantUnavailable("the directory is away")
	if res, _ := w.direct("GET", user, right); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("the answer to nginx: %s", res.Status)
	}
	must(t, w.Slapd.Restart(t.Context()))
	eventually(t, func() bool {
		res, _ := g.ask("GET", "/dav/x", user, right, "")
		return res.StatusCode == http.StatusOK
	})
	w.Webmail.Webhook().Kill()
	wantUnavailable("the webhook is away")
}

// ATTACKS 8: an address that guesses app passwords is refused before anything is
// checked, and is not told "wrong"; others go on.
func TestAttack08_BasicIsThrottled(t *testing.T) {
	w := logged(t)
	g := w.nginx(w.rightKey(), echo(t))
	user := w.user()
	right := w.app(user, account.DAV)
	const guesser = "198.18.7.7"
	status := http.StatusUnauthorized
	for i := 0; i < 200 && status == http.StatusUnauthorized; i++ {
		res, _ := g.ask("GET", "/dav/x", user, nobodys(), "", "X-Test-Address", guesser)
		status = res.StatusCode
	}
	if status != http.StatusForbidden {
		t.Fatalf("200 guesses end with %d", status)
	}
	if res, _ := g.ask("GET", "/dav/x", user, right, "", "X-Test-Address", guesser); res.StatusCode != http.StatusForbidden ||
		res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("a right one at last: %s", res.Status)
	}
	g.opens(user, right, "X-Test-Address", "198.51.100.8")
	before := w.binds(user)
	w.wantBinds(user, before)
}

// direct asks the webhook itself as nginx would. The options are headers.
func (w *world) direct(method, user, password string, header ...string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://webhook"+pathBasic, nil)
	must(w.t, err)
	req.SetBasicAuth(user, password)
	req.Header.Set("X-API-Key", w.Key)
	req.Header.Set("X-Forwarded-For", addr)
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	res, text := receive(w.t, w.Client, req)
	w.described(req, res, text)
	return res, text
}

// described compares an answer with openapi.yaml.
func (w *world) described(req *http.Request, res *http.Response, text string) {
	w.t.Helper()
	if req.Method != http.MethodGet {
		return // they are answered alike
	}
	router, err := hooktest.Router(openAPI)
	must(w.t, err)
	route, params, err := router.FindRoute(&http.Request{Method: req.Method, URL: &url.URL{Path: req.URL.Path}})
	must(w.t, err)
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	in.SetBodyBytes([]byte(text))
	if err := openapi3filter.ValidateResponse(w.t.Context(), in); err != nil {
		w.t.Errorf("%s: not as described: %v\n%s", res.Status, err, text)
	}
}

// Every answer is as described.
func TestE5_BasicAnswers(t *testing.T) {
	w := logged(t)
	user := w.user()
	right := w.app(user, account.DAV)
	for name, c := range map[string]struct {
		method, password string
		header           []string
		status           int
	}{
		"GET":                {"GET", right, nil, 204},
		"HEAD":               {"HEAD", right, nil, 204},
		"POST":               {"POST", right, nil, 204},
		"PUT":                {"PUT", right, nil, 405},
		"HEAD, wrong":        {"HEAD", "wrong", nil, 401},
		"POST, wrong":        {"POST", "wrong", nil, 401},
		"wrong":              {"GET", "wrong", nil, 401},
		"no Authorization":   {"GET", right, []string{"Authorization", ""}, 401},
		"no key":             {"GET", right, []string{"X-API-Key", ""}, 400},
		"wrong key":          {"GET", right, []string{"X-API-Key", w.Key + "x"}, 400},
		"key as bearer":      {"GET", right, []string{"X-API-Key", "", "Authorization", "Bearer " + w.Key}, 400},
		"user sends a key":   {"GET", right, []string{"Authorization", "Bearer " + w.Key}, 401},
		"no address":         {"GET", right, []string{"X-Forwarded-For", ""}, 400},
		"address is no such": {"GET", right, []string{"X-Forwarded-For", "unknown"}, 400},
	} {
		res, text := w.direct(c.method, user, c.password, c.header...)
		if res.StatusCode != c.status || (res.Header.Get("X-Postern-User") == user) != (c.status == 204) {
			t.Errorf("%s: %s %q %s", name, res.Status, res.Header, text)
		}
		if strings.Contains(text, right) || strings.Contains(text, w.Key) {
			t.Errorf("%s: the answer repeats a secret: %s", name, text)
		}
	}
	// Two headers of the user: the server behind might read the other one.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://webhook"+pathBasic, nil)
	must(t, err)
	req.SetBasicAuth(user, right)
	req.Header.Add("Authorization", "Basic eDp5")
	req.Header.Set("X-API-Key", w.Key)
	req.Header.Set("X-Forwarded-For", addr)
	if res, _ := receive(t, w.Client, req); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("two headers: %s", res.Status)
	}
}
