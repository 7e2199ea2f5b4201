package main

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/oidc"
	"postern/internal/seal"
	"postern/internal/web"
)

// oidcDir is where the OpenID provider is, below the pages (app.Config.Issuer).
const oidcDir = "oidc"

func (s *server) openOIDC() (err error) {
	s.oidc, err = s.cfg.OpenOIDC(app.OIDCParts{Sessions: s.signIn, Ring: s.Ring, Ready: s.KeysFit, Now: s.now})
	return err
}

// oidcPages are those that people look at. They ask for the password, which the
// client never sees.
var oidcPages = map[string]page{
	web.PathStart:               {get: (*turn).startGet, post: (*turn).startPost},
	web.PathStartPasskey:        {post: (*turn).startPasskey},
	oidcDir + oidc.PathCallback: {get: (*turn).oidcCallback},
}

// oidcPrograms adds what clients themselves call. They may do so without the site's
// web server, by whatever name they have for this daemon: nothing in an answer goes by
// it.
func (s *server) oidcPrograms(mux *http.ServeMux) {
	if s.oidc == nil {
		return
	}
	path := s.pages.Path(oidcDir)
	handler := s.oidc.Handler(path)
	for _, at := range []string{oidc.PathDiscovery, oidc.PathKeys, oidc.PathToken, oidc.PathUserinfo, oidc.PathRevoke} {
		mux.Handle(path+at, handler)
	}
}

// oidcRoutes adds what browsers are sent to. What clients send them to cannot have our
// forms' protection.
func (s *server) oidcRoutes(mux *http.ServeMux) {
	if s.oidc == nil {
		return
	}
	path := s.pages.Path(oidcDir)
	mux.HandleFunc(path+oidc.PathAuthorize, s.authorize)
	mux.HandleFunc(path+oidc.PathLogout, s.oidcLogout)
	for at, p := range oidcPages {
		mux.Handle(s.pages.Path(at), s.pages.Protect(s.page(p)))
	}
}

// parameters are those of a request that a client made the browser send, by GET or as
// a form (OpenID Connect Core, section 3.1.2.1).
func parameters(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return r.URL.Query(), true
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := r.ParseForm()
		return r.PostForm, err == nil
	}
	return nil, false
}

// authorize takes a client's request, and shows the form by a GET of our own: it
// stands at an address that can be shown again.
func (s *server) authorize(w http.ResponseWriter, r *http.Request) {
	t := &turn{s: s, w: w, r: r}
	v, ok := parameters(w, r)
	if !ok {
		t.say(http.StatusBadRequest, web.MessageForbidden)
		return
	}
	q, err := s.oidc.Authorize(v)
	var refusal *oidc.Refusal
	switch {
	case errors.As(err, &refusal):
		t.redirect(s.oidc.Refused(q, refusal))
		return
	case err != nil:
		s.log.Warn("refused an OpenID request: its client_id or redirect_uri is in no oidc.clients", "address", s.browserAddr(r).String())
		t.say(http.StatusBadRequest, web.MessageForbidden)
		return
	}
	token, err := s.oidc.SealRequest(q)
	if err != nil {
		t.unavailable(err)
		return
	}
	t.redirect(t.path(web.PathStart, web.FieldToken, token))
}

// request opens the client's request that the page carries; nil means that the turn is
// over.
func (t *turn) request() *oidc.Request {
	q, err := t.s.oidc.OpenRequest(t.token.page)
	switch {
	case err == nil:
		return q
	case errors.Is(err, seal.ErrExpired):
		t.tell(http.StatusGone, web.Message{Common: web.Common{Webmail: t.oidcWebmail(q)}, Code: web.MessageExpired})
	default:
		t.say(http.StatusGone, web.MessageExpired)
	}
	return nil
}

func (t *turn) oidcWebmail(q *oidc.Request) web.Webmail {
	return web.Webmail{Name: t.s.title(q.Client), URL: t.s.oidc.Cancelled(q)}
}

func (t *turn) startGet() {
	if q := t.request(); q != nil {
		t.start(q, http.StatusOK, q.Hint, "")
	}
}

// start shows the form that asks for name and password.
func (t *turn) start(q *oidc.Request, status int, name string, problem web.ProblemCode) {
	c := web.Common{Webmail: t.oidcWebmail(q), Origins: t.s.oidcOrigins(q.Client),
		Self: t.path(web.PathStart, web.FieldToken, t.token.page)}
	if problem != "" {
		c.Problem = &web.Problem{Code: problem}
	}
	t.show(status, &web.SignInStart{Common: t.common(c), Name: name, Passkeys: true})
}

const maxLoginName = 320 // bytes: the longest mail address

// startPost checks name and password.
func (t *turn) startPost() {
	q := t.request()
	if q == nil {
		return
	}
	name, password := strings.TrimSpace(t.field(web.FieldUser)), account.SecretString(t.field(web.FieldPassword))
	if len(name) > maxLoginName {
		name = ""
	}
	switch {
	case name == "":
		t.start(q, http.StatusUnprocessableEntity, name, web.UserEmpty)
		return
	case password.Empty():
		t.start(q, http.StatusUnprocessableEntity, name, web.PasswordEmpty)
		return
	}
	st, id := t.oidcStart(q)
	st.User, st.Password = name, password
	r := t.s.signIn.Begin(t.r.Context(), st)
	switch {
	case r.Outcome == account.Granted && r.Step != "":
		t.depart(id, r, oidc.Pending{Request: *q, Transaction: r.Transaction})
	case r.Outcome == account.Granted && r.Live != nil && r.Live.Grant != "":
		t.arrive(t.s.oidc.FinishWithout(q, r.Live))
	case r.Outcome == account.Denied:
		status, problem := startProblem(r.Reason, password)
		t.start(q, status, name, problem)
	default: // also without a ticket: the password alone is nothing that a client could use
		t.start(q, http.StatusServiceUnavailable, name, web.Unavailable)
	}
}

