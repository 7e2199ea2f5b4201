package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"postern/internal/account"
	"postern/internal/login"
)

// tokens is the answer of the token endpoint (OpenID Connect Core, section 3.1.3.3).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"` // seconds
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope,omitempty"`
}

// token exchanges codes and refresh tokens.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	answer, err := p.exchange(r)
	if err != nil {
		fail(w, err)
		return
	}
	noStore(w)
	reply(w, http.StatusOK, answer)
}

func (p *Provider) exchange(r *http.Request) (*tokens, error) {
	v, err := form(r)
	if err != nil {
		return nil, err
	}
	c, err := p.caller(r, v)
	if err != nil {
		return nil, err
	}
	switch v.Get("grant_type") {
	case "authorization_code":
		return p.byCode(r, c, v)
	case "refresh_token":
		live, err := liveOf(p.o.Sessions.Renew(r.Context(), c.ID, v.Get("refresh_token")))
		if err != nil {
			return nil, err
		}
		return p.tokens(c, live, &Request{})
	case "":
		return nil, invalid("grant_type: missing")
	}
	return nil, &failure{http.StatusBadRequest, "unsupported_grant_type", "only authorization_code and refresh_token"}
}

// byCode ends a login. Used again within its life the code gives the same session,
// which package login sees to: an answer that was lost on the way costs no sign-in.
func (p *Provider) byCode(r *http.Request, c *Client, v url.Values) (*tokens, error) {
	var b codeBody
	if p.open(purposeCode, v.Get("code"), &b) != nil || b.Request.Client != c.ID ||
		b.Request.Redirect != v.Get("redirect_uri") || !b.Request.proves(v.Get("code_verifier")) {
		return nil, errGrant
	}
	var result login.Result
	if b.Grant != "" {
		result = p.o.Sessions.Renew(r.Context(), c.ID, b.Grant)
	} else {
		result = p.o.Sessions.Exchange(r.Context(), c.ID, b.Transaction, b.Code)
	}
	live, err := liveOf(result)
	if err != nil {
		return nil, err
	}
	return p.tokens(c, live, &b.Request)
}

var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636, section 4.1

// proves reports whether the verifier is the one that the request's challenge was made
// of. One for a request without challenge is a sign that somebody took it out on the
// way (RFC 9700, section 4.8.2).
func (q *Request) proves(v string) bool {
	if q.Challenge == "" {
		return v == ""
	}
	sum := sha256.Sum256([]byte(v))
	text := base64.RawURLEncoding.EncodeToString(sum[:])
	return verifier.MatchString(v) && subtle.ConstantTimeCompare([]byte(text), []byte(q.Challenge)) == 1
}

// liveOf maps the three outcomes. A session without ticket opens nothing for a client
// that has not seen the password.
func liveOf(r login.Result) (*login.Live, error) {
	switch {
	case r.Outcome == account.Denied:
		return nil, errGrant
	case r.Outcome != account.Granted, r.Live == nil, r.Live.Ticket.Empty():
		return nil, errUnavailable
	}
	return r.Live, nil
}

// tokens makes the answer for a session.
func (p *Provider) tokens(c *Client, live *login.Live, q *Request) (*tokens, error) {
	id, err := p.idToken(c, live, q.Nonce)
	if err != nil {
		return nil, err
	}
	access, err := p.access(c, live)
	if err != nil {
		return nil, err
	}
	return &tokens{Access: access, Type: "Bearer", Refresh: live.Grant, ID: id, Scope: q.Scope,
		Expires: max(0, int64(live.Expires.Sub(p.o.Now())/time.Second))}, nil
}

// access is an access token that lives as long as the ticket.
func (p *Provider) access(c *Client, live *login.Live) (string, error) {
	b := accessBody{Client: c.ID, Grant: live.Grant}
	if c.TicketAccess {
		ticket := string(live.Ticket.Reveal())
		p.tickets.keep(ticket, b, live.Expires, p.o.Now())
		return ticket, nil
	}
	return p.seal(purposeAccess, live.Expires.Sub(p.o.Now()), b)
}

// accessBody is an access token that is not a ticket.
type accessBody struct {
	Client string `cbor:"1,keyasint"`
	Grant  string `cbor:"2,keyasint"`
}
