package web_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/browsertest"
	"postern/internal/mailtest"
	"postern/internal/web"
	"postern/internal/web/samples"
)

// site serves the samples, further pages by their names, and takes what their forms
// send.
type site struct {
	*httptest.Server
	t     *testing.T
	pages map[string]web.Page
	sent  chan url.Values
}

func newSite(t *testing.T, pages map[string]web.Page) *site {
	t.Helper()
	mailtest.Long(t)
	h, err := samples.Handler()
	if err != nil {
		t.Fatal(err)
	}
	own := newPages(t, web.Options{})
	s := &site{t: t, pages: pages, sent: make(chan url.Values, 8)}
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /2fa/own/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := own.Render(w, r, http.StatusOK, s.pages[r.PathValue("name")]); err != nil {
			t.Error(err)
		}
	})
	for _, path := range []string{web.PathSignIn, web.PathPasskey, web.PathEnrolPasskey} {
		mux.Handle("POST /2fa/"+path, own.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			s.sent <- r.PostForm
			own.Say(w, r, http.StatusOK, web.MessageSignedOut)
		})))
	}
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	s.URL = "http://localhost:" + port
	return s
}

// form is what the next form sends.
func (s *site) form() url.Values {
	s.t.Helper()
	select {
	case f := <-s.sent:
		return f
	case <-time.After(30 * time.Second):
		s.t.Fatal("no form was sent")
		return nil
	}
}

func (s *site) nothingSent() {
	s.t.Helper()
	select {
	case f := <-s.sent:
		s.t.Fatalf("a form was sent: %v", f)
	default:
	}
}

// alike matches samples that look like others but for a short text.
var alike = regexp.MustCompile(`^(event-|done-[^p]|done-passwordless|problem-[^pn]|problem-not|problem-na|problem-password|ask-.*-1$)`)

func looks() []samples.Sample {
	return slices.DeleteFunc(samples.All(), func(s samples.Sample) bool { return alike.MatchString(s.Name) })
}

// Nobody has to scroll sideways at 320 pixels (WCAG 2.2, 1.4.10), in the languages
// with the longest words, and nothing that a page does meets its own policy.
func TestA10_PagesFitNarrowScreens(t *testing.T) {
	s := newSite(t, nil)
	b := browsertest.New(t)
	b.SetViewport(320, 640)
	for _, lang := range []string{"de", "ru"} {
		for _, sample := range looks() {
			if lang == "ru" && !sample.Long {
				continue
			}
			if status := b.Go(s.URL + "/2fa/sample/" + sample.Name + "?lang=" + lang); status != http.StatusOK {
				t.Fatalf("%s: %d", sample.Name, status)
			}
			if n := b.Overflow(); n > 0 {
				t.Errorf("%s in %s is %d pixels too wide; see %s", sample.Name, lang, n, b.Screenshot("wide-"+sample.Name, 320, 0))
			}
			if small := browsertest.Eval[string](b.Tab, smallTargets); small != "" {
				t.Errorf("%s in %s has targets of less than 24 pixels: %s", sample.Name, lang, small)
			}
		}
	}
	b.NoProblems()
}

// smallTargets lists what is too small to be touched (WCAG 2.2, 2.5.8); links in a
// sentence are exempt.
const smallTargets = `Array.from(document.querySelectorAll("button, input, select, summary, .button, nav a, .out a"))
	.filter((e) => e.checkVisibility() && (e.getBoundingClientRect().height < 24 || e.getBoundingClientRect().width < 24))
	.map((e) => e.outerHTML.slice(0, 120)).join("\n")`

func TestFocusWhereItIsNeeded(t *testing.T) {
	s := newSite(t, nil)
	b := browsertest.New(t)
	for sample, want := range map[string]string{
		"signin-totp": "code", "signin-totp-slow": "alert", "problem-password_wrong": "alert", "confirm-password": "password",
		"enrol-totp-wrong": "alert", "enrol-token": "enrolment", "problem-unavailable": "alert",
	} {
		b.Go(s.URL + "/2fa/sample/" + sample)
		b.Until(sample+": focus on "+want, fmt.Sprintf(`[document.activeElement.id, document.activeElement.getAttribute("role")].includes(%q)`, want))
	}
}

