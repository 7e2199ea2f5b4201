// Package passkey is the factor of passkeys and security keys (WebAuthn), on top of the
// go-webauthn library, which checks signatures and formats. What the library leaves to
// its user is decided here:
//
//   - which relying party a page belongs to: one for each hosted domain, with exact
//     origins; a passkey of one is nothing to another;
//   - that a challenge is answered once: it travels sealed with the page, and Spend
//     keeps the last answered ones in the passkey's own record, whose swap has one
//     winner across all servers;
//   - that a counter which goes back is refused: somebody has a copy of the key;
//   - that user verification is really there where it was asked for.
package passkey

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/internal/account"
	"postern/internal/factor"
)

// RelyingParty is what passkeys are made for (WebAuthn level 3, section 4).
type RelyingParty struct {
	ID      string   // a domain: the pages' host or a parent of it
	Name    string   // shown by browsers
	Origins []string // exact: scheme, host and port; or android:apk-key-hash:…
	// Related are pages on other domains, which browsers let in where the relying party
	// says so at /.well-known/webauthn (section 5.11).
	Related []string
}

// Settings are the site's choices.
type Settings struct {
	Default RelyingParty
	Domains map[string]RelyingParty // by the account's domain, lower case
	AAGUIDs []string                // only these authenticators can be added; empty: all
}

// Handles makes user handles; package seal's Ring does.
type Handles interface {
	NewHandle(account.ID) ([]byte, error)
}

// Factor is the factor. It is safe for concurrent use.
type Factor struct {
	fallback *party
	domains  map[string]*party
	handles  Handles
}

type party struct {
	lib   *webauthn.WebAuthn
	id    string
	known bool // only authenticators of certain makes can be added
}

// timeout is how long browsers wait for a person to touch something.
const timeout = 5 * time.Minute

// New returns the factor. Errors name the relying party that cannot be.
func New(s Settings, h Handles) (*Factor, error) {
	f := &Factor{domains: make(map[string]*party), handles: h}
	var errs []error
	var err error
	if f.fallback, err = newParty(s.Default, s.AAGUIDs); err != nil {
		errs = append(errs, err)
	}
	for domain, rp := range s.Domains {
		p, err := newParty(rp, s.AAGUIDs)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", domain, err))
			continue
		}
		f.domains[strings.ToLower(domain)] = p
	}
	return f, errors.Join(errs...)
}

func newParty(rp RelyingParty, aaguids []string) (*party, error) {
	origins, native := rp.Origins, []string(nil)
	if i := slices.IndexFunc(origins, isNative); i >= 0 {
		origins = slices.DeleteFunc(slices.Clone(rp.Origins), isNative)
		native = slices.DeleteFunc(slices.Clone(rp.Origins), func(o string) bool { return !isNative(o) })
	}
	for _, o := range origins {
		if err := fits(o, rp.ID); err != nil {
			return nil, err
		}
	}
	for _, o := range rp.Related {
		if err := elsewhere(o); err != nil {
			return nil, err
		}
	}
	allowed, err := parseAAGUIDs(aaguids)
	if err != nil {
		return nil, err
	}
	wait := webauthn.TimeoutConfig{Enforce: true, Timeout: timeout, TimeoutUVD: timeout}
	lib, err := webauthn.New(&webauthn.Config{
		RPID: rp.ID, RPDisplayName: rp.Name, RPOrigins: slices.Concat(origins, rp.Related), RPOpaqueOrigins: native,
		AttestationPreference: attestation(aaguids),
		Timeouts:              webauthn.TimeoutsConfig{Login: wait, Registration: wait},
		Filtering:             allowed,
	})
	if err != nil {
		return nil, fmt.Errorf("relying party %q: %w", rp.ID, err)
	}
	return &party{lib, rp.ID, allowed != nil}, nil
}

// attestation: browsers tell the make of an authenticator only if asked for it.
func attestation(aaguids []string) protocol.ConveyancePreference {
	if len(aaguids) > 0 {
		return protocol.PreferDirectAttestation
	}
	return protocol.PreferNoAttestation
}

func isNative(origin string) bool { return strings.HasPrefix(origin, "android:") }

