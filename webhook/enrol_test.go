package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"postern/internal/factor"
	"postern/internal/hooktest"
)

// policy sets settings of the user's own policy.
func (w *world) policy(user string, settings ...string) {
	w.t.Helper()
	_, err := w.Posternctl(w.t.Context(), append([]string{"policy", "set", "user", user}, settings...)...)
	must(w.t, err)
}

var keyOnPage = regexp.MustCompile(`<code class="key" id="key" dir="ltr">(.*?)</code>`)
var tags = regexp.MustCompile(`<[^>]*>| `)

// scan reads the new authenticator's key off the page, as an app would.
func scan(t *testing.T, p *hooktest.Page) *factor.TOTP {
	t.Helper()
	m := keyOnPage.FindStringSubmatch(p.Body)
	if m == nil {
		t.Fatalf("the page shows no key:\n%s", p.Body)
	}
	secret, err := factor.ParseTOTPSecret(tags.ReplaceAllString(m[1], ""))
	must(t, err)
	totp, err := factor.NewTOTP(factor.TOTPOptions{Secret: secret})
	must(t, err)
	return &totp
}

// A user who must enrol does so in the middle of signing in, and is in.
func TestEnrolmentInTheMiddleOfSigningIn(t *testing.T) {
	w := shared(t)
	user := w.user()
	w.policy(user, "twofactor=mandatory")
	begun := w.call("login", "enroll", w.start(user))
	b := w.browser()
	page := w.submit(b, http.StatusOK, w.get(b, http.StatusOK, begun.URL), "enrol", "method", "totp")
	totp := scan(t, page)
	page = w.submit(b, http.StatusUnprocessableEntity, page, "enrol/totp", "code", "12345", "name", "Phone")
	if again := scan(t, page); again.SecretText() != totp.SecretText() {
		t.Error("after a mistyped code the page shows another key")
	}
	page = w.submit(b, http.StatusUnprocessableEntity, page, "enrol/totp", "code", code(t, totp), "name", "")
	page = w.submit(b, http.StatusUnprocessableEntity, page, "enrol/totp", "code", code(t, totp), "name", "Pho\u202ene")
	if !strings.Contains(page.Body, "This cannot be a name") {
		t.Errorf("a name that nobody could read:\n%s", page.Body)
	}
	page = w.submit(b, http.StatusOK, page, "enrol/totp", "code", code(t, totp), "name", "👩\u200d💻 phone")
	if n := strings.Count(page.Body, `<li><code dir="ltr">`); n != 10 {
		t.Errorf("%d backup codes", n)
	}
	if view, err := w.desk.Overview(t.Context(), user); err != nil || len(view.Factors) != 0 {
		t.Errorf("before the codes are saved: %+v, %v", view.Factors, err)
	}
	again := w.submit(b, http.StatusUnprocessableEntity, page, "enrol/saved")
	if strings.Count(again.Body, `<li><code dir="ltr">`) != 10 {
		t.Error("the codes are lost")
	}
	done := w.submit(b, http.StatusOK, again, "enrol/saved", "saved", "yes")
	w.submit(b, http.StatusOK, again, "enrol/saved", "saved", "yes") // double click
	back := w.submit(b, http.StatusSeeOther, done, "enrol/done").Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	view, err := w.desk.Overview(t.Context(), user)
	if err != nil || len(view.Factors) != 1 || view.Factors[0].Name != "👩\u200d💻 phone" || view.Backup.Left != 10 || len(view.Sessions) != 1 || !view.Sessions[0].Strong {
		t.Errorf("%+v, %v", view, err)
	}
}