func TestCopyAndDownload(t *testing.T) {
	s := newSite(t, nil)
	b := browsertest.New(t)
	b.Go(s.URL + "/2fa/sample/backup-codes")
	b.Click("[data-copy]")
	b.WaitText("[data-copied]", "Copied")
	page, _ := samples.Find("backup-codes")
	var codes []string
	for _, c := range page.Page.(*web.BackupCodes).Codes {
		codes = append(codes, string(c.Reveal()))
	}
	if got := b.Clipboard(); got != strings.Join(codes, "\n") {
		t.Errorf("copied %q", got)
	}
	file := b.Download("[data-download]")
	want := "Postern: Backup codes, alice@example.test, 9 March 2026\n\n" + strings.Join(codes, "\n") + "\n"
	if file.Name != "backup-codes.txt" || string(file.Content) != want {
		t.Errorf("downloaded %s: %q", file.Name, file.Content)
	}
	b.Go(s.URL + "/2fa/sample/enrol-totp")
	b.Click("summary")
	b.Click("[data-copy=key]")
	b.WaitText("[data-copied]", "Copied")
	if got := b.Clipboard(); got != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Errorf("copied %q", got)
	}
	b.Go(s.URL + "/2fa/sample/app-created")
	b.Click("[data-copy=login]")
	b.WaitText("[data-copied]", "Copied")
	if got := b.Clipboard(); got != "alice@example.test" {
		t.Errorf("copied %q", got)
	}
	b.NoProblems()
}

// Without JavaScript no button is there that does nothing, and a code can be sent.
func TestA10_WithoutJavaScript(t *testing.T) {
	s := newSite(t, nil)
	b := browsertest.New(t)
	b.JavaScript(false)
	for _, sample := range []string{"backup-codes", "enrol-totp", "app-created", "signin-passkey", "passkey"} {
		b.Go(s.URL + "/2fa/sample/" + sample)
		if dead := browsertest.Eval[int](b.Tab, `Array.from(document.querySelectorAll("[data-copy], [data-download], [data-print], [data-script]")).filter((e) => e.checkVisibility()).length`); dead > 0 {
			t.Errorf("%s shows %d buttons that do nothing", sample, dead)
		}
	}
	b.WaitText("noscript", "Passkeys need JavaScript")
	b.Go(s.URL + "/2fa/sample/signin-totp")
	b.Fill("#code", "123 456")
	b.Click("#trust")
	b.Follow("form .button.primary")
	f := s.form()
	for field, want := range map[string]string{
		web.FieldCode: "123 456", web.FieldTrust: web.Yes, web.FieldMethod: "totp", web.FieldToken: "tok_5vQ2",
		web.FieldCSRF: "csrf_8sd7", web.FieldUser: "alice@example.test",
	} {
		if f.Get(field) != want || len(f[field]) != 1 {
			t.Errorf("%s is %q, want %q", field, f[field], want)
		}
	}
}

func TestA10_LanguageIsRemembered(t *testing.T) {
	s := newSite(t, map[string]web.Page{"page": &web.Message{Code: web.MessageExpired}})
	b := browsertest.New(t)
	b.Go(s.URL + "/2fa/own/page?x=1")
	b.Follow(`button[lang=fr]`)
	b.WaitText("h1", "La connexion a pris trop de temps")
	if !strings.HasSuffix(b.URL(), "/2fa/own/page?x=1") {
		t.Errorf("it led to %s", b.URL())
	}
	b.Go(s.URL + "/2fa/nothing")
	b.WaitText("h1", "Cette page n’existe pas")
}

// credential is the part of a passkey's answer that the tests look at.
type credential struct {
	ID       string `json:"id"`
	RawID    string `json:"rawId"`
	Type     string `json:"type"`
	Response struct {
		ClientDataJSON    string `json:"clientDataJSON"`
		AttestationObject string `json:"attestationObject"`
		Signature         string `json:"signature"`
		UserHandle        string `json:"userHandle"`
	} `json:"response"`
}

