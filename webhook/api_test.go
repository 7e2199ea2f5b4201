package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"postern/internal/hooktest"
)

// The description is right in itself, and its examples follow it.
func TestDescription(t *testing.T) {
	if _, err := hooktest.Router(openAPI); err != nil {
		t.Fatal(err)
	}
	for path := range methods {
		if !bytes.Contains(openAPI, []byte("\n  "+path+":\n")) {
			t.Errorf("%s is not described", path)
		}
	}
}

// raw sends a request as it is to a method; the answer is compared with the description.
func (w *world) raw(method, path, body string, header ...string) *hooktest.Answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://webhook"+path, strings.NewReader(body))
	must(w.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.Key)
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	a, err := w.Do(req)
	must(w.t, err)
	return a
}

// Every request that is not right is refused with a text that helps, and no secret of
// it comes back.
func TestRequestsThatAreNotRight(t *testing.T) {
	w := shared(t)
	right := `{"user":"nobody@example.test","password":"geheim-geheim","remote_ip":"192.0.2.7","return_to":"` + w.Webmail.URL + `"}`
	if a := w.raw("POST", "/v1/login", right); a.Status != 200 || a.Result != "denied" {
		t.Fatalf("the right one: %d %s", a.Status, a.Raw)
	}
	change := func(old, text string) string { return strings.Replace(right, old, text, 1) }
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"empty":                  {"", 400, "JSON object"},
		"no object":              {`"x"`, 400, "JSON object"},
		"array":                  {`[]`, 400, "JSON object"},
		"cut off":                {right[:len(right)-1], 400, "JSON object"},
		"trailing":               {right + "{}", 400, "behind"},
		"trailing text":          {right + " x", 400, "behind"},
		"unknown field":          {change(`"user"`, `"usr"`), 400, "user, password"},
		"other case":             {change(`"user"`, `"User"`), 400, "user, password"},
		"twice":                  {change(`{`, `{"user":"a",`), 400, "twice"},
		"missing":                {change(`"password":"geheim-geheim",`, ``), 400, "password: missing"},
		"number":                 {change(`"192.0.2.7"`, `7`), 400, "strings"},
		"null":                   {change(`"192.0.2.7"`, `null`), 400, "strings"},
		"nested":                 {change(`"192.0.2.7"`, `{"a":[{}]}`), 400, "strings"},
		"deep":                   {strings.Repeat("[", 30_000), 400, "JSON object"},
		"deep value":             {`{"user":` + strings.Repeat("[", 30_000), 400, "strings"},
		"not UTF-8":              {change("nobody", "nob\xffdy"), 400, "UTF-8"},
		"no address":             {change("192.0.2.7", "localhost"), 400, "remote_ip"},
		"address with port":      {change("192.0.2.7", "192.0.2.7:80"), 400, "remote_ip"},
		"empty address":          {change("192.0.2.7", ""), 400, "remote_ip"},
		"elsewhere":              {change(w.Webmail.URL, "https://evil.test/"), 400, "return_to"},
		"empty return_to":        {change(w.Webmail.URL, ""), 400, "return_to"},
		"a field of another one": {change("{", `{"grant":"x",`), 400, "user, password"},
		"long":                   {change("geheim-geheim", strings.Repeat("g", 70_000)), 413, "65536"},
	} {
		a := w.raw("POST", "/v1/login", c.body)
		if a.Status != c.status || a.Result != "error" || !strings.Contains(a.Message, c.says) {
			t.Errorf("%s: %d %s", name, a.Status, a.Raw)
		}
		if bytes.Contains(a.Raw, []byte("geheim")) || bytes.Contains(a.Raw, []byte("nobody")) {
			t.Errorf("%s: the answer repeats what was sent: %s", name, a.Raw)
		}
	}
}

