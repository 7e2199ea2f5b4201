package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxBody    = 64 << 10 // bytes of a request, and of a token
	retryAfter = "5"      // seconds, when something could not be checked
)

// failure is an error answer to a program (RFC 6749, section 5.2).
type failure struct {
	status int
	code   string
	text   string
}

func (f *failure) Error() string { return f.code + ": " + f.text }

func invalid(text string) *failure {
	return &failure{http.StatusBadRequest, "invalid_request", text}
}

// What could not be checked is never called invalid: the client tries again, and its
// user's session goes on.
var (
	errUnavailable = &failure{http.StatusServiceUnavailable, "temporarily_unavailable", "nothing could be checked; try again"}
	errGrant       = &failure{http.StatusBadRequest, "invalid_grant", "the code or token is wrong, was for somebody else, or is over"}
	errClient      = &failure{http.StatusUnauthorized, "invalid_client", "no such client, or not its secret"}
	errBearer      = &failure{http.StatusUnauthorized, "invalid_token", "the token is wrong, or is over"}
)

func fail(w http.ResponseWriter, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = errUnavailable // a defect of ours, or no key
	}
	switch f {
	case errUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case errClient:
		w.Header().Set("WWW-Authenticate", `Basic realm="postern"`)
	case errBearer:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	noStore(w)
	reply(w, f.status, map[string]string{"error": f.code, "error_description": f.text})
}

func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

func reply(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// form reads the posted parameters, each of which may be there once. The query of the
// address is not looked at: secrets have no place there.
func form(r *http.Request) (url.Values, error) {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return nil, invalid("send Content-Type: application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return nil, invalid("the body is too long, or not a form")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, invalid(name + ": there twice")
		}
	}
	return r.PostForm, nil
}
