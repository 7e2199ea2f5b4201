package main

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/web"
)

// pathBasic is where web servers and DAV servers ask about HTTP Basic (RFC 7617).
const pathBasic = "/v1/basic"

const textBasic = "The user name is not right, or this is not an app password for calendars and contacts."

// basic decides whether a request to another server may pass, by the Authorization
// header that its user sent. nginx's auth_request knows three kinds of answers: 2xx lets
// in, 401 and 403 do not, and everything else is a failure (500), which is neither. So
// what is wrong with the caller has a status of the last kind: nobody's program may ask
// for another password because of it.
//
// No answer is kept: a password that is revoked opens nothing from then on.
func (s *server) basic(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		reply(w, http.StatusMethodNotAllowed, answer{Result: refused, Message: "send a GET, HEAD or POST"})
		return
	}
	addr, p := s.basicCaller(r)
	if p != nil {
		s.log.Warn("refused a question by "+pathBasic, "address", r.RemoteAddr, "error", p.text)
		s.refuse(w, r, p)
		return
	}
	if !s.KeysFit() {
		reply(w, http.StatusServiceUnavailable, answer{Result: unavailable, Message: s.say(r, web.AnswerUnavailable)})
		return
	}
	a, ok := basicAttempt(r)
	if !ok {
		s.challenge(w)
		return
	}
	a.Client = addr
	s.answerBasic(w, r, s.gate.Mail(r.Context(), a))
	s.times.WithLabelValues(pathBasic).Observe(time.Since(began).Seconds())
}

// basicCaller is where the user of a request is, if who asks is a client. The key is in
// X-API-Key alone: Authorization is the user's.
func (s *server) basicCaller(r *http.Request) (netip.Addr, *problem) {
	if s.caller(&http.Request{Header: http.Header{"X-Api-Key": r.Header["X-Api-Key"]}}) == nil {
		return netip.Addr{}, bad("no valid key: send that of a client in webhook.clients as X-API-Key: KEY")
	}
	addr := s.browserAddr(r)
	if !addr.IsValid() {
		return addr, bad("X-Forwarded-For: missing, or no IP address; where the user's program connected from")
	}
	return addr, nil
}

// basicAttempt is what the user sent. Nothing at all, or another scheme, is no attempt;
// nor are two headers, of which the server behind might read the other one.
func basicAttempt(r *http.Request) (login.Attempt, bool) {
	user, password, ok := r.BasicAuth()
	return login.Attempt{User: user, Password: account.SecretString(password), Service: account.DAV,
		Agent: r.UserAgent(), Mech: "BASIC", Door: "basic"}, ok && len(r.Header["Authorization"]) == 1
}

func (s *server) answerBasic(w http.ResponseWriter, r *http.Request, d login.Decision) {
	switch {
	case d.Outcome == account.Granted && headerValue(d.Account.Name):
		w.Header().Set("X-Postern-User", d.Account.Name)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	case d.Outcome == account.Granted:
		s.log.Error("an account's name cannot stand in a header", "account", string(d.Account.ID))
		reply(w, http.StatusServiceUnavailable, answer{Result: unavailable, Message: s.say(r, web.AnswerUnavailable)})
	case d.Outcome != account.Denied:
		reply(w, http.StatusServiceUnavailable, answer{Result: unavailable, Message: s.say(r, web.AnswerUnavailable)})
	case d.Reason == login.Throttled: // not checked, so it must not read as wrong
		reply(w, http.StatusForbidden, answer{Result: denied, Message: s.say(r, web.AnswerThrottled)})
	default:
		s.challenge(w)
	}
}

// headerValue reports whether every server reads a name as it is written: printable
// ASCII, and what WSGI and CGI pass on unchanged.
func headerValue(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' })
}

// challenge asks for a name and a password, or other ones. It is the same whatever was
// wrong (ATTACKS 10).
func (s *server) challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", "Basic realm="+strconv.QuoteToASCII(s.public.Hostname())+`, charset="UTF-8"`)
	reply(w, http.StatusUnauthorized, answer{Result: denied, Message: textBasic})
}