func TestMethodsTypesAndPaths(t *testing.T) {
	w := shared(t)
	for name, c := range map[string]struct {
		method, path string
		header       []string
		status       int
	}{
		"GET":             {"GET", "/v1/login", nil, 405},
		"PUT":             {"PUT", "/v1/login", nil, 405},
		"no type":         {"POST", "/v1/login", []string{"Content-Type", ""}, 415},
		"form":            {"POST", "/v1/login", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"text":            {"POST", "/v1/login", []string{"Content-Type", "text/plain"}, 415},
		"unknown method":  {"POST", "/v1/nothing", nil, 404},
		"below a method":  {"POST", "/v1/login/x", nil, 404},
		"with charset":    {"POST", "/v1/login", []string{"Content-Type", "application/json; charset=utf-8"}, 400},
		"the description": {"POST", "/v1/openapi.yaml", nil, 404},
	} {
		if a := w.raw(c.method, c.path, "{}", c.header...); a.Status != c.status || a.Result != "error" {
			t.Errorf("%s: %d %s", name, a.Status, a.Raw)
		}
	}
	res, err := w.Client.Get("http://webhook/v1/openapi.yaml")
	must(t, err)
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(text, openAPI) {
		t.Errorf("the description is not served: %v", err)
	}
}

// ATTACKS 26: nobody calls without a client's key, and no key fits half.
func TestAttack26_KeysOfTheHookAPI(t *testing.T) {
	w := shared(t)
	for name, header := range map[string][]string{
		"none":              {"Authorization", ""},
		"empty":             {"Authorization", "Bearer "},
		"wrong":             {"Authorization", "Bearer wrong"},
		"longer":            {"Authorization", "Bearer " + w.Key + "x"},
		"shorter":           {"Authorization", "Bearer " + w.Key[:len(w.Key)-1]},
		"other case":        {"Authorization", "Bearer " + strings.ToLower(w.Key)},
		"basic":             {"Authorization", "Basic " + w.Key},
		"policyserver's":    {"Authorization", "Bearer " + w.Config.Key},
		"wrong and right":   {"Authorization", "Bearer wrong", "X-API-Key", w.Key},
		"wrong X-API-Key":   {"Authorization", "", "X-API-Key", "wrong"},
		"in the wrong name": {"Authorization", "", "Api-Key", w.Key},
	} {
		for path := range methods {
			a := w.raw("POST", path, "{}", header...)
			if a.Status != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" || bytes.Contains(a.Raw, []byte(w.Key)) {
				t.Errorf("%s: %s: %d %s", name, path, a.Status, a.Raw)
			}
		}
	}
	for name, header := range map[string][]string{
		"bearer": {"Authorization", "bearer " + w.Key}, "X-API-Key": {"Authorization", "", "X-API-Key", w.Key},
	} {
		if a := w.raw("POST", "/v1/renew", `{"grant":"x"}`, header...); a.Status != http.StatusOK || a.Result != "denied" {
			t.Errorf("%s: %d %s", name, a.Status, a.Raw)
		}
	}
}

// A stranger reads the same whatever is behind the name (ATTACKS 10, 28).
func TestDenialsTellNothing(t *testing.T) {
	w := shared(t)
	with, _ := w.twoFactor()
	without := w.user()
	app, err := w.desk.CreateAppPassword(t.Context(), operator, with, newApp)
	must(t, err)
	texts := map[string]string{}
	for name, f := range map[string]hooktest.Fields{
		"unknown":        w.start("nobody@example.test"),
		"wrong":          w.start(without).With("password", "wrong"),
		"wrong with 2FA": w.start(with).With("password", "wrong"),
		"injected":       w.start("*)(mail=*").With("password", "wrong"),
		"NUL":            w.start("a\x00b"),
		"long":           w.start(strings.Repeat("a", 10_000)),
	} {
		a := w.call("login", "denied", f)
		texts[a.Message] = name
	}
	empty := w.start(without)
	empty["password"] = ""
	texts[w.call("login", "denied", empty).Message] = "empty password"
	if len(texts) != 1 {
		t.Errorf("denials differ: %q", texts)
	}
	// An app password is told by its shape, of whomever it is.
	password := string(app.Password.Reveal())
	one := w.call("login", "denied", w.start(with).With("password", password))
	other := w.call("login", "denied", w.start("nobody@example.test").With("password", password))
	if one.Message != other.Message || !strings.Contains(one.Message, "app password") {
		t.Errorf("%q and %q", one.Message, other.Message)
	}
	chars := strings.ReplaceAll(password, "-", "")
	own := w.start(with).With("password", chars[:20]+"!?#%"+chars[24:]) // known by the account alone
	if a := w.call("login", "denied", own); texts[a.Message] == "" {
		t.Errorf("a bad copy of an account's own app password: %q", a.Message)
	}
}