func (s *site) credential() credential {
	s.t.Helper()
	f := s.form()
	var c credential
	if err := json.Unmarshal([]byte(f.Get(web.FieldResponse)), &c); err != nil || c.Type != "public-key" || f.Get(web.FieldToken) != "t1" {
		s.t.Fatalf("sent %v: %v", f, err)
	}
	r := c.Response
	for _, v := range []string{c.ID, c.RawID, r.ClientDataJSON, r.AttestationObject, r.Signature, r.UserHandle} {
		if _, err := base64.RawURLEncoding.DecodeString(v); err != nil {
			s.t.Errorf("sent %q: %v", v, err)
		}
	}
	return c
}

const (
	creation = `{"rp":{"name":"Example","id":"localhost"},"user":{"id":"q83vEjRW","name":"alice@example.test","displayName":"alice"},` +
		`"challenge":"q83vEjRWeJCrze8SNFZ4kA","pubKeyCredParams":[{"type":"public-key","alg":-7}],"excludeCredentials":[EXCLUDED],` +
		`"authenticatorSelection":{"residentKey":"required","userVerification":"preferred"},"attestation":"none"}`
	request = `{"challenge":"q83vEjRWeJCrze8SNFZ4kA","timeout":300000,"rpId":"localhost","userVerification":"preferred"}`
)

func passkeyPages() map[string]web.Page {
	c := web.Common{Token: "t1", CSRF: "c1"}
	challenge := web.Challenge{Method: web.Passkey, Methods: []web.Choice{{Method: web.Passkey}}, Options: request}
	return map[string]web.Page{
		"create":      &web.EnrolPasskey{Common: c, Options: strings.Replace(creation, "EXCLUDED", "", 1), Name: "Laptop"},
		"get":         &web.SignIn{Common: c, Challenge: challenge},
		"conditional": &web.SignInPasskey{Common: c, Options: request},
		"misplaced":   &web.SignInPasskey{Common: c, Options: strings.Replace(request, "localhost", "example.test", 1)},
	}
}

func TestW1_PasskeyScript(t *testing.T) {
	s := newSite(t, passkeyPages())
	b := browsertest.New(t)
	a := b.EnableVirtualAuthenticator(browsertest.Passkeys())

	b.Go(s.URL + "/2fa/own/create")
	b.Fill("#name", "My laptop")
	b.Click("[data-script]")
	made := s.credential()
	if made.Response.AttestationObject == "" || len(a.Credentials()) != 1 {
		t.Fatalf("made %+v", made)
	}
	b.Go(s.URL + "/2fa/own/get")
	b.Click("[data-script]")
	if got := s.credential(); got.ID != made.ID || got.Response.Signature == "" || got.Response.UserHandle != "q83vEjRW" {
		t.Errorf("used %+v", got)
	}

	// The same once more: InvalidStateError.
	s.pages["again"] = &web.EnrolPasskey{Options: strings.Replace(creation, "EXCLUDED", `{"type":"public-key","id":"`+made.ID+`"}`, 1)}
	b.Go(s.URL + "/2fa/own/again")
	b.Click("button[data-script]")
	b.WaitText("[data-status]", "on your account already")
	s.nothingSent()

	// Nobody there who could be verified: NotAllowedError, a quiet hint.
	a.RemoveCredential(a.Credentials()[0].CredentialID)
	b.Go(s.URL + "/2fa/own/get")
	b.Click("button[data-script]")
	b.WaitText("[data-status]", "cancelled or took too long")
	s.nothingSent()

	// Not the relying party's page: the server hears of it.
	b.Go(s.URL + "/2fa/own/misplaced")
	b.Click("button[data-script]")
	if f := s.form(); f.Get(web.FieldFault) != "SecurityError" || f.Get(web.FieldResponse) != "" {
		t.Errorf("sent %v", f)
	}
}

