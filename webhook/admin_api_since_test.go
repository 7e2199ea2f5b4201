package main

import (
	"testing"
	"time"

	"postern/internal/account"
)

// FEATURES A14 and ATTACKS 27: a panel ends what was made since a time, of the accounts
// that are its own.
func TestA14_PanelRevokesSince(t *testing.T) {
	w := panels(t)
	begin := time.Now().UTC().Format(time.RFC3339Nano)
	user, _ := w.twoFactor()
	old := w.app(user, account.IMAP)
	since := time.Now().UTC().Format(time.RFC3339Nano)
	stolen := w.app(user, account.IMAP)
	ask := func(user, since string) map[string]string { return map[string]string{"user": user, "since": since} }
	w.panel("a-key-of-nobody-1234567890", 401, "revoke-since", ask(user, since))
	w.panel("a-key-that-calls-from-far-1234567890", 401, "revoke-since", ask(user, since))
	w.panel(keyOfDesk, 403, "revoke-since", ask(user, since))
	w.panel(keyOfOther, 404, "revoke-since", ask(user, since))
	w.panel(keyOfA, 404, "revoke-since", ask("dave@other.test", since))
	w.panel(keyOfA, 404, "revoke-since", ask("nobody@example.test", since))
	for _, bad := range []string{"", "36h", "2027-01-31", "yesterday"} {
		w.panel(keyOfA, 400, "revoke-since", ask(user, bad))
	}
	w.panel(keyOfA, 422, "revoke-since", ask(user, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	if view, _ := w.state(user); len(view.AppPasswords) != 2 || view.AppPasswords[0].State(time.Now()) != "active" || view.AppPasswords[1].State(time.Now()) != "active" {
		t.Fatalf("a refused call has done something: %+v", view.AppPasswords)
	}
	done := w.panel(keyOfA, 200, "revoke-since", ask(user, since))
	if ended, _ := done["ended"].(map[string]any); ended["app"] != 1.0 || done["factors_left"] != 1.0 || done["must_enrol"] != false || done["token"] != nil {
		t.Errorf("%v", done)
	}
	if !w.opens(user, old) || w.opens(user, stolen) {
		t.Error("the older app password must open mail, and the newer must not")
	}
	w.panel(keyOfA, 409, "revoke-since", ask(w.user(), since))
	if done = w.panel(keyOfA, 200, "revoke-since", ask(user, begin)); done["must_enrol"] != true || done["token"] == nil {
		t.Errorf("with the last factor: %v", done)
	}
}
