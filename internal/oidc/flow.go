package oidc

import (
	"time"

	"postern/internal/login"
)

// codeLife is how long a code may be on its way from the browser to the client's
// exchange; the proof of the factor inside has a life of its own.
const codeLife = time.Minute

// Pending is a login that has been begun: what the browser keeps, sealed, while it is
// at the factor's page.
type Pending struct {
	Request     Request `cbor:"1,keyasint"`
	Transaction string  `cbor:"2,keyasint"`
	Passkey     bool    `cbor:"3,keyasint,omitempty"` // without a password: who gives up goes back to the form
}

// codeBody is an authorization code. Either Transaction and Code, or Grant.
type codeBody struct {
	Request     Request `cbor:"1,keyasint"` // without state and hint
	Transaction string  `cbor:"2,keyasint,omitempty"`
	Code        string  `cbor:"3,keyasint,omitempty"`
	Grant       string  `cbor:"4,keyasint,omitempty"` // of a session that began without a factor
}

// SealRequest seals a request for the form that asks for the password.
func (p *Provider) SealRequest(q *Request) (string, error) {
	return p.seal(purposeRequest, requestLife, *q)
}

// OpenRequest opens it again. Errors: seal.ErrToken; seal.ErrExpired, together with the
// request, or ErrUntrusted, if its client or address is not known any more.
func (p *Provider) OpenRequest(token string) (*Request, error) {
	var q Request
	err := p.open(purposeRequest, token, &q)
	if !p.registered(&q) {
		return nil, ErrUntrusted
	}
	return &q, err
}

// SealPending seals a begun login for the browser's cookie.
func (p *Provider) SealPending(b Pending) (string, error) {
	return p.seal(purposePending, p.o.TransactionLife, b)
}

// OpenPending opens it again. Errors as those of OpenRequest.
func (p *Provider) OpenPending(token string) (*Pending, error) {
	var b Pending
	err := p.open(purposePending, token, &b)
	if !p.registered(&b.Request) {
		return nil, ErrUntrusted
	}
	return &b, err
}

// registered reports whether the request's client still is, with that address.
func (p *Provider) registered(q *Request) bool {
	c, ok := p.clients[q.Client]
	if !ok {
		return false
	}
	for _, u := range c.RedirectURIs {
		if u == q.Redirect {
			return true
		}
	}
	return false
}

// Finish is where the browser goes with the one-time code of its factor, made into an
// authorization code. The transaction goes along, sealed: what makes the code useless
// to others is the client's secret or its PKCE verifier.
func (p *Provider) Finish(b *Pending, code string) (string, error) {
	return p.finish(&b.Request, codeBody{Transaction: b.Transaction, Code: code})
}

// FinishWithout is Finish for a session that began with the password alone.
func (p *Provider) FinishWithout(q *Request, live *login.Live) (string, error) {
	return p.finish(q, codeBody{Grant: live.Grant})
}

func (p *Provider) finish(q *Request, body codeBody) (string, error) {
	body.Request = *q
	body.Request.State, body.Request.Hint = "", ""
	sealed, err := p.seal(purposeCode, codeLife, body)
	if err != nil {
		return "", err
	}
	return p.back(q, "code", sealed), nil
}