// Browsers without the JSON functions of WebAuthn level 3 send the same.
func TestW1_PasskeyScriptInOlderBrowsers(t *testing.T) {
	s := newSite(t, passkeyPages())
	b := browsertest.New(t)
	b.EnableVirtualAuthenticator(browsertest.Passkeys())
	const forget = `(() => { delete PublicKeyCredential.parseCreationOptionsFromJSON; delete PublicKeyCredential.parseRequestOptionsFromJSON;
		delete PublicKeyCredential.prototype.toJSON; return !PublicKeyCredential.parseRequestOptionsFromJSON })()`
	b.Go(s.URL + "/2fa/own/create")
	if !browsertest.Eval[bool](b.Tab, forget) {
		t.Fatal("the functions are still there")
	}
	b.Click("[data-script]")
	made := s.credential()
	if made.Response.AttestationObject == "" {
		t.Fatalf("made %+v", made)
	}
	b.Go(s.URL + "/2fa/own/get")
	browsertest.Eval[bool](b.Tab, forget)
	b.Click("[data-script]")
	if got := s.credential(); got.ID != made.ID || got.Response.Signature == "" || got.Response.UserHandle != "q83vEjRW" {
		t.Errorf("used %+v", got)
	}
}

// On the passkey page autofill offers passkeys; the button stops that and begins it
// again when nothing comes of it.
func TestW4_ConditionalMediation(t *testing.T) {
	s := newSite(t, passkeyPages())
	b := browsertest.New(t)
	b.EnableVirtualAuthenticator(browsertest.Passkeys())
	const watch = `(() => { const get = navigator.credentials.get.bind(navigator.credentials); window.asked = [];
		navigator.credentials.get = (o) => { const kind = o.mediation || "button"; window.asked.push(kind);
			o.signal?.addEventListener("abort", () => window.asked.push("abort")); return get(o) }; return true })()`
	b.Go(s.URL + "/2fa/own/conditional")
	browsertest.Eval[bool](b.Tab, watch)
	const soon = `new Promise((done) => { const wait = setInterval(() => { if (window.asked.length >= N) { clearInterval(wait); done(window.asked.join(" ")) } }, 20) })`
	b.Click("button[data-script]")
	if got := browsertest.Eval[string](b.Tab, strings.Replace(soon, "N", "2", 1)); got != "button conditional" {
		t.Errorf("asked %q", got)
	}
	b.Click("button[data-script]")
	if got := browsertest.Eval[string](b.Tab, strings.Replace(soon, "N", "5", 1)); got != "button conditional abort button conditional" {
		t.Errorf("asked %q", got)
	}
	b.WaitText("[data-status]", "cancelled or took too long")
	s.nothingSent()
}

// The security page tells the browser which passkeys there are: one that was removed
// is offered no more, and the name follows the account's.
func TestW2_RemovedPasskeysAreForgotten(t *testing.T) {
	s := newSite(t, passkeyPages())
	b := browsertest.New(t)
	a := b.EnableVirtualAuthenticator(browsertest.Passkeys())
	b.Go(s.URL + "/2fa/own/create")
	b.Click("[data-script]")
	made := s.credential()
	signal := &web.Signal{RPID: "localhost", UserID: "q83vEjRW", AcceptedIDs: []string{made.ID}, Name: "alice@new.example.test", DisplayName: "Alice"}
	s.pages["security"] = &web.Security{Signal: signal}
	b.Go(s.URL + "/2fa/own/security")
	eventually(t, func() bool { c := a.Credentials(); return len(c) == 1 && c[0].UserName == "alice@new.example.test" })
	signal.AcceptedIDs = []string{}
	b.Go(s.URL + "/2fa/own/security")
	eventually(t, func() bool { return len(a.Credentials()) == 0 })
	b.NoProblems()
}

// eventually fails the test if it does not become so.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	mailtest.Eventually(t, "what is waited for here", so)
}

func TestSecretsDoNotPrint(t *testing.T) {
	page := web.BackupCodes{Codes: []account.Secret{account.SecretString("k2vx-m2qd")}}
	b, err := json.Marshal(page)
	if err != nil || strings.Contains(string(b), "k2vx") {
		t.Errorf("%s %v", b, err)
	}
}
