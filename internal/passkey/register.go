package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"postern/internal/account"
	"postern/internal/factor"
)

// protocolNever keeps the library from comparing with its own clock.
var protocolNever = time.Time{}

// enrolment is the state of a registration.
type enrolment struct {
	ID      string               `json:"id"` // of the record to be
	Handle  []byte               `json:"handle"`
	Session webauthn.SessionData `json:"session"`
}

// register makes the options by which a browser makes a passkey. Those that the account
// has are excluded; a discoverable one is preferred, so that its owner can switch
// sign-in without password on later.
func (f *Factor) register(p *party, r factor.Request) (factor.Response, error) {
	handle, err := f.handle(r.Account)
	if err != nil {
		return factor.Response{}, fmt.Errorf("%w: %w", factor.ErrUnavailable, err)
	}
	list, err := passkeys(r.Account, p.id, r.Now)
	if err != nil && !errors.Is(err, account.ErrNoRecord) && len(list) == 0 {
		return factor.Response{}, err
	}
	u := newUser(r.Account, handle, list)
	var exclude []protocol.CredentialDescriptor
	for i := range u.credentials {
		exclude = append(exclude, u.credentials[i].Descriptor())
	}
	options, session, err := p.lib.BeginRegistration(u, webauthn.WithExclusions(exclude),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		}))
	if err != nil {
		return factor.Response{}, err
	}
	prompt, err := json.Marshal(options.Response)
	state, err2 := json.Marshal(enrolment{ID: account.NewID(), Handle: handle, Session: *session})
	return factor.Response{Prompt: prompt, State: state}, errors.Join(err, err2)
}

// handle is the account's user handle: the one that it has, or a new one.
func (f *Factor) handle(a *account.Account) ([]byte, error) {
	if len(a.State.Handle) > 0 {
		return a.State.Handle, nil
	}
	return f.handles.NewHandle(a.ID)
}

// added checks a registration (WebAuthn level 3, section 7.1) and returns the record.
func (p *party) added(r factor.Request, e enrolment) (factor.Response, error) {
	text := r.Input[InputResponse]
	if text == "" {
		return factor.Response{}, fmt.Errorf("%w: no passkey was made", factor.ErrForm)
	}
	answer, err := protocol.ParseCredentialCreationResponseBytes([]byte(text))
	if err != nil {
		return factor.Response{}, fmt.Errorf("%w: %w", factor.ErrForm, err)
	}
	list, err := passkeys(r.Account, p.id, r.Now)
	if err != nil && !errors.Is(err, account.ErrNoRecord) {
		return factor.Response{}, err
	}
	session := e.Session
	session.Expires = protocolNever
	credential, err := p.lib.CreateCredential(newUser(r.Account, e.Handle, list), session, answer)
	if err != nil {
		return factor.Response{}, fmt.Errorf("%w: %w", factor.ErrWrong, err)
	}
	if p.known && len(bytes.Trim(credential.Authenticator.AAGUID, "\x00")) == 0 {
		return factor.Response{}, fmt.Errorf("%w: the authenticator does not tell its make", factor.ErrWrong)
	}
	for i := range list {
		if bytes.Equal(list[i].body.Credential, credential.ID) {
			return factor.Response{}, fmt.Errorf("%w: this authenticator is on the account already", factor.ErrSpent)
		}
	}
	body, err := account.Encode(fromLibrary(credential, p.id))
	return factor.Response{
		Proof:  factor.Proof{Kind: account.KindPasskey, ID: e.ID},
		Record: account.Record{Kind: account.KindPasskey, ID: e.ID, Created: r.Now, Body: body},
		Handle: e.Handle,
	}, err
}

func parseAAGUIDs(list []string) (*webauthn.FilteringConfig, error) {
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // the library's "no filter"
	}
	var c webauthn.FilteringConfig
	for _, text := range list {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("AAGUID %q: %w", text, err)
		}
		c.PermittedAAGUIDs = append(c.PermittedAAGUIDs, id)
	}
	return &c, nil
}
