package oidc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/seal"
)

const (
	issuer   = "https://mail.example.test/2fa/oidc"
	redirect = "https://app.example.test/back"
)

// desk is where sessions begin and end: one session, of which the grant is "grant".
type desk struct {
	now     time.Time
	outcome account.Outcome
	ended   int
}

func (d *desk) live() login.Result {
	if d.outcome != account.Granted {
		return login.Result{Outcome: d.outcome}
	}
	return login.Result{Outcome: account.Granted, Live: &login.Live{User: "alice", Account: "alice@example.test", ID: "id-1",
		Ticket: account.SecretString("pt1_ticket"), Grant: "grant", Expires: d.now.Add(10 * time.Minute), Begun: d.now, Via: "totp:1"}}
}

func (d *desk) Exchange(context.Context, string, string, string) login.Result { return d.live() }
func (d *desk) Renew(context.Context, string, string) login.Result            { return d.live() }
func (d *desk) End(_ context.Context, _, grant string) login.Result {
	if grant == "grant" {
		d.ended++
	}
	return login.Result{Outcome: d.outcome}
}

// site is a provider at a time of its own, whose keys can be changed.
type site struct {
	t *testing.T
	desk
	factor, ticket []byte // key files
	ready          bool
	*Provider
}

func keyFile(t *testing.T, role string) []byte {
	t.Helper()
	file, _, err := seal.NewFile(role)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, desk: desk{now: time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC), outcome: account.Granted},
		factor: keyFile(t, account.RoleFactor), ticket: keyFile(t, account.RoleTicket), ready: true}
	s.open()
	return s
}

// open starts the provider anew with the keys that there are now.
func (s *site) open() {
	s.t.Helper()
	ring, err := seal.NewRing(map[string][]byte{account.RoleFactor: s.factor, account.RoleTicket: s.ticket})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Provider, err = New(Options{Issuer: issuer, Sessions: &s.desk, Tokens: ring, Keys: ring, TransactionLife: time.Minute,
		Ready: func() bool { return s.ready }, Now: func() time.Time { return s.now },
		Clients: []Client{{ID: "public", Public: true, RedirectURIs: []string{redirect}, PasswordClaim: "ticket"},
			{ID: "ticket", Public: true, RedirectURIs: []string{redirect}, TicketAccess: true}}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// code is the authorization code of a login that has just been ended.
func (s *site) code(client, verifier string) string {
	s.t.Helper()
	q := &Request{Client: client, Redirect: redirect, Scope: "openid", Challenge: oauth2.S256ChallengeFromVerifier(verifier)}
	to, err := s.Finish(&Pending{Request: *q, Transaction: "transaction"}, "code")
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		s.t.Fatal(err)
	}
	return u.Query().Get("code")
}

func (s *site) exchange(client, code, verifier string) (*tokens, error) {
	v := url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.Provider.exchange(r)
}

// A code is good for a minute, and for whoever has what its challenge was made of.
func TestCodes(t *testing.T) {
	s := newSite(t)
	verifier := oauth2.GenerateVerifier()
	code := s.code("public", verifier)
	s.now = s.now.Add(codeLife - time.Second)
	if _, err := s.exchange("public", code, verifier); err != nil {
		t.Errorf("a code of its last second: %v", err)
	}
	for what, v := range map[string]string{"another": oauth2.GenerateVerifier(), "none": "", "the challenge": oauth2.S256ChallengeFromVerifier(verifier)} {
		if _, err := s.exchange("public", code, v); !errors.Is(err, errGrant) {
			t.Errorf("with %s as verifier: %v", what, err)
		}
	}
	if _, err := s.exchange("ticket", code, verifier); !errors.Is(err, errGrant) {
		t.Errorf("another client's code: %v", err)
	}
	s.now = s.now.Add(2 * time.Second)
	if _, err := s.exchange("public", code, verifier); !errors.Is(err, errGrant) {
		t.Errorf("a code that is over: %v", err)
	}
}

// Denied and unavailable do not mix, and a session without ticket is no session here.
func TestOutcomes(t *testing.T) {
	s := newSite(t)
	verifier := oauth2.GenerateVerifier()
	for o, want := range map[account.Outcome]error{account.Denied: errGrant, account.Unavailable: errUnavailable} {
		s.outcome = o
		if _, err := s.exchange("public", s.code("public", verifier), verifier); !errors.Is(err, want) {
			t.Errorf("%s: %v", o, err)
		}
	}
	if _, err := liveOf(login.Result{Outcome: account.Granted, Live: &login.Live{Grant: "grant"}}); !errors.Is(err, errUnavailable) {
		t.Errorf("without ticket: %v", err)
	}
	s.ready = false
	for _, path := range []string{PathToken, PathUserinfo, PathRevoke} {
		w := httptest.NewRecorder()
		s.Handler("").ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("")))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s before the keys are compared: %d", path, w.Code)
		}
	}
}