// startProblem: that it is an app password is said by the shape alone, whether there is
// such a one is not; otherwise all denials read the same.
func startProblem(r login.Reason, password account.Secret) (int, web.ProblemCode) {
	switch {
	case r == login.Throttled:
		return http.StatusTooManyRequests, web.LoginThrottled
	case factor.Classify(password).Shape != factor.Main:
		return http.StatusUnprocessableEntity, web.LoginApp
	}
	return http.StatusUnprocessableEntity, web.LoginWrong
}

// startPasskey begins a login with a passkey alone.
func (t *turn) startPasskey() {
	q := t.request()
	if q == nil {
		return
	}
	st, id := t.oidcStart(q)
	_, st.Domain, _ = strings.Cut(q.Hint, "@")
	r := t.s.signIn.BeginPasskey(t.r.Context(), st)
	if r.Outcome != account.Granted {
		t.unavailable(nil)
		return
	}
	t.depart(id, r, oidc.Pending{Request: *q, Transaction: r.Transaction, Passkey: true})
}

// oidcStart is a login for the client, which comes back to our own callback. Each has
// a cookie of its own: of two tabs neither disturbs the other.
func (t *turn) oidcStart(q *oidc.Request) (login.Start, string) {
	id := strings.ToLower(rand.Text()[:12])
	back := t.s.cfg.Issuer() + oidc.PathCallback + "?" + url.Values{fieldLogin: {id}}.Encode()
	return login.Start{Client: q.Client, Addr: t.browser.Addr, Agent: t.browser.Agent, ReturnTo: back}, id
}

const (
	fieldLogin  = "l" // which of the browser's logins, in the callback's query
	loginCookie = "postern_oidc_"
	maxLogins   = 2 // that a browser has besides: cookies share one header
)

func (t *turn) loginCookie(id string) web.Cookie {
	return web.Cookie{Name: loginCookie + id, Life: time.Duration(t.s.cfg.Webhook.TransactionLife), SameSite: http.SameSiteLaxMode}
}

// depart sends the browser to the factor's page, with the login in its cookie.
func (t *turn) depart(id string, r login.Result, b oidc.Pending) {
	b.Request.Hint = ""
	sealed, err := t.s.oidc.SealPending(b)
	if err == nil {
		t.forgetLogins()
		err = t.loginCookie(id).Set(t.w, sealed)
	}
	if err != nil {
		t.unavailable(err)
		return
	}
	t.redirect(r.URL)
}

// forgetLogins drops the browser's other logins when they become many: they were
// given up.
func (t *turn) forgetLogins() {
	var old []string
	for _, c := range t.r.Cookies() {
		if _, id, ok := strings.Cut(c.Name, loginCookie); ok {
			old = append(old, id)
		}
	}
	if len(old) <= maxLogins {
		return
	}
	for _, id := range old {
		t.loginCookie(id).Clear(t.w)
	}
}

// oidcCallback is where the factor's page leads back to. Only the browser that began
// the login has its cookie.
func (t *turn) oidcCallback() {
	query := t.r.URL.Query()
	cookie := t.loginCookie(query.Get(fieldLogin))
	value, _ := cookie.Get(t.r)
	b, err := t.s.oidc.OpenPending(value)
	if err != nil {
		t.say(http.StatusGone, web.MessageExpired)
		return
	}
	cookie.Clear(t.w)
	switch {
	case query.Get("code") != "":
		t.arrive(t.s.oidc.Finish(b, query.Get("code")))
	case b.Passkey: // with the password instead
		token, err := t.s.oidc.SealRequest(&b.Request)
		if err != nil {
			t.unavailable(err)
			return
		}
		t.redirect(t.path(web.PathStart, web.FieldToken, token))
	default:
		t.redirect(t.s.oidc.Cancelled(&b.Request))
	}
}

// arrive sends the browser to the client with its code.
func (t *turn) arrive(to string, err error) {
	if err != nil {
		t.unavailable(err)
		return
	}
	t.redirect(to)
}

// oidcLogout ends the session that an ID token is of.
func (s *server) oidcLogout(w http.ResponseWriter, r *http.Request) {
	t := &turn{s: s, w: w, r: r}
	v, ok := parameters(w, r)
	if !ok {
		t.say(http.StatusBadRequest, web.MessageForbidden)
		return
	}
	if !s.KeysFit() {
		t.unavailable(nil)
		return
	}
	to, err := s.oidc.Logout(r.Context(), v)
	switch {
	case errors.Is(err, oidc.ErrUnavailable):
		t.unavailable(err)
	case err != nil:
		t.say(http.StatusBadRequest, web.MessageForbidden)
	case to != "":
		t.redirect(to)
	default:
		t.say(http.StatusOK, web.MessageSignedOut)
	}
}

// oidcOrigins are where a client of the OpenID provider may have the browser sent to:
// browsers hold a form's content security policy against the whole way there.
func (s *server) oidcOrigins(id string) []string {
	if s.oidc == nil {
		return nil
	}
	c, ok := s.oidc.Client(id)
	if !ok {
		return nil
	}
	var all []string
	for _, text := range c.RedirectURIs {
		if u, err := url.Parse(text); err == nil {
			all = append(all, origin(u))
		}
	}
	return all
}
