package oidc

import (
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/login"
)

// sessionBody is the claim sid: it ends the session at the logout, and does nothing
// else. The refresh token itself has no place in an ID token, which travels in
// addresses.
type sessionBody struct {
	Grant string `cbor:"1,keyasint"`
}

// forever: the grant inside a sid ends on its own.
const forever = 10 * 365 * 24 * time.Hour

// idToken makes the ID token of a session (OpenID Connect Core, section 2). Renewed
// ones have no nonce (section 12.2).
func (p *Provider) idToken(c *Client, live *login.Live, nonce string) (string, error) {
	sid, err := p.seal(purposeSession, forever, sessionBody{live.Grant})
	if err != nil {
		return "", err
	}
	claims := claimsOf(c, live)
	claims["iss"], claims["aud"] = p.o.Issuer, c.ID
	claims["iat"], claims["exp"] = p.o.Now().Unix(), live.Expires.Unix()
	claims["auth_time"], claims["amr"], claims["sid"] = live.Begun.Unix(), methods(live.Via), sid
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return p.signer.sign(claims)
}

// claimsOf are those of ID token and userinfo alike.
func claimsOf(c *Client, live *login.Live) map[string]any {
	claims := map[string]any{"sub": string(live.ID), "preferred_username": live.User}
	if strings.Contains(live.Account, "@") {
		claims["email"], claims["email_verified"] = live.Account, true
	}
	if c.PasswordClaim != "" {
		claims[c.PasswordClaim] = string(live.Ticket.Reveal())
	}
	return claims
}

// ReservedClaims cannot hold the ticket.
var ReservedClaims = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "sid",
	"at_hash", "c_hash", "email", "email_verified", "preferred_username"}

// methods names how the user was authenticated (RFC 8176). By a passkey it may have
// been without the password, so that is not said.
func methods(via string) []string {
	word, _, _ := strings.Cut(via, ":")
	switch word {
	case account.KindTOTP.Word(), account.KindBackup.Word():
		return []string{"pwd", "otp", "mfa"}
	case account.KindPasskey.Word():
		return []string{"pop", "mfa"}
	case account.KindDevice.Word(), account.KindPlugin.Word():
		return []string{"pwd", "mfa"}
	}
	return []string{"pwd"}
}