// A key is added before it signs alone: clients fetch the keys again when they meet one
// that they do not know, tokens of the old key go on, and end with it.
func TestKeyRotation(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Handler("").ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	verifier := gooidc.NewVerifier(issuer, gooidc.NewRemoteKeySet(t.Context(), server.URL+PathKeys),
		&gooidc.Config{ClientID: "public", SupportedSigningAlgs: []string{"ES256"}, Now: func() time.Time { return s.now }})
	issue := func() string {
		pkce := oauth2.GenerateVerifier()
		tok, err := s.exchange("public", s.code("public", pkce), pkce)
		if err != nil {
			t.Fatal(err)
		}
		return tok.ID
	}
	check := func(what, token string, right bool) {
		t.Helper()
		if _, err := verifier.Verify(t.Context(), token); (err == nil) != right {
			t.Errorf("%s: %v", what, err)
		}
		ended := s.ended
		to, err := s.Logout(t.Context(), url.Values{"id_token_hint": {token}})
		if (err == nil) != right || to != "" || (s.ended > ended) != right {
			t.Errorf("logout with %s: %v, %d sessions ended", what, err, s.ended-ended)
		}
	}
	old := issue()
	check("the only key's token", old, true)
	oldKey := s.ticket
	s.ticket = append(keyFile(t, account.RoleTicket), oldKey...)
	s.open()
	fresh := issue()
	check("the new key's token", fresh, true)
	check("the old key's token", old, true)
	s.ticket = oldKey[:0:0]
	s.ticket = append(s.ticket, keyFile(t, account.RoleTicket)...)
	s.open()
	last := issue()
	check("a third key's token", last, true)
	if _, err := s.Logout(t.Context(), url.Values{"id_token_hint": {fresh}}); !errors.Is(err, ErrHint) {
		t.Errorf("logout with a token whose key is gone: %v", err)
	}
}

// Access tokens: what userinfo knows and does not.
func TestUserinfo(t *testing.T) {
	s := newSite(t)
	ask := func(authorization string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, PathUserinfo, http.NoBody)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		s.Handler("").ServeHTTP(w, r)
		body, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.Code, string(body)
	}
	for _, client := range []string{"public", "ticket"} {
		pkce := oauth2.GenerateVerifier()
		tok, err := s.exchange(client, s.code(client, pkce), pkce)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := ask("bearer " + tok.Access); status != http.StatusOK || !strings.Contains(body, `"email":"alice@example.test"`) ||
			strings.Contains(body, "pt1_ticket") != (client == "public") {
			t.Errorf("%s: %d %s", client, status, body)
		}
		s.outcome = account.Unavailable
		if status, _ := ask("Bearer " + tok.Access); status != http.StatusServiceUnavailable {
			t.Errorf("%s, without directory: %d", client, status)
		}
		s.outcome = account.Denied
		if status, _ := ask("Bearer " + tok.Access); status != http.StatusUnauthorized {
			t.Errorf("%s, ended: %d", client, status)
		}
		s.outcome = account.Granted
		was := s.now
		s.now = s.now.Add(10 * time.Minute)
		if status, _ := ask("Bearer " + tok.Access); status != http.StatusUnauthorized {
			t.Errorf("%s, over: %d", client, status)
		}
		s.now = was
	}
	for _, none := range []string{"", "Bearer", "Bearer ", "Basic YWxpY2U6eA==", "Bearer pt1_other", "Bearer x"} {
		if status, _ := ask(none); status != http.StatusUnauthorized {
			t.Errorf("%q: %d", none, status)
		}
	}
}

// What is remembered of tickets does not grow without end.
func TestTicketsAreForgotten(t *testing.T) {
	all, now := newTickets(), time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	for i := range maxTickets {
		all.keep(strconv.Itoa(i), accessBody{Client: "c"}, now.Add(time.Duration(i%2)*time.Hour), now)
	}
	all.keep("next", accessBody{Client: "c"}, now.Add(time.Hour), now)
	if len(all.of) > maxTickets/2+1 {
		t.Errorf("%d tickets, half of them over", len(all.of))
	}
	if b, ok := all.find("next", now); !ok || b.Client != "c" {
		t.Error("the newest is forgotten")
	}
	if _, ok := all.find("next", now.Add(time.Hour)); ok {
		t.Error("one that is over is found")
	}
}

// Nobody is said to have given what they have not (RFC 8176).
func TestMethods(t *testing.T) {
	for via, want := range map[string]string{"main": "pwd", "": "pwd", "totp:1": "pwd otp mfa", "backup:1": "pwd otp mfa", "passkey:1": "pop mfa",
		"device:1": "pwd mfa", "app:1": "pwd", "totpx": "pwd"} {
		if got := strings.Join(methods(via), " "); got != want {
			t.Errorf("%q: %s, want %s", via, got, want)
		}
	}
}
