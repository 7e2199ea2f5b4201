package passkey

import (
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/internal/factor"
)

// toLibrary is the passkey as the library wants it.
func toLibrary(p *factor.Passkey) webauthn.Credential {
	flags := webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(p.Flags))
	flags.UserVerified = p.UVInitialized
	c := webauthn.Credential{ID: p.Credential, PublicKey: p.PublicKey, Flags: flags,
		Authenticator: webauthn.Authenticator{AAGUID: p.AAGUID, SignCount: p.SignCount}}
	for _, t := range p.Transports {
		c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
	}
	return c
}

// fromLibrary is a new credential as it is stored.
func fromLibrary(c *webauthn.Credential, rpid string) factor.Passkey {
	p := factor.Passkey{Credential: c.ID, PublicKey: c.PublicKey, SignCount: c.Authenticator.SignCount, RPID: rpid,
		Flags: byte(c.Flags.ProtocolValue()), AAGUID: c.Authenticator.AAGUID, UVInitialized: c.Flags.UserVerified,
		Roaming: c.Authenticator.Attachment == protocol.CrossPlatform}
	for _, t := range c.Transport {
		p.Transports = append(p.Transports, string(t))
	}
	return p
}
