package main

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/web"
)

// adminClient is the client that the administration's own sign-ins are of. No configured
// client can have the name: it has a blank. Its tickets are thrown away, so no mail is
// opened by such a session.
const adminClient = "administration pages"

const adminCookie = "postern_admin_" // + the login's id: the transaction of a sign-in under way

func (t *turn) adminLogin(id string) web.Cookie {
	return web.Cookie{Name: adminCookie + id, Life: time.Duration(t.s.cfg.Webhook.TransactionLife), SameSite: http.SameSiteLaxMode}
}

// adminStart shows the form that asks for name and password, to who is not in yet.
func (t *turn) adminStart() {
	if cookie, ok := settingsCookie.Get(t.r); ok {
		if _, reason, err := t.s.signIn.Owner(t.r.Context(), cookie, t.browser); err == nil && reason == "" {
			t.redirect(t.path(web.PathAdmin))
			return
		}
	}
	t.adminForm(http.StatusOK, "", "")
}

func (t *turn) adminForm(status int, name string, problem web.ProblemCode) {
	t.token = formToken{}
	c := web.Common{Self: t.path(web.PathAdminSignIn)}
	if problem != "" {
		c.Problem = &web.Problem{Code: problem}
	}
	t.show(status, &web.SignInStart{Common: t.common(c), Name: name, Passkeys: true, Admin: true})
}

// adminStartPost checks name and password. Whether they are an administrator's is looked
// at when they are in: before, nobody learns of it.
func (t *turn) adminStartPost() {
	name, password := strings.TrimSpace(t.field(web.FieldUser)), account.SecretString(t.field(web.FieldPassword))
	if len(name) > maxLoginName {
		name = ""
	}
	switch {
	case name == "":
		t.adminForm(http.StatusUnprocessableEntity, name, web.UserEmpty)
		return
	case password.Empty():
		t.adminForm(http.StatusUnprocessableEntity, name, web.PasswordEmpty)
		return
	}
	st, id := t.adminStarted()
	st.User, st.Password = name, password
	r := t.s.signIn.Begin(t.r.Context(), st)
	switch {
	case r.Outcome == account.Granted && r.Step != "":
		t.adminDepart(id, r)
	case r.Outcome == account.Granted && r.Live != nil && r.Live.Grant != "":
		t.enter(r.Live.Grant)
	case r.Outcome == account.Denied:
		status, problem := startProblem(r.Reason, password)
		t.adminForm(status, name, problem)
	default:
		t.adminForm(http.StatusServiceUnavailable, name, web.Unavailable)
	}
}

// adminStartPasskey begins a sign-in with a passkey alone.
func (t *turn) adminStartPasskey() {
	st, id := t.adminStarted()
	r := t.s.signIn.BeginPasskey(t.r.Context(), st)
	if r.Outcome != account.Granted {
		t.unavailable(nil)
		return
	}
	t.adminDepart(id, r)
}

// adminStarted is a sign-in that comes back to us. Of two tabs, each has its own.
func (t *turn) adminStarted() (login.Start, string) {
	id := strings.ToLower(rand.Text()[:12])
	back := t.s.adminURL(web.PathAdminBack) + "?" + url.Values{fieldLogin: {id}}.Encode()
	return login.Start{Client: adminClient, Addr: t.browser.Addr, Agent: t.browser.Agent, ReturnTo: back}, id
}

// adminURL is the whole address of a page.
func (s *server) adminURL(page string) string {
	u := *s.public
	u.Path = s.pages.Path(page)
	return u.String()
}

// adminDepart sends the browser to the factor's page. The transaction stays in a cookie:
// who takes the code out of the address on the way back has nothing (ATTACKS 4).
func (t *turn) adminDepart(id string, r login.Result) {
	var old []string
	for _, c := range t.r.Cookies() {
		if _, other, ok := strings.Cut(c.Name, adminCookie); ok {
			old = append(old, other)
		}
	}
	if len(old) > maxLogins {
		for _, other := range old {
			t.adminLogin(other).Clear(t.w)
		}
	}
	if err := t.adminLogin(id).Set(t.w, r.Transaction); err != nil {
		t.unavailable(err)
		return
	}
	t.redirect(r.URL)
}

// adminBack is where the factor's page leads back to. Only the browser that began the
// sign-in has its cookie.
func (t *turn) adminBack() {
	query := t.r.URL.Query()
	cookie := t.adminLogin(query.Get(fieldLogin))
	transaction, ok := cookie.Get(t.r)
	code := query.Get("code")
	if !ok || code == "" {
		t.redirect(t.path(web.PathAdminSignIn))
		return
	}
	r := t.s.signIn.Exchange(t.r.Context(), adminClient, transaction, code)
	switch {
	case r.Outcome == account.Unavailable:
		t.unavailable(nil)
		return
	case r.Outcome == account.Denied || r.Live == nil || r.Live.Grant == "":
		t.say(http.StatusGone, web.MessageExpired)
		return
	}
	cookie.Clear(t.w)
	t.enter(r.Live.Grant)
}

// enter opens the pages for a session that has just begun, and ends it again if its
// account is nobody who administers anything.
func (t *turn) enter(grant string) {
	ctx := t.r.Context()
	cookie, reason, err := t.s.signIn.Enter(ctx, adminClient, grant, t.s.adminURL(web.PathAdmin), t.browser)
	if err != nil || reason != "" {
		t.unavailable(err)
		return
	}
	o, reason, err := t.s.signIn.Owner(ctx, cookie, t.browser)
	if err != nil || reason != "" {
		t.unavailable(err)
		return
	}
	may, err := t.s.roles.Of(ctx, o.Account)
	switch {
	case err != nil:
		t.unavailable(err)
	case may.Role == 0:
		if r := t.s.signIn.End(ctx, adminClient, grant); r.Outcome != account.Granted {
			t.s.log.Warn("a session of the administration pages was not ended", "user", o.Account.Name)
		}
		t.tell(http.StatusForbidden, web.Message{Code: web.MessageNoAdmin, Common: web.Common{User: o.Account.Name, Domain: o.Account.Domain}})
	default:
		t.keep(cookie)
		t.redirect(t.path(web.PathAdmin))
	}
}

// adminLeave ends what was opened here; who came from webmail goes back there.
func (t *turn) adminLeave() {
	cookie, ok := settingsCookie.Get(t.r)
	settingsCookie.Clear(t.w)
	if !ok {
		t.redirect(t.path(web.PathAdminSignIn))
		return
	}
	o, reason, err := t.s.signIn.Owner(t.r.Context(), cookie, t.browser)
	switch {
	case err != nil || reason != "":
		t.redirect(t.path(web.PathAdminSignIn))
	case o.Client() != adminClient:
		t.redirect(o.ReturnTo())
	default:
		if err := t.s.signIn.Leave(t.r.Context(), o, adminClient); err != nil {
			t.s.log.Warn("a session of the administration pages was not ended", "user", o.Account.Name, "error", err)
		}
		t.tell(http.StatusOK, web.Message{Code: web.MessageSignedOut})
	}
}
