package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/internal/account"
	"postern/internal/factor"
)

// InputResponse is the form field with the browser's answer: PublicKeyCredential as
// JSON (WebAuthn level 3, section 5.1).
const InputResponse = "response"

// ask makes the options by which a browser asks for one of the account's passkeys. User
// verification is preferred: with the password before it, presence is enough.
func (p *party) ask(r factor.Request) (factor.Response, error) {
	list, err := passkeys(r.Account, p.id, r.Now)
	if len(list) == 0 {
		return factor.Response{}, err
	}
	options, session, err := p.lib.BeginLogin(newUser(r.Account, r.Account.State.Handle, list),
		webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return factor.Response{}, err
	}
	return response(options.Response, session)
}

// askAnybody makes them for whoever has a passkey here: no account is named, so none is
// given away (ATTACKS 10). User verification is required: it is the second factor.
func (p *party) askAnybody() (factor.Response, error) {
	options, session, err := p.lib.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return factor.Response{}, err
	}
	return response(options.Response, session)
}

func response(options any, session *webauthn.SessionData) (factor.Response, error) {
	prompt, err := json.Marshal(options)
	state, err2 := json.Marshal(session)
	return factor.Response{Prompt: prompt, State: state}, errors.Join(err, err2)
}

// Check implements factor.Factor.
func (f *Factor) Check(_ context.Context, r factor.Request) (factor.Response, error) {
	p := f.party(r.Domain)
	switch r.Purpose {
	case factor.Enrol:
		var e enrolment
		if err := unmarshal(r, &e, &e.Session); err != nil {
			return factor.Response{}, err
		}
		return p.added(r, e)
	case factor.Login, factor.Confirm, factor.Passwordless:
		var session webauthn.SessionData
		if err := unmarshal(r, &session, &session); err != nil {
			return factor.Response{}, err
		}
		return p.proved(r, session)
	}
	return factor.Response{}, errPurpose
}

// unmarshal reads the state of a page. An answer that comes too late costs no try.
func unmarshal(r factor.Request, state any, session *webauthn.SessionData) error {
	if err := json.Unmarshal(r.State, state); err != nil {
		return fmt.Errorf("%w: the page has no state", factor.ErrForm)
	}
	if !r.Now.Before(session.Expires) {
		return fmt.Errorf("%w: it took too long", factor.ErrForm)
	}
	return nil
}

// proved checks an assertion (WebAuthn level 3, section 7.2).
func (p *party) proved(r factor.Request, session webauthn.SessionData) (factor.Response, error) {
	answer, err := parse(r.Input[InputResponse])
	if err != nil {
		return factor.Response{}, err
	}
	list, err := passkeys(r.Account, p.id, r.Now)
	if len(list) == 0 {
		return factor.Response{}, err
	}
	i := slices.IndexFunc(list, func(s stored) bool { return bytes.Equal(s.body.Credential, answer.RawID) })
	if i < 0 {
		return factor.Response{}, fmt.Errorf("%w: not a passkey of this account", factor.ErrWrong)
	}
	one := list[i]
	if r.Purpose == factor.Passwordless && !one.body.Passwordless {
		return factor.Response{}, fmt.Errorf("%w: its owner has not switched sign-in without password on", factor.ErrWrong)
	}
	session.Expires = protocolNever // checked against our own clock above
	credential, err := validate(p, newUser(r.Account, r.Account.State.Handle, list), session, answer, r.Purpose)
	if err != nil {
		return factor.Response{}, fmt.Errorf("%w: %w", factor.ErrWrong, err)
	}
	if credential.Authenticator.CloneWarning {
		return factor.Response{}, factor.ErrClone
	}
	if one.body.HasSpent(factor.HashChallenge(session.Challenge)) {
		return factor.Response{}, factor.ErrSpent
	}
	m, err := account.Encode(mark{Challenge: factor.HashChallenge(session.Challenge), SignCount: answer.Response.AuthenticatorData.Counter,
		Flags: byte(answer.Response.AuthenticatorData.Flags)})
	return factor.Response{Proof: factor.Proof{Kind: account.KindPasskey, ID: one.id, Mark: m,
		Verified: answer.Response.AuthenticatorData.Flags.HasUserVerified()}}, err
}

func parse(text string) (*protocol.ParsedCredentialAssertionData, error) {
	if text == "" {
		return nil, fmt.Errorf("%w: no passkey was used", factor.ErrForm)
	}
	answer, err := protocol.ParseCredentialRequestResponseBytes([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", factor.ErrForm, err)
	}
	return answer, nil
}

func validate(p *party, u *user, session webauthn.SessionData, answer *protocol.ParsedCredentialAssertionData, purpose factor.Purpose) (*webauthn.Credential, error) {
	if purpose != factor.Passwordless {
		return p.lib.ValidateLogin(u, session, answer)
	}
	return p.lib.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		if len(handle) == 0 || !bytes.Equal(handle, u.handle) {
			return nil, errors.New("user handle of another account")
		}
		return u, nil
	}, session, answer)
}

// Handle implements factor.Discoverer.
func (*Factor) Handle(input map[string]string) ([]byte, error) {
	answer, err := parse(input[InputResponse])
	if err != nil {
		return nil, err
	}
	if len(answer.Response.UserHandle) == 0 {
		return nil, fmt.Errorf("%w: the passkey names no account", factor.ErrForm)
	}
	return answer.Response.UserHandle, nil
}
