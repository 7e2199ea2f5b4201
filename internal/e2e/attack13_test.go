package e2e

import (
	"context"
	"testing"

	"github.com/emersion/go-sasl"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailclient"
)

// TestAttack13_MasterUser: a master user with the right password is nobody's
// master, neither before nor after 2FA goes on (ATTACKS 1, 13).
func TestAttack13_MasterUser(t *testing.T) {
	eachHostile(t, func(t *testing.T, w *world) {
		user := w.user("main password")
		w.nowhere(user+"*postmaster", masterPassword)
		w.twoFactor(user)
		began := w.now()
		w.nowhere(user+"*postmaster", masterPassword)
		w.nowhere(user, masterPassword)
		impersonated := false
		for _, e := range w.since(began, user) {
			impersonated = impersonated || e.Reason == string(login.Impersonation)
		}
		if !impersonated {
			t.Error("the audit log does not tell of the master user")
		}
	})
}

// TestAttack13_AuthorizationIdentity: PLAIN can name another user to be let in as
// (RFC 4616 section 2).
func TestAttack13_AuthorizationIdentity(t *testing.T) {
	for _, each := range []func(*testing.T, func(*testing.T, *world)){eachDoor, eachHostile} {
		t.Run("", func(t *testing.T) { each(t, asSomebodyElse) })
	}
}

func asSomebodyElse(t *testing.T, w *world) {
	victim, mallory := w.user("main password"), w.user("mallory's own")
	for _, s := range mailclient.Services {
		for _, password := range []string{"mallory's own", "main password", masterPassword} {
			if r := w.impersonate(s, victim, mallory, password); r.Outcome == mailclient.OK {
				t.Errorf("%s: let in as %s", s, victim)
			}
		}
	}
}

func (w *world) impersonate(s mailclient.Service, as, user, password string) mailclient.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c, err := mailclient.Dial(ctx, w.target(s))
	must(w.t, err)
	defer func() { _ = c.Close() }()
	r, err := c.Authenticate(ctx, sasl.NewPlainClient(as, user, password))
	must(w.t, err)
	return r
}

// TestAttack13_Lookups: a lookup tells whether an account exists, for LMTP and
// proxies, and never checks or gives a password.
func TestAttack13_Lookups(t *testing.T) {
	eachDoor(t, func(t *testing.T, w *world) {
		user := w.twoFactor(w.user("main password"))
		before, began := w.binds(user), w.now()
		out, err := w.Dovecot.Doveadm(t.Context(), "auth", "lookup", user)
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if e := w.last(began, user, effect.Lookup); e.Outcome != "granted" || e.Reason != "" {
			t.Errorf("%+v", e)
		}
		if out, err := w.Dovecot.Doveadm(t.Context(), "auth", "lookup", "nobody@example.test"); err == nil {
			t.Errorf("an unknown user was found: %s", out)
		}
		if out, err := w.Dovecot.Doveadm(t.Context(), "user", user); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		w.wantBinds(user, before, 0)
	})
}
