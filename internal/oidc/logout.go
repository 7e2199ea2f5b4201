package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"postern/internal/account"
	"postern/internal/seal"
)

// ErrHint: the ID token of a logout is none of ours, or not of that client.
var ErrHint = errors.New("not an ID token of ours for this client")

// ErrUnavailable: whether the session was ended is not known; try again.
var ErrUnavailable error = errUnavailable

// Logout ends a session (OpenID Connect RP-Initiated Logout 1.0) and returns where the
// browser goes then; empty: nowhere that the client has registered. Without an ID
// token there is no session to end and nobody to trust, and nothing happens. The token
// may have expired: it says whose session it was. Errors: ErrHint, ErrUnavailable.
func (p *Provider) Logout(ctx context.Context, v url.Values) (string, error) {
	for _, values := range v {
		if len(values) > 1 {
			return "", ErrHint
		}
	}
	if v.Get("id_token_hint") == "" {
		return "", nil
	}
	c, grant, err := p.hinted(v.Get("id_token_hint"))
	if err != nil || v.Has("client_id") && v.Get("client_id") != c.ID {
		return "", ErrHint
	}
	if r := p.o.Sessions.End(ctx, c.ID, grant); r.Outcome == account.Unavailable {
		return "", ErrUnavailable
	}
	to := v.Get("post_logout_redirect_uri")
	if !slices.Contains(c.LogoutURIs, to) {
		return "", nil
	}
	if state := v.Get("state"); state != "" && len(state) <= maxState {
		to = withQuery(to, url.Values{"state": {state}})
	}
	return to, nil
}

// hinted reads an ID token of ours.
func (p *Provider) hinted(token string) (*Client, string, error) {
	payload, err := p.signer.verify(token)
	if err != nil {
		return nil, "", err
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Session  string `json:"sid"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, "", err
	}
	c, ok := p.clients[claims.Audience]
	if !ok || claims.Issuer != p.o.Issuer {
		return nil, "", ErrHint
	}
	var b sessionBody
	if err := p.open(purposeSession, claims.Session, &b); err != nil && !errors.Is(err, seal.ErrExpired) {
		return nil, "", err
	}
	return c, b.Grant, nil
}

// revoke ends the session of a refresh or access token (RFC 7009). What is no token, or
// not the client's, needs no revocation, and that is no error.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	if err := p.revokeToken(r); err != nil {
		fail(w, err)
		return
	}
	noStore(w)
	w.WriteHeader(http.StatusOK)
}

func (p *Provider) revokeToken(r *http.Request) error {
	v, err := form(r)
	if err != nil {
		return err
	}
	c, err := p.caller(r, v)
	if err != nil {
		return err
	}
	token := v.Get("token")
	if token == "" {
		return invalid("token: missing")
	}
	if b, ok := p.openAccess(token); ok && b.Client == c.ID {
		token = b.Grant
	}
	if p.o.Sessions.End(r.Context(), c.ID, token).Outcome == account.Unavailable {
		return errUnavailable
	}
	return nil
}
