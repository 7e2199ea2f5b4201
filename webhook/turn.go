package main

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/web"
)

// turn is one request of a browser to a page, and the answer to it.
type turn struct {
	s       *server
	w       http.ResponseWriter
	r       *http.Request
	browser login.Browser
	token   formToken
}

// formToken is what a page needs again from its own form: all of it sealed by
// package login, but for the administrator's token as typed.
type formToken struct {
	page     string // the login under way, from the address; empty on the settings pages
	factor   string // state of the factor that is asked for
	enrolled string // the factor that was proved, and is not stored yet
	token    string // an administrator's, without which no factor is enrolled after a reset
	codes    string // backup codes that the page shows
}

// String writes it for a hidden field. No part has a dot.
func (f formToken) String() string {
	return strings.TrimRight(strings.Join([]string{f.page, f.factor, f.enrolled, f.token, f.codes}, "."), ".")
}

func parseFormToken(text string) formToken {
	var parts [5]string
	copy(parts[:], strings.Split(text, "."))
	return formToken{parts[0], parts[1], parts[2], parts[3], parts[4]}
}

// cleanToken makes an administrator's token, as typed, fit into a formToken.
func cleanToken(typed string) string {
	return strings.ReplaceAll(strings.TrimSpace(typed), ".", "")
}

// begin reads what every page reads; false means that it has answered already. A
// form must carry the CSRF token that was made for this browser.
func (t *turn) begin() bool {
	t.browser = login.Browser{Addr: t.s.browserAddr(t.r), Agent: effect.Clean(t.r.UserAgent()), Origin: origin(t.s.public),
		Language: t.s.pages.Language(t.r)}
	if t.r.Method != http.MethodPost {
		t.token = formToken{page: t.r.URL.Query().Get(web.FieldToken)}
		var err error
		if t.browser.Cookie, err = web.Browser(t.w, t.r); err != nil {
			t.unavailable(err)
		}
		return err == nil
	}
	t.r.Body = http.MaxBytesReader(t.w, t.r.Body, maxBody)
	err := t.r.ParseForm()
	var long *http.MaxBytesError
	name, known := web.BrowserCookie.Get(t.r)
	switch {
	case errors.As(err, &long):
		t.say(http.StatusRequestEntityTooLarge, web.MessageTooLarge)
	case err != nil:
		t.say(http.StatusBadRequest, web.MessageForbidden)
	case !known:
		t.say(http.StatusBadRequest, web.MessageCookies)
	case !t.s.csrf.Valid(name, t.field(web.FieldCSRF)):
		t.say(http.StatusForbidden, web.MessageForbidden)
	default:
		t.browser.Cookie = name
		t.token = parseFormToken(t.field(web.FieldToken))
		return true
	}
	return false
}

// field is a field of the posted form; the address's query is not one.
func (t *turn) field(name string) string { return t.r.PostForm.Get(name) }

// common fills in what every page with a form has.
func (t *turn) common(c web.Common) web.Common {
	c.Token = t.token.String()
	var err error
	if c.CSRF, err = t.s.csrf.Token(t.browser.Cookie); err != nil {
		t.s.log.Error("no CSRF token", "error", err) // the form will be refused
	}
	return c
}

// show answers with a page.
func (t *turn) show(status int, p web.Page) {
	if status == http.StatusServiceUnavailable {
		t.w.Header().Set("Retry-After", retryAfter)
	}
	if err := t.s.pages.Render(t.w, t.r, status, p); err != nil {
		t.s.log.Error("a page could not be shown", "path", t.r.URL.Path, "error", err)
	}
}

// say answers with nothing but a message.
func (t *turn) say(status int, code web.MessageCode) { t.tell(status, web.Message{Code: code}) }

func (t *turn) tell(status int, m web.Message) { t.show(status, &m) }

// unavailable: nothing was checked, nothing is wrong. The same page may be tried again.
func (t *turn) unavailable(err error) {
	if err != nil {
		t.s.log.Warn("a page could not be answered", "path", t.r.URL.Path, "error", err)
	}
	m := web.Message{Code: web.MessageUnavailable}
	if t.r.Method == http.MethodGet {
		m.Retry = t.r.URL.RequestURI()
	}
	t.tell(http.StatusServiceUnavailable, m)
}

// redirect sends the browser on. The address is one that was checked, or is our own.
func (t *turn) redirect(to string) {
	h := t.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	http.Redirect(t.w, t.r, to, http.StatusSeeOther) //nolint:gosec // G710: as the comment says
}

// path is the path of a page with a query of names and values in turn.
func (t *turn) path(page string, query ...string) string {
	return withQuery(t.s.pages.Path(page), query...)
}

func withQuery(path string, query ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
