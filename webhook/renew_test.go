package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// opens asks the mail door whether a password opens IMAP.
func (w *world) opens(user, password string) bool {
	w.t.Helper()
	form := url.Values{"user": {user}, "password": {password}, "service": {"imap"}, "remote_ip": {"127.0.0.1"}}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.URL(), strings.NewReader(form.Encode()))
	must(w.t, err)
	req.Header.Set("X-API-Key", w.Config.Key)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusForbidden {
		w.t.Fatalf("the mail door: %d", res.StatusCode)
	}
	return res.StatusCode == http.StatusOK
}

// someCodes are backup codes that several accounts of these tests have: ten slow hashes.
var someCodes = sync.OnceValues(func() (factor.NewBackup, error) {
	return factor.NewBackupFactor(1).NewCodes(context.Background())
})

// lost is somebody who must have a second factor, has lost the last one, and has so many
// backup codes, given from the end of someCodes.
func (w *world) lost(left int, settings ...string) (string, []string) {
	w.t.Helper()
	user, _ := w.twoFactor()
	w.policy(user, append([]string{"twofactor=mandatory", "methods=totp"}, settings...)...)
	all, err := someCodes()
	must(w.t, err)
	codes, err := factor.DecodeBackupCodes(all.Body)
	must(w.t, err)
	first := len(codes.Left) - left
	codes.Left, codes.Used = codes.Left[first:], codes.Left[:first]
	body, err := account.Encode(codes)
	must(w.t, err)
	_, err = w.desk.NewBackupCodes(w.t.Context(), operator, user, body)
	must(w.t, err)
	view, err := w.desk.Overview(w.t.Context(), user)
	must(w.t, err)
	_, err = w.desk.RemoveFactor(w.t.Context(), operator, user, view.Factors[0].Ref)
	must(w.t, err)
	var plain []string
	for _, c := range all.Codes[first:] {
		plain = append(plain, string(c.Reveal()))
	}
	return user, plain
}

