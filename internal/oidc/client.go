package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
)

// caller is the client that a request to the token endpoint comes from (RFC 6749,
// section 2.3): by Basic or by client_id and client_secret in the form, but not both.
// A public client names itself.
func (p *Provider) caller(r *http.Request, v url.Values) (*Client, error) {
	id, secret := v.Get("client_id"), v.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		name, password, ok := basic(r)
		if !ok {
			return nil, errClient
		}
		if v.Has("client_secret") || id != "" && id != name {
			return nil, invalid("the client says who it is in two ways")
		}
		id, secret = name, password
	}
	c, known := p.clients[id]
	if !known {
		return nil, errClient
	}
	if c.Public {
		if secret != "" {
			return nil, errClient
		}
		return c, nil
	}
	sum := sha256.Sum256([]byte(secret))
	if secret == "" || subtle.ConstantTimeCompare(sum[:], c.Secret[:]) != 1 {
		return nil, errClient
	}
	return c, nil
}

// basic reads the header, in which both halves are form-encoded.
func basic(r *http.Request) (name, password string, ok bool) {
	user, pass, ok := r.BasicAuth()
	if !ok || strings.ContainsRune(user, 0) {
		return "", "", false
	}
	name, err := url.QueryUnescape(user)
	if err != nil {
		return "", "", false
	}
	password, err = url.QueryUnescape(pass)
	return name, password, err == nil
}
