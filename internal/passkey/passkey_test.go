package passkey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/seal"
)

var (
	ctx  = context.Background()
	now  = time.Now()
	mail = RelyingParty{ID: "example.test", Name: "Example", Origins: []string{"https://mail.example.test"}}
)

// owner is an account whose records are sealed by a ring of the test's, and the
// authenticator in its owner's pocket.
type owner struct {
	t     *testing.T
	f     *Factor
	ring  *seal.Ring
	acct  *account.Account
	state account.State
	all   []account.Record
	rp    virtualwebauthn.RelyingParty
	auth  virtualwebauthn.Authenticator
	key   virtualwebauthn.Credential
}

func newOwner(t *testing.T, s Settings) *owner {
	t.Helper()
	files := map[string][]byte{}
	for _, role := range []string{account.RoleDoor, account.RoleFactor} {
		file, _, err := seal.NewFile(role)
		if err != nil {
			t.Fatal(err)
		}
		files[role] = file
	}
	ring, err := seal.NewRing(files)
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(s, ring)
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{t: t, f: f, ring: ring, rp: virtualwebauthn.RelyingParty{ID: s.Default.ID, Origin: s.Default.Origins[0]},
		auth: virtualwebauthn.NewAuthenticator(), key: newCredential(t)}
	o.store()
	return o
}

// newCredential has a key whose coordinates both fill their 32 bytes: this authenticator
// leaves leading zeros out, which RFC 9053, section 7.1.1, forbids and the server refuses.
func newCredential(t *testing.T) virtualwebauthn.Credential {
	t.Helper()
	for {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := k.PublicKey.Bytes() // 4, x, y
		if err != nil {
			t.Fatal(err)
		}
		if point[1] == 0 || point[33] == 0 {
			continue
		}
		data, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeEC2, data)
	}
}

