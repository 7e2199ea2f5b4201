package web

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
)

// Protect refuses requests that change something and come from other sites, by what
// browsers say about them (Sec-Fetch-Site, else Origin against Host, which a proxy
// must therefore pass on). No other origin is trusted, of this installation's other
// hosts neither. What a browser says nothing about is left to CSRF.
func (p *Pages) Protect(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Say(w, r, http.StatusForbidden, MessageForbidden)
	}))
	return guard.Handler(next)
}

// Say answers with a Message without more to it, for handlers that know no more.
func (p *Pages) Say(w http.ResponseWriter, r *http.Request, status int, code MessageCode) {
	if err := p.Render(w, r, status, &Message{Code: code}); err != nil {
		http.Error(w, http.StatusText(status), status)
	}
}

// Authenticator makes and checks codes over parts: HMAC with a key of one purpose.
type Authenticator interface {
	MAC(parts ...string) ([]byte, error)
	Verify(sum []byte, parts ...string) bool
}

// CSRF makes and checks the tokens of forms, each good for one browser as long as
// it keeps its name (see Browser). Two tokens are never alike, so a page's length
// tells nothing about them (BREACH).
type CSRF struct{ Key Authenticator }

const csrfNonce = 16 // bytes

// Token makes a token for the browser.
func (c CSRF) Token(browser string) (string, error) {
	var nonce [csrfNonce]byte
	rand.Read(nonce[:]) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	sum, err := c.Key.MAC("csrf", browser, string(nonce[:]))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(nonce[:], sum...)), nil
}

// Valid reports whether the token was made for the browser.
func (c CSRF) Valid(browser, token string) bool {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < csrfNonce || browser == "" {
		return false
	}
	return c.Key.Verify(b[csrfNonce:], "csrf", browser, string(b[:csrfNonce]))
}
