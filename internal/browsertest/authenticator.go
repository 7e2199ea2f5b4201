package browsertest

import (
	"context"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Authenticator makes and uses passkeys in a tab, without anybody touching
// anything.
type Authenticator struct {
	tab *Tab
	id  webauthn.AuthenticatorID
}

// Passkeys is an authenticator like a telephone's or a computer's own: it keeps
// passkeys and knows its owner.
func Passkeys() webauthn.VirtualAuthenticatorOptions {
	return webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
		// Chromium's default is true, but the zero value is sent: it would hang.
		AutomaticPresenceSimulation: true,
	}
}

// SecurityKey is an authenticator like a simple USB key: it only notices that
// somebody is there.
func SecurityKey() webauthn.VirtualAuthenticatorOptions {
	return webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb,
		AutomaticPresenceSimulation: true,
	}
}

// EnableVirtualAuthenticator plugs an authenticator into the tab.
func (tab *Tab) EnableVirtualAuthenticator(o webauthn.VirtualAuthenticatorOptions) *Authenticator {
	tab.t.Helper()
	tab.do("WebAuthn", call(webauthn.Enable, webauthn.EnableParams{}))
	res := run(tab, "authenticator", ask(webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o}))
	return &Authenticator{tab, res.AuthenticatorID}
}

// Credentials are the keys that it holds, private parts included.
func (a *Authenticator) Credentials() []*webauthn.Credential {
	a.tab.t.Helper()
	return run(a.tab, "credentials", ask(webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})).Credentials
}

// AddCredential gives it a key, such as a copy of another authenticator's.
func (a *Authenticator) AddCredential(c *webauthn.Credential) {
	a.tab.t.Helper()
	a.do("add credential", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		return t.Call(ctx, webauthn.AddCredential.Method, addCredential{a.id, credential{
			c.CredentialID, c.IsResidentCredential, c.RpID, c.PrivateKey, c.UserHandle, c.SignCount, c.UserName, c.UserDisplayName,
		}}, nil)
	}))
}

// addCredential and credential are the parameters of WebAuthn.addCredential. The
// protocol package's own always have the field generateCmtgKeyOnNextOperation, which
// ordinary authenticators refuse.
type (
	addCredential struct {
		AuthenticatorID webauthn.AuthenticatorID `json:"authenticatorId"`
		Credential      credential               `json:"credential"`
	}
	credential struct {
		CredentialID         []byte  `json:"credentialId"`
		IsResidentCredential bool    `json:"isResidentCredential"`
		RpID                 string  `json:"rpId"`
		PrivateKey           []byte  `json:"privateKey"`
		UserHandle           []byte  `json:"userHandle,omitzero"`
		SignCount            float64 `json:"signCount"`
		UserName             string  `json:"userName,omitzero"`
		UserDisplayName      string  `json:"userDisplayName,omitzero"`
	}
)

// RemoveCredential removes a key.
func (a *Authenticator) RemoveCredential(id []byte) {
	a.tab.t.Helper()
	a.do("remove credential", call(webauthn.RemoveCredential, webauthn.RemoveCredentialParams{AuthenticatorID: a.id, CredentialID: id}))
}

// SetUserVerified says whether fingerprints and the like succeed.
func (a *Authenticator) SetUserVerified(ok bool) {
	a.tab.t.Helper()
	a.do("user verified", call(webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: ok}))
}

// SetPresence says whether somebody touches it when asked. Nobody: the dialogue
// stays open.
func (a *Authenticator) SetPresence(ok bool) {
	a.tab.t.Helper()
	a.do("presence", call(webauthn.SetAutomaticPresenceSimulation,
		webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: ok}))
}

// Break makes its answers false: a signature that is none, or flags that deny the
// user's verification or presence. The zero value mends it.
func (a *Authenticator) Break(how webauthn.SetResponseOverrideBitsParams) {
	a.tab.t.Helper()
	how.AuthenticatorID = a.id
	a.do("break", call(webauthn.SetResponseOverrideBits, how))
}

// Remove unplugs it.
func (a *Authenticator) Remove() {
	a.tab.t.Helper()
	a.do("unplug", call(webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id}))
}

func (a *Authenticator) do(what string, step chromedp.Action[chromedp.Void]) {
	a.tab.t.Helper()
	a.tab.do(what, step)
}
