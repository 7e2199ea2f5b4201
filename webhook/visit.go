package main

import (
	"net/http"
	"net/url"

	"postern/internal/login"
	"postern/internal/web"
)

// visit opens the login that the page belongs to; nil means that the turn is over.
func (t *turn) visit() *login.Visit {
	v, reason, err := t.s.signIn.Open(t.r.Context(), t.token.page, t.browser)
	switch {
	case err != nil:
		t.unavailable(err)
	case reason != "":
		t.over(v, reason)
	default:
		return v
	}
	return nil
}

// endings are the messages with which a login ends at the page, by reason. The rest
// is MessageDenied.
var endings = map[login.Reason]struct {
	status int
	code   web.MessageCode
}{
	login.BadTransaction:  {http.StatusGone, web.MessageExpired},
	login.TransactionOver: {http.StatusGone, web.MessageExpired},
	login.AccountChanged:  {http.StatusGone, web.MessageExpired},
	login.BegunElsewhere:  {http.StatusForbidden, web.MessageElsewhere},
}

// over ends a login at the page, with a way back to webmail where that is known.
func (t *turn) over(v *login.Visit, reason login.Reason) {
	e, ok := endings[reason]
	if !ok {
		e.status, e.code = http.StatusForbidden, web.MessageDenied
	}
	m := web.Message{Code: e.code, Common: web.Common{Webmail: t.s.home()}}
	if v != nil {
		m.Webmail = t.webmail(v)
	}
	t.tell(e.status, m)
}

func (t *turn) webmail(v *login.Visit) web.Webmail {
	return web.Webmail{Name: t.s.title(v.Client()), URL: v.Cancelled(), Administration: v.Client() == adminClient}
}

// visitCommon is what the pages of a login have. self is the path that shows the page
// again by a GET.
func (t *turn) visitCommon(v *login.Visit, self string, p *web.Problem) web.Common {
	c := web.Common{Webmail: t.webmail(v), User: v.User(), Problem: p,
		Self: t.path(self, web.FieldToken, t.token.page)}
	if v.Account != nil {
		c.Domain = v.Account.Domain
	}
	if u, err := url.Parse(v.ReturnTo()); err == nil {
		c.Origins = append(t.s.oidcOrigins(v.Client()), origin(u))
	}
	return t.common(c)
}

// leave sends the browser back to webmail with the one-time code, and with the cookie
// of a device that is trusted from now on; or on to where a factor is set up before.
func (t *turn) leave(v *login.Visit, a login.Answer) {
	if a.Enrol != "" {
		t.redirect(t.path(web.PathEnrol, web.FieldToken, a.Enrol))
		return
	}
	if a.Device != nil {
		cookie := deviceCookie(v, a.Device.Expires.Sub(t.s.now()))
		if err := cookie.Set(t.w, a.Device.Value); err != nil {
			t.s.log.Error("a device is not remembered", "error", err)
		}
	}
	t.redirect(a.Redirect)
}