// byCode signs in as far as the page on which a factor is set up.
func (w *world) byCode(user, code string) (*hooktest.Answer, *hooktest.Browser, *hooktest.Page) {
	w.t.Helper()
	begun := w.call("login", "second_factor", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	to := w.submit(b, http.StatusSeeOther, page, "sign-in", "code", code).Location()
	return begun, b, w.get(b, http.StatusOK, w.absolute(to))
}

// absolute is an address of the pages as a browser understands a redirection to it.
func (w *world) absolute(to string) string {
	base, err := url.Parse(w.Webmail.PublicURL)
	must(w.t, err)
	u, err := base.Parse(to)
	must(w.t, err)
	return u.String()
}

func (w *world) state(user string) (desk.Overview, account.State) {
	w.t.Helper()
	view, err := w.desk.Overview(w.t.Context(), user)
	must(w.t, err)
	a, err := w.desk.Store.Find(w.t.Context(), user)
	must(w.t, err)
	return view, a.State
}

// A user whose last factor was removed, with backup codes left: mail goes on by app
// password alone, and at webmail one code leads to setting up another factor, which
// cannot be passed by.
func TestA3_LastFactorGoneLeadsToEnrolment(t *testing.T) {
	w := shared(t)
	user, codes := w.lost(10)
	app := w.app(user, account.IMAP)
	if !w.opens(user, app) || w.opens(user, mailtest.Password) {
		t.Error("the mail doors: the app password must open them, and the main password must not")
	}
	begun := w.call("login", "second_factor", w.start(user))
	b := w.browser()
	page := w.get(b, http.StatusOK, begun.URL)
	w.submit(b, http.StatusUnprocessableEntity, page, "sign-in", "code", "aaaaa-aaaaa-aaaaa")
	to := w.submit(b, http.StatusSeeOther, page, "sign-in", "code", codes[0]).Location()
	if again := w.submit(b, http.StatusSeeOther, page, "sign-in", "code", codes[0]).Location(); again != to {
		t.Errorf("a double click leads to %s, not to %s", again, to)
	}
	if back := w.get(b, http.StatusSeeOther, begun.URL).Location(); back != to {
		t.Errorf("the page before leads to %s", back)
	}
	view, state := w.state(user)
	if view.Backup.Left != 9 || len(view.Sessions) != 0 || !state.MustEnrol {
		t.Errorf("after the code: %d codes left, %d sessions", view.Backup.Left, len(view.Sessions))
	}
	page = w.get(b, http.StatusOK, w.absolute(to))
	for _, unwanted := range []string{"enrol/later", "Step 2", "app password"} {
		if strings.Contains(page.Body, unwanted) {
			t.Errorf("%q is on the page", unwanted)
		}
	}
	page = w.submit(b, http.StatusOK, page, "enrol/totp", "code", code(t, scan(t, page)), "name", "New phone")
	back := w.submit(b, http.StatusSeeOther, page, "enrol/done").Location()
	in := w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	if !w.opens(user, in.Ticket) || !w.opens(user, app) || w.opens(user, mailtest.Password) {
		t.Error("afterwards ticket and app password must open mail, and the main password must not")
	}
	view, state = w.state(user)
	if !state.Enrolled || state.MustEnrol || len(view.Sessions) != 1 || !view.Sessions[0].Strong || view.Backup.Left != 9 ||
		view.Sessions[0].Via != view.Factors[0].String() {
		t.Errorf("%+v, %+v", view.Sessions, view.Backup)
	}
	w.get(b, http.StatusGone, w.absolute(to))
	begun = w.call("login", "second_factor", w.start(user))
	page = w.get(b, http.StatusOK, begun.URL)
	page = w.submit(b, http.StatusOK, page, "sign-in/method", "method", "backup")
	w.submit(b, http.StatusUnprocessableEntity, page, "sign-in", "code", codes[0])
}

// With the last code spent there are new ones along with the factor; who leaves before is
// in the place of somebody whose account was reset.
func TestA3_LastBackupCodeToo(t *testing.T) {
	w := shared(t)
	user, codes := w.lost(1)
	_, _, page := w.byCode(user, codes[0])
	if !strings.Contains(page.Body, "stay on this page") {
		t.Error("the page does not say that it was the last code")
	}
	begun := w.call("login", "enroll", w.start(user))
	b := w.browser()
	page = w.get(b, http.StatusOK, begun.URL)
	if strings.Contains(page.Body, "enrol/totp") || strings.Contains(page.Body, "enrol/later") {
		t.Error("enrolment by the password alone")
	}
	token, err := w.desk.NewEnrolToken(t.Context(), operator, user)
	must(t, err)
	begun = w.call("login", "enroll", w.start(user))
	page = w.get(b, http.StatusOK, begun.URL)
	page = w.submit(b, http.StatusOK, page, "enrol/token", "enrolment", string(token.Token.Reveal()))
	page = w.submit(b, http.StatusOK, page, "enrol/totp", "code", code(t, scan(t, page)), "name", "Phone")
	w.submit(b, http.StatusOK, page, "enrol/saved", "saved", "yes")
	view, _ := w.state(user)
	if view.Backup.Left != 10 {
		t.Errorf("%d codes", view.Backup.Left)
	}
}

// While a grace with a date lasts it can be put off, at the price of the code.
func TestA3_LastFactorGoneWithinTheGrace(t *testing.T) {
	w := shared(t)
	user, codes := w.lost(2, "grace=7d", "grace_start="+time.Now().UTC().Add(-24*time.Hour).Format(time.DateOnly))
	begun, b, page := w.byCode(user, codes[0])
	back := w.submit(b, http.StatusSeeOther, page, "enrol/later").Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	if view, _ := w.state(user); len(view.Sessions) != 1 || !view.Sessions[0].Strong || view.Backup.Left != 1 {
		t.Errorf("%+v", view.Sessions)
	}
	begun, b, page = w.byCode(user, codes[1])
	back = w.submit(b, http.StatusSeeOther, page, "enrol/later").Location()
	w.policy(user, "grace=0s")
	w.submit(b, http.StatusGone, page, "enrol/later")
	w.call("exchange", "denied", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
}

// The stage after the backup code is no way past itself: not by the pages behind it, not
// in another browser, and not for two at once; a reset by an administrator ends it, and
// then the one-time token is needed (ATTACKS 2, 3, 37).
func TestAttack03_EnrolmentAfterABackupCode(t *testing.T) {
	w := shared(t)
	user, codes := w.lost(10)
	begun, b, page := w.byCode(user, codes[0])
	form, _, err := page.Form("enrol/totp")
	must(t, err)
	for _, path := range []string{"enrol/later", "enrol/done", "enrol/saved", "sign-in", "passkey"} {
		p, err := b.Post(t.Context(), w.Webmail.PublicURL+path, form)
		must(t, err)
		if to := p.Location(); p.Status == http.StatusOK || strings.Contains(to, "code=") {
			t.Errorf("%s: %d %s", path, p.Status, to)
		}
	}
	w.get(w.browser(), http.StatusForbidden, page.URL.String())
	for _, bad := range []string{"", form.Get("t"), begun.Transaction} {
		w.call("exchange", "denied", hooktest.Fields{"transaction": begun.Transaction, "code": bad})
	}
	// Another one who knows a code is as far as that, and too late.
	_, other, late := w.byCode(user, codes[1])
	enrolled := w.submit(b, http.StatusOK, page, "enrol/totp", "code", code(t, scan(t, page)), "name", "First")
	w.submit(other, http.StatusGone, late, "enrol/totp", "code", code(t, scan(t, late)), "name", "Late")
	back := w.submit(b, http.StatusSeeOther, enrolled, "enrol/done").Location()
	w.call("exchange", "granted", hooktest.Fields{"transaction": begun.Transaction, "code": hooktest.Code(back)})
	view, _ := w.state(user)
	if names := factorNames(&view); !slices.Equal(names, []string{"First"}) {
		t.Errorf("factors %q", names)
	}
}

func factorNames(view *desk.Overview) []string {
	var names []string
	for _, f := range view.Factors {
		names = append(names, f.Name)
	}
	return names
}

// A reset while somebody is at the enrolment ends it; the token wins (ATTACKS 37).
func TestAttack37_ResetDuringEnrolmentAfterABackupCode(t *testing.T) {
	w := shared(t)
	user, codes := w.lost(10)
	_, b, page := w.byCode(user, codes[0])
	totp := scan(t, page)
	reset, err := w.desk.Reset(t.Context(), operator, user)
	must(t, err)
	w.submit(b, http.StatusGone, page, "enrol/totp", "code", code(t, totp), "name", "Thief")
	begun := w.call("login", "enroll", w.start(user))
	page = w.get(b, http.StatusOK, begun.URL)
	if strings.Contains(page.Body, "enrol/totp") {
		t.Error("no token is asked for")
	}
	page = w.submit(b, http.StatusOK, page, "enrol/token", "enrolment", string(reset.Token.Token.Reveal()))
	page = w.submit(b, http.StatusOK, page, "enrol/totp", "code", code(t, scan(t, page)), "name", "Owner")
	w.submit(b, http.StatusOK, page, "enrol/saved", "saved", "yes")
	view, _ := w.state(user)
	if names := factorNames(&view); !slices.Equal(names, []string{"Owner"}) {
		t.Errorf("factors %q", names)
	}
}