// While the grace lasts, enrolment can be put off; afterwards it cannot.
func TestEnrolmentLater(t *testing.T) {
	w := shared(t)
	user := w.user()
	w.policy(user, "twofactor=mandatory", "grace=7d")
	begun := w.call("login", "enroll", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	back := w.submit(b, http.StatusSeeOther, page, "enrol/later").Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	begun = w.call("login", "enroll", w.start(user))
	page = w.get(b, http.StatusOK, begun.URL)
	w.policy(user, "grace=0s")
	w.submit(b, http.StatusGone, page, "enrol/later")
	begun = w.call("login", "enroll", w.start(user))
	if page = w.get(b, http.StatusOK, begun.URL); strings.Contains(page.Body, "enrol/later") {
		t.Error("later is offered although the grace is over")
	}
}

// ATTACKS 37: after a reset the password alone enrols nothing; the administrator's
// token does.
func TestAttack37_EnrolmentAfterAResetNeedsTheToken(t *testing.T) {
	w := shared(t)
	user, _ := w.twoFactor()
	reset, err := w.desk.Reset(t.Context(), operator, user)
	must(t, err)
	token := string(reset.Token.Token.Reveal())
	begun := w.call("login", "enroll", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	if strings.Contains(page.Body, "enrol/totp") {
		t.Fatal("a key is shown without the token")
	}
	form, _, err := page.Form("enrol/token")
	must(t, err)
	for _, wrong := range []string{"", "abcd", strings.Repeat("a", 20), other(token)} {
		w.submit(b, http.StatusUnprocessableEntity, page, "enrol/token", "enrolment", wrong)
	}
	// Without it, no way around by posting to the later steps.
	forged, err := b.Post(t.Context(), w.Webmail.PublicURL+"enrol", form)
	must(t, err)
	if strings.Contains(forged.Body, `id="key"`) {
		t.Error("choosing a method shows a key without the token")
	}
	page = w.submit(b, http.StatusOK, page, "enrol/token", "enrolment", " "+strings.ToUpper(token))
	page = w.submit(b, http.StatusOK, page, "enrol", "method", "totp")
	totp := scan(t, page)
	page = w.submit(b, http.StatusOK, page, "enrol/totp", "code", code(t, totp), "name", "Phone")
	page = w.submit(b, http.StatusOK, page, "enrol/saved", "saved", "yes")
	back := w.submit(b, http.StatusSeeOther, page, "enrol/done").Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
}

// other is a token with another last character.
func other(token string) string {
	last := "2"
	if strings.HasSuffix(token, last) {
		last = "3"
	}
	return token[:len(token)-1] + last
}

// A login that waits for enrolment is nobody's way in once another has enrolled: what
// was begun with the password alone stays what it was (ATTACKS 2).
func TestAttack02_EnrolmentOfAnotherLogin(t *testing.T) {
	w := shared(t)
	user := w.user()
	w.policy(user, "twofactor=mandatory", "methods=totp")
	thief, owner := w.browser(), w.browser()
	stolen := w.call("login", "enroll", w.start(user))
	thiefPage := w.get(thief, http.StatusOK, stolen.URL)
	thiefTOTP := scan(t, thiefPage)
	thiefCodes := w.submit(thief, http.StatusOK, thiefPage, "enrol/totp", "code", code(t, thiefTOTP), "name", "Thief")

	own := w.call("login", "enroll", w.start(user))
	page := w.get(owner, http.StatusOK, own.URL)
	page = w.submit(owner, http.StatusOK, page, "enrol/totp", "code", code(t, scan(t, page)), "name", "Owner")
	page = w.submit(owner, http.StatusOK, page, "enrol/saved", "saved", "yes")
	w.submit(owner, http.StatusSeeOther, page, "enrol/done")

	w.submit(thief, http.StatusGone, thiefCodes, "enrol/saved", "saved", "yes")
	form, _, err := thiefCodes.Form("enrol/saved")
	must(t, err)
	for _, path := range []string{"enrol/done", "enrol/later", "enrol/saved", "enrol/totp", "enrol", "sign-in"} {
		p, err := thief.Post(t.Context(), w.Webmail.PublicURL+path, form)
		must(t, err)
		if p.Status == http.StatusSeeOther || p.Status == http.StatusOK {
			t.Errorf("%s: %d %s", path, p.Status, p.Location())
		}
	}
	view, err := w.desk.Overview(t.Context(), user)
	if err != nil || len(view.Factors) != 1 || view.Factors[0].Name != "Owner" {
		t.Errorf("%+v, %v", view.Factors, err)
	}
}
