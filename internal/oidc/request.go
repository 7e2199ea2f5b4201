package oidc

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Request is a client's authorization request that was found right.
type Request struct {
	Client    string `cbor:"1,keyasint"`
	Redirect  string `cbor:"2,keyasint"`
	State     string `cbor:"3,keyasint,omitempty"`
	Nonce     string `cbor:"4,keyasint,omitempty"`
	Challenge string `cbor:"5,keyasint,omitempty"` // of PKCE, by S256
	Scope     string `cbor:"6,keyasint"`
	Hint      string `cbor:"7,keyasint,omitempty"` // who is expected, as the client says
}

// ErrUntrusted is what Authorize returns for a client that is not known, or an address
// that is not its own: the browser must not be sent there, not even with an error.
var ErrUntrusted = errors.New("not a client of ours, or not an address of its own")

// Refusal is an error for the client (RFC 6749, section 4.1.2.1).
type Refusal struct {
	Code, Description string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Description }

// Bounds of what a request may hold; all of it travels in one cookie.
const (
	maxState    = 512
	maxRedirect = 512
	requestLife = time.Hour // that the page may stand open
)

// ScopeOpenID is what makes a request one of OpenID Connect.
const ScopeOpenID = "openid"

var scopes = []string{ScopeOpenID, "email", "profile", "offline_access"}

// Authorize reads an authorization request. Errors: ErrUntrusted; *Refusal, together
// with the request, which then knows where the client is told so.
func (p *Provider) Authorize(v url.Values) (*Request, error) {
	id, redirect := v["client_id"], v["redirect_uri"]
	if len(id) != 1 || len(redirect) != 1 {
		return nil, ErrUntrusted
	}
	c, ok := p.clients[id[0]]
	if !ok || !slices.Contains(c.RedirectURIs, redirect[0]) {
		return nil, ErrUntrusted
	}
	q := &Request{Client: c.ID, Redirect: redirect[0]}
	q.State = v.Get("state")
	if len(q.State) > maxState || strings.ContainsFunc(q.State, notPrintable) {
		q.State = ""
		return q, &Refusal{"invalid_request", "state: must have at most 512 printable characters"}
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(v)), func(values []string) bool { return len(values) > 1 }) {
		return q, &Refusal{"invalid_request", "a parameter is there twice"} // RFC 6749, section 3.1
	}
	if err := q.read(v); err != nil {
		return q, err
	}
	return q, q.readChallenge(c, v)
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// unsupported are parameters that would change the meaning of a request.
var unsupported = map[string]string{
	"request":      "request_not_supported",
	"request_uri":  "request_uri_not_supported",
	"registration": "registration_not_supported",
}

func (q *Request) read(v url.Values) error {
	for name, code := range unsupported {
		if v.Has(name) {
			return &Refusal{code, name + ": send plain parameters"}
		}
	}
	switch {
	case v.Get("response_type") == "":
		return &Refusal{"invalid_request", "response_type: missing"}
	case v.Get("response_type") != "code":
		return &Refusal{"unsupported_response_type", "response_type: only code"}
	case v.Has("response_mode") && v.Get("response_mode") != "query":
		return &Refusal{"invalid_request", "response_mode: only query"}
	}
	if q.Nonce = v.Get("nonce"); len(q.Nonce) > maxState || !utf8.ValidString(q.Nonce) {
		return &Refusal{"invalid_request", "nonce: must have at most 512 bytes"}
	}
	q.Scope = granted(v.Get("scope"))
	if !slices.Contains(strings.Fields(q.Scope), ScopeOpenID) {
		return &Refusal{"invalid_scope", "scope: must have openid"}
	}
	if hint := v.Get("login_hint"); len(hint) <= 320 && utf8.ValidString(hint) && !strings.ContainsFunc(hint, func(r rune) bool { return r < ' ' }) {
		q.Hint = hint
	}
	return prompts(v)
}

// granted leaves the scopes that mean something here.
func granted(asked string) string {
	var all []string
	for _, s := range strings.Fields(asked) {
		if slices.Contains(scopes, s) && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

// prompts reads how the user is to be asked. Every request asks for everything: there
// is no session of the provider's own, so none is ever too old, and without asking
// nobody is signed in.
func prompts(v url.Values) error {
	asked := strings.Fields(v.Get("prompt"))
	if slices.Contains(asked, "none") {
		if len(asked) > 1 {
			return &Refusal{"invalid_request", "prompt: none stands alone"}
		}
		return &Refusal{"login_required", "users are always asked"}
	}
	for _, a := range asked {
		if a != "login" && a != "consent" && a != "select_account" {
			return &Refusal{"invalid_request", "prompt: only login, consent, select_account and none"}
		}
	}
	if age := v.Get("max_age"); age != "" {
		if n, err := strconv.Atoi(age); err != nil || n < 0 {
			return &Refusal{"invalid_request", "max_age: must be a number of seconds"}
		}
	}
	return nil
}

// readChallenge reads PKCE's (RFC 7636, section 4.3). Method plain, which is also what
// leaving the method out means, protects nothing.
func (q *Request) readChallenge(c *Client, v url.Values) error {
	challenge, method := v.Get("code_challenge"), v.Get("code_challenge_method")
	switch {
	case challenge == "" && method == "":
		if c.Public || c.PKCE {
			return &Refusal{"invalid_request", "code_challenge: needed"}
		}
		return nil
	case method != "S256":
		return &Refusal{"invalid_request", "code_challenge_method: only S256"}
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(b) != 32 || len(challenge) != 43 {
		return &Refusal{"invalid_request", "code_challenge: is not that of S256"}
	}
	q.Challenge = challenge
	return nil
}

// back is where the browser goes with an answer to the request: parameters by name and
// value.
func (p *Provider) back(q *Request, pairs ...string) string {
	v := url.Values{"iss": {p.o.Issuer}} // RFC 9207
	if q.State != "" {
		v.Set("state", q.State)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return withQuery(q.Redirect, v)
}

// withQuery adds parameters behind those that the address has.
func withQuery(address string, v url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + v.Encode()
}

// Refused is where the browser goes to tell the client that its request, or its user,
// was turned down.
func (p *Provider) Refused(q *Request, r *Refusal) string {
	return p.back(q, "error", r.Code, "error_description", r.Description)
}

// Cancelled is where the browser goes when its user gives up.
func (p *Provider) Cancelled(q *Request) string {
	return p.Refused(q, &Refusal{"access_denied", "the user cancelled"})
}
