package main

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/internal/account"
	"postern/internal/app"

	"postern/internal/login"
)

// mainUsed MAIL SERVICE ADDRESS AGENT TIME: what policyserver notes of a login with
// the main password.
func mainUsed(ts *testscript.TestScript, _ bool, args []string) {
	at, err := time.Parse(time.RFC3339, args[4])
	ts.Check(err)
	use := account.Use{At: at, Service: account.Service(args[1]), From: netip.MustParseAddr(args[2]), Agent: args[3]}
	cfg, err := app.Load(siteOf(ts).Path)
	ts.Check(err)
	store, _, err := cfg.OpenStore(allRoles...)
	ts.Check(err)
	defer store.Close()
	ctx := context.Background()
	a, err := store.Find(ctx, args[0])
	ts.Check(err)
	state := a.State.Clone()
	state.NoteMainUse(use)
	edits, err := a.StateEdit(state, at)
	ts.Check(err)
	ts.Check(store.Apply(ctx, a, edits...))
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 9, 10, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"2026-09-01T12:00:00+02:00": "2026-09-01T10:00:00Z",
		"7d":                        "2026-09-03T12:00:00Z",
		"24h":                       "2026-09-09T12:00:00Z",
	} {
		got, err := parseSince(s, now)
		if err != nil || stamp(got) != want {
			t.Errorf("%s: %s, %v", s, stamp(got), err)
		}
	}
	if got, err := parseSince("2026-09-01", now); err != nil || got.Local().Format("2006-01-02 15:04:05") != "2026-09-01 00:00:00" {
		t.Errorf("a day: %s, %v", got, err)
	}
	if got, err := parseSince("", now); err != nil || !got.IsZero() {
		t.Errorf("everything: %s, %v", got, err)
	}
	for _, s := range []string{"d", "0d", "-1h", "7", "7w", "999999h", "yesterday", "2026-02-30"} {
		if got, err := parseSince(s, now); err == nil {
			t.Errorf("%q was read as %s", s, got)
		}
	}
}

func TestMechanismIsDeclaredOnlyIfStrong(t *testing.T) {
	for _, m := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
		"APOP", "NTLM", "RPA", "OTP", "SKEY", "ANONYMOUS"} {
		if login.WeakMechanism(m) == "" {
			t.Errorf("%s may be declared", m)
		}
	}
	for _, m := range []string{"GSSAPI", "GSS-SPNEGO", "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "X-NEW"} {
		if why := login.WeakMechanism(m); why != "" {
			t.Errorf("%s: %s", m, why)
		}
	}
	for _, s := range []string{"", "A B", "A\nB", "A;B", "ÄXTERNAL", "TWENTY-ONE-CHARACTERS"} {
		if mechanismName(s) {
			t.Errorf("%q is taken for a name", s)
		}
	}
}
