// Package oidc lets programs sign users in by OpenID Connect: webmail that speaks it
// needs no plug-in of ours. It is a second speaker of package login's sign-in, beside
// the hook API, and decides nothing itself:
//
//	authorize  the browser comes with the client's request (request.go); the hosted
//	           page asks for the password, SignIn.Begin checks it, the browser keeps
//	           the transaction sealed in a cookie (flow.go) and comes back from the
//	           factor's page with the one-time code
//	token      code → SignIn.Exchange, refresh token → SignIn.Renew (token.go)
//	userinfo   SignIn.Renew again (userinfo.go)
//	logout     SignIn.End (logout.go)
//
// The refresh token is the grant of the session, and it is not rotated. The ticket,
// which opens mail in place of the password, is a claim of the client's choosing, or
// the access token itself.
//
// It is narrow on purpose: authorization code only, registered clients only, addresses
// compared letter by letter, PKCE by S256 for every client without a secret, and ID
// tokens signed by ES256. Nothing is stored: codes and tokens are sealed.
//
// Specifications: OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0;
// RFC 6749 (OAuth 2.0), 6750 (bearer tokens), 7009 (revocation), 7636 (PKCE), 9207
// (issuer in the answer), 9700 (security practice).
package oidc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/seal"
)

// Paths below the issuer.
const (
	PathDiscovery = "/.well-known/openid-configuration"
	PathKeys      = "/jwks"
	PathAuthorize = "/authorize"
	PathCallback  = "/callback"
	PathToken     = "/token"
	PathUserinfo  = "/userinfo"
	PathRevoke    = "/revoke"
	PathLogout    = "/logout"
)

// Sessions is the sign-in core; a login.SignIn is one.
type Sessions interface {
	Exchange(ctx context.Context, client, transaction, code string) login.Result
	Renew(ctx context.Context, client, grant string) login.Result
	End(ctx context.Context, client, grant string) login.Result
}

// Keys makes the keys that sign ID tokens; a seal.Ring with ticket keys is one.
type Keys interface {
	SigningKeys(purpose string) ([]seal.SigningKey, error)
}

// Tokens seals what travels through browsers and clients.
type Tokens = login.Tokens

// Client is a program that may sign users in.
type Client struct {
	ID     string
	Title  string
	Secret [sha256.Size]byte // hash of its secret
	Public bool              // it has none
	// RedirectURIs are where the browser may be sent back to, compared letter by letter;
	// LogoutURIs the same after a logout.
	RedirectURIs, LogoutURIs []string
	// PasswordClaim is the claim that holds the ticket; empty: none does.
	PasswordClaim string
	// TicketAccess: the access token is the ticket.
	TicketAccess bool
	// PKCE: requests without it are refused. Those of public clients are in any case.
	PKCE bool
}

// Options are what a Provider stands on.
type Options struct {
	Issuer   string // without a slash at the end
	Clients  []Client
	Sessions Sessions
	Tokens   Tokens
	Keys     Keys
	// Ready reports whether anything can be decided; false answers "temporarily unavailable".
	Ready func() bool
	Now   func() time.Time
	// TransactionLife is how long a login that has been begun may take.
	TransactionLife time.Duration
}

// Provider is an OpenID provider. It is safe for concurrent use.
type Provider struct {
	o       Options
	clients map[string]*Client
	signer  *signer
	tickets *tickets
}

// New returns a Provider. Errors: no signing keys, two clients of one id.
func New(o Options) (*Provider, error) {
	p := &Provider{o: o, clients: make(map[string]*Client, len(o.Clients)), tickets: newTickets()}
	var errs []error
	for i := range o.Clients {
		c := &o.Clients[i]
		if p.clients[c.ID] != nil {
			errs = append(errs, fmt.Errorf("there are two clients %q", c.ID))
		}
		p.clients[c.ID] = c
	}
	var err error
	p.signer, err = newSigner(o.Keys)
	return p, errors.Join(append(errs, err)...)
}

// Client is a registered client; false: there is none of that id.
func (p *Provider) Client(id string) (*Client, bool) {
	c, ok := p.clients[id]
	return c, ok
}

// Handler answers what programs ask, below the issuer's path: discovery, keys,
// tokens, userinfo and revocation. What browsers are sent to is the caller's.
func (p *Provider) Handler(path string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path+PathDiscovery, p.discovery)
	mux.HandleFunc("GET "+path+PathKeys, p.keys)
	mux.HandleFunc("POST "+path+PathToken, p.checked(p.token))
	mux.HandleFunc("GET "+path+PathUserinfo, p.checked(p.userinfo))
	mux.HandleFunc("POST "+path+PathUserinfo, p.checked(p.userinfo))
	mux.HandleFunc("POST "+path+PathRevoke, p.checked(p.revoke))
	return mux
}

// checked answers unavailable while nothing can be decided.
func (p *Provider) checked(next func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.o.Ready() {
			fail(w, errUnavailable)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next(w, r)
	}
}

// Purposes of tokens. All are of role factor: mail hosts can neither make nor read
// them.
const (
	purposeRequest = "oidc request"            // of a client, while the page asks for the password
	purposePending = "oidc login"              // in the browser's cookie, while it is at the factor's page
	purposeCode    = "oidc authorization code" // through the browser, to the client
	purposeAccess  = "oidc access token"
	purposeSession = "oidc session" // in ID tokens, for the logout alone
	purposeSigning = "oidc"
)

func (p *Provider) seal(purpose string, life time.Duration, body any) (string, error) {
	return p.o.Tokens.Issue(account.RoleFactor, purpose, p.o.Now().Add(life), body)
}

func (p *Provider) open(purpose, token string, body any) error {
	return p.o.Tokens.Parse(account.RoleFactor, purpose, token, p.o.Now(), body)
}