// store makes the account anew from its records.
func (o *owner) store() {
	o.t.Helper()
	o.acct = &account.Account{ID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8", Name: "alice@example.test", Domain: "example.test", HasHolder: true}
	o.state.Members = nil
	values := map[account.Kind][]account.Value{}
	for i := range o.all {
		r := &o.all[i]
		o.state.Members = append(o.state.Members, account.Member{Kind: r.Kind, ID: r.ID})
		values[r.Kind] = append(values[r.Kind], account.Value{ID: r.ID, Stored: o.seal(r)})
	}
	body, err := account.Encode(o.state)
	if err != nil {
		o.t.Fatal(err)
	}
	st := account.Record{Kind: account.KindState, ID: "state", Created: now, Body: body}
	values[account.KindState] = []account.Value{{ID: "state", Stored: o.seal(&st)}}
	o.acct.Attach(values, o.ring)
}

func (o *owner) seal(r *account.Record) []byte {
	o.t.Helper()
	b, err := o.ring.Seal(o.acct.ID, r)
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

func (o *owner) request(p factor.Purpose) factor.Request {
	return factor.Request{Purpose: p, Account: o.acct, Now: now, Domain: o.acct.Domain, Origin: o.rp.Origin}
}

func (o *owner) begin(p factor.Purpose) factor.Response {
	o.t.Helper()
	r, err := o.f.Begin(ctx, o.request(p))
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// make registers the key, or says why not.
func (o *owner) make(begun factor.Response) (factor.Response, error) {
	o.t.Helper()
	options, err := virtualwebauthn.ParseAttestationOptions(`{"publicKey":` + string(begun.Prompt) + `}`)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.check(factor.Enrol, begun, virtualwebauthn.CreateAttestationResponse(o.rp, o.auth, o.key, *options))
}

func (o *owner) check(p factor.Purpose, begun factor.Response, answer string) (factor.Response, error) {
	q := o.request(p)
	q.State, q.Input = begun.State, map[string]string{InputResponse: answer}
	return o.f.Check(ctx, q)
}

// register adds the key to the account.
func (o *owner) register() {
	o.t.Helper()
	made, err := o.make(o.begin(factor.Enrol))
	if err != nil {
		o.t.Fatal(err)
	}
	o.state.Handle = made.Handle
	o.auth.Options.UserHandle = made.Handle
	o.auth.AddCredential(o.key)
	o.all = append(o.all, made.Record)
	o.store()
}

func (o *owner) answer(begun factor.Response) string {
	o.t.Helper()
	options, err := virtualwebauthn.ParseAssertionOptions(`{"publicKey":` + string(begun.Prompt) + `}`)
	if err != nil {
		o.t.Fatal(err)
	}
	o.key.Counter++
	return virtualwebauthn.CreateAssertionResponse(o.rp, o.auth, o.key, *options)
}

// use signs in, and stores what is spent.
func (o *owner) use(p factor.Purpose) error {
	o.t.Helper()
	begun := o.begin(p)
	r, err := o.check(p, begun, o.answer(begun))
	if err != nil {
		return err
	}
	return o.spend(r.Proof)
}

func (o *owner) spend(p factor.Proof) error {
	spent, err := o.f.Spend(o.all[0], p, now)
	if err == nil {
		o.all[0] = spent
		o.store()
	}
	return err
}

func (o *owner) passwordless() {
	o.t.Helper()
	body, err := factor.DecodePasskey(o.all[0].Body)
	if err != nil {
		o.t.Fatal(err)
	}
	body.Passwordless = true
	if o.all[0].Body, err = account.Encode(body); err != nil {
		o.t.Fatal(err)
	}
	o.store()
}

func TestW1_RegisterAndUse(t *testing.T) {
	o := newOwner(t, Settings{Default: mail})
	o.register()
	for range 3 {
		if err := o.use(factor.Login); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.use(factor.Confirm); err != nil {
		t.Error(err)
	}
}

func TestW3_TheSameAuthenticatorTwice(t *testing.T) {
	o := newOwner(t, Settings{Default: mail})
	o.register()
	begun := o.begin(factor.Enrol)
	options, err := virtualwebauthn.ParseAttestationOptions(`{"publicKey":` + string(begun.Prompt) + `}`)
	if err != nil {
		t.Fatal(err)
	}
	if !o.key.IsExcludedForAttestation(*options) {
		t.Error("browsers are not told that it is there")
	}
	if _, err := o.make(begun); !errors.Is(err, factor.ErrSpent) {
		t.Errorf("a browser that does not care: %v", err)
	}
}

func TestAttack06_AssertionReplayed(t *testing.T) {
	for what, counts := range map[string]bool{"with a counter": true, "whose counter stays 0": false} {
		t.Run(what, func(t *testing.T) {
			o := newOwner(t, Settings{Default: mail})
			o.register()
			begun := o.begin(factor.Login)
			text := o.answer(begun)
			if !counts {
				o.key.Counter = 0
				options, err := virtualwebauthn.ParseAssertionOptions(`{"publicKey":` + string(begun.Prompt) + `}`)
				if err != nil {
					t.Fatal(err)
				}
				text = virtualwebauthn.CreateAssertionResponse(o.rp, o.auth, o.key, *options)
			}
			first, err := o.check(factor.Login, begun, text)
			if err != nil {
				t.Fatal(err)
			}
			second, err := o.check(factor.Login, begun, text) // on another server, at the same moment
			if err != nil {
				t.Fatal(err)
			}
			if err := o.spend(first.Proof); err != nil {
				t.Fatal(err)
			}
			if err := o.spend(second.Proof); !errors.Is(err, factor.ErrSpent) {
				t.Errorf("spent twice: %v", err)
			}
			if _, err := o.check(factor.Login, begun, text); err == nil {
				t.Error("accepted again")
			}
			other := o.begin(factor.Login)
			if _, err := o.check(factor.Login, other, text); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("for another challenge: %v", err)
			}
		})
	}
}

func TestAttack29_ClonedKey(t *testing.T) {
	o := newOwner(t, Settings{Default: mail})
	o.register()
	o.key.Counter = 40
	if err := o.use(factor.Login); err != nil {
		t.Fatal(err)
	}
	o.key.Counter = 7
	if err := o.use(factor.Login); !errors.Is(err, factor.ErrClone) {
		t.Errorf("the counter went back: %v", err)
	}
}

func TestW6_OtherOriginAndRelyingParty(t *testing.T) {
	other := RelyingParty{ID: "other.test", Name: "Other", Origins: []string{"https://mail.other.test"}}
	for what, rp := range map[string]virtualwebauthn.RelyingParty{
		"a phisher's page":    {ID: "example.test", Origin: "https://mail.example.test.evil.test"},
		"another port":        {ID: "example.test", Origin: "https://mail.example.test:8443"},
		"a sibling host":      {ID: "example.test", Origin: "https://www.example.test"},
		"without TLS":         {ID: "example.test", Origin: "http://mail.example.test"},
		"another domain's id": {ID: "other.test", Origin: "https://mail.example.test"},
	} {
		t.Run(what, func(t *testing.T) {
			o := newOwner(t, Settings{Default: mail})
			o.register()
			o.rp = rp
			if err := o.use(factor.Login); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("signed in: %v", err)
			}
			if _, err := o.make(o.begin(factor.Enrol)); err == nil {
				t.Error("registered")
			}
		})
	}
	o := newOwner(t, Settings{Default: other, Domains: map[string]RelyingParty{"Example.test": mail}})
	o.rp = virtualwebauthn.RelyingParty{ID: mail.ID, Origin: mail.Origins[0]}
	o.register()
	if err := o.use(factor.Login); err != nil {
		t.Errorf("the account's own domain: %v", err)
	}
	q := o.request(factor.Login)
	q.Domain = "elsewhere.test"
	if _, err := o.f.Begin(ctx, q); !errors.Is(err, account.ErrNoRecord) {
		t.Errorf("a passkey of one relying party is offered to another: %v", err)
	}
}

func TestW4_Passwordless(t *testing.T) {
	o := newOwner(t, Settings{Default: mail})
	o.register()
	if err := o.use(factor.Passwordless); !errors.Is(err, factor.ErrWrong) {
		t.Errorf("before its owner switched it on: %v", err)
	}
	o.passwordless()
	begun := o.begin(factor.Passwordless)
	text := o.answer(begun)
	handle, err := o.f.Handle(map[string]string{InputResponse: text})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := o.ring.OpenHandle(handle); err != nil || id != o.acct.ID {
		t.Errorf("the handle names %q: %v", id, err)
	}
	r, err := o.check(factor.Passwordless, begun, text)
	if err != nil || !r.Proof.Verified {
		t.Errorf("%+v, %v", r.Proof, err)
	}
	o.auth.Options.UserNotVerified = true
	if err := o.use(factor.Passwordless); !errors.Is(err, factor.ErrWrong) {
		t.Errorf("without fingerprint, face or PIN: %v", err)
	}
	if err := o.use(factor.Login); err != nil {
		t.Errorf("after the password, presence is enough: %v", err)
	}
	o.auth.Options.UserNotVerified = false
	o.auth.Options.UserHandle = []byte("somebody else's handle, made long ago")
	if err := o.use(factor.Passwordless); !errors.Is(err, factor.ErrWrong) {
		t.Errorf("with another handle: %v", err)
	}
}

// The answer to one question is none to another.
func TestAttack06_AnswerToAnotherQuestion(t *testing.T) {
	o := newOwner(t, Settings{Default: mail})
	o.register()
	o.passwordless()
	begun := o.begin(factor.Login)
	if _, err := o.check(factor.Enrol, begun, o.answer(begun)); err == nil {
		t.Error("an assertion registered")
	}
	for what, text := range map[string]string{"nothing": "", "no JSON": "{", "an empty object": "{}"} {
		if _, err := o.check(factor.Login, begun, text); !errors.Is(err, factor.ErrForm) {
			t.Errorf("%s: %v", what, err)
		}
	}
	late := o.request(factor.Login)
	late.Now, late.State = now.Add(timeout+time.Second), begun.State
	late.Input = map[string]string{InputResponse: o.answer(begun)}
	if _, err := o.f.Check(ctx, late); !errors.Is(err, factor.ErrForm) {
		t.Errorf("after the page's time: %v", err)
	}
}

func TestAttack10_NoListForStrangers(t *testing.T) {
	o := newOwner(t, Settings{Default: mail})
	o.register()
	begun := o.begin(factor.Passwordless)
	options, err := virtualwebauthn.ParseAssertionOptions(`{"publicKey":` + string(begun.Prompt) + `}`)
	if err != nil || len(options.AllowCredentials) != 0 {
		t.Errorf("%v: %s", err, begun.Prompt)
	}
}

func TestAAGUIDs(t *testing.T) {
	allowed := "ee882879-721c-4913-9775-3dfcce97072a"
	o := newOwner(t, Settings{Default: mail, AAGUIDs: []string{allowed}})
	if _, err := o.make(o.begin(factor.Enrol)); !errors.Is(err, factor.ErrWrong) {
		t.Errorf("one that does not tell its make: %v", err)
	}
	o.auth.Aaguid = [16]byte{1}
	if _, err := o.make(o.begin(factor.Enrol)); !errors.Is(err, factor.ErrWrong) {
		t.Errorf("one of another make: %v", err)
	}
	o.auth.Aaguid = [16]byte{0xee, 0x88, 0x28, 0x79, 0x72, 0x1c, 0x49, 0x13, 0x97, 0x75, 0x3d, 0xfc, 0xce, 0x97, 0x07, 0x2a}
	if _, err := o.make(o.begin(factor.Enrol)); err != nil {
		t.Errorf("an allowed one: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for what, rp := range map[string]RelyingParty{
		"no TLS":            {ID: "example.test", Origins: []string{"http://mail.example.test"}},
		"a path":            {ID: "example.test", Origins: []string{"https://mail.example.test/2fa"}},
		"another domain":    {ID: "example.test", Origins: []string{"https://mail.example.org"}},
		"a domain that end": {ID: "example.test", Origins: []string{"https://badexample.test"}},
		"an address":        {ID: "127.0.0.1", Origins: []string{"https://127.0.0.1"}},
	} {
		if _, err := New(Settings{Default: rp}, nil); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	for what, rp := range map[string]RelyingParty{
		"localhost": {ID: "localhost", Origins: []string{"http://localhost:8080"}},
		"an app": {ID: "example.test", Origins: []string{"https://mail.example.test",
			"android:apk-key-hash:Q29uZ3JhdHVsYXRpb25zISBUaGlzIGlzIGEgaGFzaCEhIQ"}},
	} {
		rp.Name = "Example"
		if _, err := New(Settings{Default: rp}, nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