// Telephones put a blank behind a name, and Dovecot takes none: what webmail logs in to
// mail by has to be without.
func TestAttack11_BlanksAroundAName(t *testing.T) {
	w := shared(t)
	user := w.user()
	for _, typed := range []string{user + " ", " " + user, user + "\t", "\u00a0" + user} {
		if in := w.call("login", "granted", w.start(typed)); in.User != user || in.Account != user {
			t.Errorf("%q: %s", typed, in.Raw)
		}
	}
}

// -check finds what serving would stumble over.
func TestCheck(t *testing.T) {
	w := shared(t)
	run := func(path string) (int, string) {
		var out, complaints bytes.Buffer
		code := program().Run(t.Context(), []string{"-config", path, "-check"}, &out, &complaints)
		return code, out.String() + complaints.String()
	}
	if code, said := run(w.Path); code != 0 || !strings.Contains(said, "is right") {
		t.Errorf("%d %s", code, said)
	}
	text, err := os.ReadFile(w.Path)
	must(t, err)
	for name, c := range map[string]struct{ old, text, says string }{
		"no public_url":   {`public_url = "` + w.Webmail.PublicURL + `"`, "", "webhook.public_url"},
		"no key file":     {"roundcube.key", "none.key", "key_file"},
		"no certificate":  {"[webhook]", "[webhook]\ntls_cert_file = \"/none.pem\"\ntls_key_file = \"/none.key\"", "tls_cert_file"},
		"no contrast":     {"[webhook]", "[pages]\naccent = \"#ffee00\"\naccent_dark = \"#ffee00\"\n[webhook]", "contrast"},
		"no zone":         {"[webhook]", "[pages]\ntime_zone = \"Mars/Base\"\n[webhook]", "pages.time_zone"},
		"domain's logo":   {"[webhook]", "[pages.domains.\"a.test\"]\nlogo = \"https://cdn.test/x\"\n[webhook]", "a.test"},
		"no language":     {"[webhook]", "[pages]\nlanguage = \"tlh\"\n[webhook]", "tlh"},
		"no return_urls":  {"return_urls = [", "return_urls = [] #", "return_urls"},
		"http elsewhere":  {`return_urls = ["`, `return_urls = ["http://mail.example.test/", "`, "https://"},
		"open to the net": {`listen = "127.0.0.1:` + port(w.Webmail.Webhook().Listen), `listen = "0.0.0.0:` + port(w.Webmail.Webhook().Listen), "tls_cert_file"},
	} {
		path := t.TempDir() + "/postern.toml"
		changed := strings.Replace(string(text), c.old, c.text, 1)
		if changed == string(text) {
			t.Fatalf("%s: nothing to change in\n%s", name, text)
		}
		must(t, os.WriteFile(path, []byte(changed), 0o600))
		if code, said := run(path); code != 78 || !strings.Contains(said, c.says) {
			t.Errorf("%s: %d %s", name, code, said)
		}
	}
}

func port(listen string) string { return listen[strings.LastIndex(listen, ":")+1:] }

// Webmail's users read the answer in the language that webmail asks for.
func TestA10_AnswersInTheUsersLanguage(t *testing.T) {
	w := shared(t)
	body := `{"grant":"x"}`
	for language, want := range map[string]string{
		"": "Your session has ended", "de-AT": "Ihre Sitzung ist beendet", "fr": "Votre session est terminée", "tlh": "Your session has ended",
	} {
		if a := w.raw("POST", "/v1/renew", body, "Accept-Language", language); a.Result != "denied" || !strings.HasPrefix(a.Message, want) {
			t.Errorf("%q: %s", language, a.Raw)
		}
	}
}
