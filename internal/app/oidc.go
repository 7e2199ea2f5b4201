package app

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/internal/oidc"
	"postern/internal/secretfile"
)

// OIDC configures the OpenID provider. Without clients there is none.
type OIDC struct {
	Clients map[string]OIDCClient `toml:"clients" doc:"Who may sign users in, by client_id."`
}

// What the access tokens of a client are.
const (
	AccessOpaque = "opaque"
	AccessTicket = "ticket"
)

// OIDCClient is one program that may sign users in.
type OIDCClient struct {
	Title                  string   `toml:"title" doc:"What users call it; stands on the pages."`
	SecretFile             string   `toml:"secret_file" doc:"File with the client's secret (mode 0600 or 0640), or credential:NAME. Empty: it has none, and must use PKCE."`
	RedirectURIs           []string `toml:"redirect_uris" doc:"Where the browser is sent back to, letter by letter."`
	PostLogoutRedirectURIs []string `toml:"post_logout_redirect_uris" doc:"The same after a logout."`
	PasswordClaim          string   `toml:"password_claim" doc:"Claim of ID token and userinfo that holds the ticket: the password for IMAP, SMTP and Sieve. Empty: none."`
	AccessToken            string   `toml:"access_token" doc:"\"opaque\" (also if empty), or \"ticket\": the access token is the password for IMAP, SMTP and Sieve."`
	PKCE                   bool     `toml:"pkce" doc:"Refuse requests without PKCE also if the client has a secret."`
}

// Issuer is the OpenID provider's own name and address: below the pages, so that it
// needs nothing more from the web server.
func (c *Config) Issuer() string { return c.Webhook.PublicURL + "oidc" }

func (o *OIDC) problems(ps *problemList, hook map[string]HookClient) {
	for id, c := range o.Clients {
		key := "oidc.clients." + id
		if _, taken := hook[id]; taken {
			ps.add("%s: webhook.clients has one of that name; sessions are told apart by it", key)
		}
		if !clientID.MatchString(id) {
			ps.add("%s: a client_id has 1 to 64 letters, digits, and .-_", key)
		}
		c.problems(key, ps)
	}
}

var (
	clientID  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	claimName = regexp.MustCompile(`^[A-Za-z0-9_:/.-]{1,64}$`)
)

func (c *OIDCClient) problems(key string, ps *problemList) {
	if len(c.RedirectURIs) == 0 {
		ps.add("%s.redirect_uris: needed: where may the browser be sent back to", key)
	}
	for name, list := range map[string][]string{"redirect_uris": c.RedirectURIs, "post_logout_redirect_uris": c.PostLogoutRedirectURIs} {
		for _, u := range list {
			if err := checkRedirect(u); err != nil {
				ps.add("%s.%s: %q: %w", key, name, u, err)
			}
		}
	}
	if c.PasswordClaim != "" && (!claimName.MatchString(c.PasswordClaim) || slices.Contains(oidc.ReservedClaims, c.PasswordClaim)) {
		ps.add("%s.password_claim: %q has another meaning, or is no name", key, c.PasswordClaim)
	}
	if c.AccessToken != "" {
		ps.oneOf(key+".access_token", c.AccessToken, AccessOpaque, AccessTicket)
	}
}

// checkRedirect: a code in it opens mailboxes, so it must not cross networks readably.
func checkRedirect(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || len(text) > 512 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("is not an address of at most 512 plain characters")
	case u.User != nil || strings.Contains(text, "#"):
		return errors.New("must have no user and no #")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("must begin with https://")
}

// OIDCClients are the registered clients, with their secrets read.
func (c *Config) OIDCClients() ([]oidc.Client, error) {
	var list []oidc.Client
	for _, id := range slices.Sorted(maps.Keys(c.OIDC.Clients)) {
		own := c.OIDC.Clients[id]
		client := oidc.Client{
			ID: id, Title: own.Title, Public: own.SecretFile == "",
			RedirectURIs: own.RedirectURIs, LogoutURIs: own.PostLogoutRedirectURIs,
			PasswordClaim: own.PasswordClaim, TicketAccess: own.AccessToken == AccessTicket, PKCE: own.PKCE,
		}
		if !client.Public {
			secret, err := secretfile.ReadLine(own.SecretFile)
			if err != nil {
				return nil, fmt.Errorf("oidc.clients.%s.secret_file: %w", id, err)
			}
			if len(secret) < minKey {
				return nil, fmt.Errorf("oidc.clients.%s.secret_file: %s: the secret must have at least %d characters; make one with: openssl rand -hex 24",
					id, filepath.Base(own.SecretFile), minKey)
			}
			client.Secret = sha256.Sum256(secret)
		}
		list = append(list, client)
	}
	return list, nil
}

// OIDCParts are what the OpenID provider stands on.
type OIDCParts struct {
	Sessions oidc.Sessions
	Ring     interface {
		oidc.Keys
		oidc.Tokens
	}
	Ready func() bool
	Now   func() time.Time
}

// OpenOIDC builds the OpenID provider; nil if there are no clients.
func (c *Config) OpenOIDC(p OIDCParts) (*oidc.Provider, error) {
	clients, err := c.OIDCClients()
	if err != nil || len(clients) == 0 {
		return nil, err
	}
	return oidc.New(oidc.Options{
		Issuer: c.Issuer(), Clients: clients, Sessions: p.Sessions, Tokens: p.Ring, Keys: p.Ring,
		Ready: p.Ready, Now: p.Now, TransactionLife: time.Duration(c.Webhook.TransactionLife),
	})
}