// elsewhere: a page on another domain is related by its exact origin, over TLS.
func elsewhere(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Host == "" || origin != "https://"+strings.ToLower(u.Host) {
		return fmt.Errorf("related origin %q must be like https://mail.example.test", origin)
	}
	return nil
}

// fits: a page may ask for passkeys of its own host or of a parent domain of it.
func fits(origin, id string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && u.Hostname() != "localhost" && !strings.HasSuffix(u.Hostname(), ".localhost") {
		return fmt.Errorf("origin %q must be like https://mail.example.test", origin)
	}
	if host := u.Hostname(); host != id && !strings.HasSuffix(host, "."+id) {
		return fmt.Errorf("origin %q is not below the relying party %q", origin, id)
	}
	return nil
}

// Kind implements factor.Factor.
func (*Factor) Kind() account.Kind { return account.KindPasskey }

// Name implements factor.Factor.
func (*Factor) Name() string { return factor.NamePasskey }

// party is the relying party of a page: its account's domain's, or the site's.
func (f *Factor) party(domain string) *party {
	if p, ok := f.domains[strings.ToLower(domain)]; ok {
		return p
	}
	return f.fallback
}

// Spend implements factor.Factor: the challenge is used up, and the counter, flags and
// whatever else the authenticator said of itself are kept.
func (*Factor) Spend(r account.Record, proof factor.Proof, now time.Time) (account.Record, error) {
	var m mark
	p, err := factor.DecodePasskey(r.Body)
	if err == nil {
		err = account.Decode(proof.Mark, &m)
	}
	switch {
	case err != nil:
		return r, err
	case p.HasSpent(m.Challenge):
		return r, factor.ErrSpent
	case m.SignCount <= p.SignCount && (m.SignCount > 0 || p.SignCount > 0):
		return r, factor.ErrSpent // another answer of the same authenticator was faster
	}
	p.SignCount, p.Flags = m.SignCount, m.Flags
	p.SpendChallenge(m.Challenge)
	r.Used.At = now
	r.Body, err = account.Encode(p)
	return r, err
}

// mark is what Check found: what Spend writes back.
type mark struct {
	Challenge []byte `cbor:"1,keyasint"`
	SignCount uint32 `cbor:"2,keyasint,omitempty"`
	Flags     byte   `cbor:"3,keyasint,omitempty"`
}

var _ interface {
	factor.Factor
	factor.Discoverer
} = (*Factor)(nil)

// user is an account as the library wants it.
type user struct {
	handle      []byte
	name        string
	credentials []webauthn.Credential
}

func (u *user) WebAuthnID() []byte                         { return u.handle }
func (u *user) WebAuthnName() string                       { return u.name }
func (u *user) WebAuthnDisplayName() string                { return u.name }
func (u *user) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

// stored is a passkey of an account.
type stored struct {
	id   string
	body factor.Passkey
}

// passkeys reads those of the account for the relying party. Errors: account.ErrNoRecord
// when it has none; account.ErrDamaged.
func passkeys(a *account.Account, rpid string, now time.Time) ([]stored, error) {
	records, err := a.Records(account.KindPasskey)
	var list []stored
	for i := range records {
		body, decodeErr := factor.DecodePasskey(records[i].Body)
		if decodeErr != nil {
			err = errors.Join(err, decodeErr)
			continue
		}
		if body.RPID == rpid && records[i].Live(now) {
			list = append(list, stored{records[i].ID, body})
		}
	}
	if len(list) == 0 && err == nil {
		err = fmt.Errorf("no passkey of %s: %w", rpid, account.ErrNoRecord)
	}
	return list, err
}

func newUser(a *account.Account, handle []byte, list []stored) *user {
	u := &user{handle: handle, name: a.Name}
	for i := range list {
		u.credentials = append(u.credentials, toLibrary(&list[i].body))
	}
	return u
}

var errPurpose = errors.New("this factor is not for that purpose")

// Begin implements factor.Factor. Prompt is the JSON of the options for the browser,
// State the library's session data.
func (f *Factor) Begin(_ context.Context, r factor.Request) (factor.Response, error) {
	p := f.party(r.Domain)
	switch r.Purpose {
	case factor.Login, factor.Confirm:
		return p.ask(r)
	case factor.Passwordless:
		return p.askAnybody()
	case factor.Enrol:
		return f.register(p, r)
	}
	return factor.Response{}, errPurpose
}
