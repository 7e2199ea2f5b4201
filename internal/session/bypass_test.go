package session_test

import (
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
	"postern/internal/session"
)

// A session goes on by the bypass that it began under, not by a later one: also if a
// backup, or a replica that lags behind, brings its record back.
func TestA17_SessionOfAnEarlierBypass(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	eff, err := policy.Layers(nil).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		via      string
		began    time.Time
		services []account.Service
		goesOn   bool
	}{
		"of this one":    {session.ViaBypass, now.Add(-time.Minute), nil, true},
		"at its moment":  {session.ViaBypass, now.Add(-time.Hour), []account.Service{"webmail"}, true},
		"of an earlier":  {session.ViaBypass, now.Add(-time.Hour - time.Second), nil, false},
		"for mail alone": {session.ViaBypass, now.Add(-time.Minute), []account.Service{account.IMAP}, false},
		"by password":    {"main", now.Add(-time.Minute), nil, false},
	} {
		a := &account.Account{State: account.State{Enrolled: true,
			Bypass: &account.Bypass{From: now.Add(-time.Hour), Until: now.Add(time.Hour), Services: c.services}}}
		s, r := session.Session{Via: c.via}, account.Record{Created: c.began}
		if got := s.Bypassed(a, &r, now); got != c.goesOn {
			t.Errorf("%s: %v", name, got)
		}
		if got := s.Enough(a, &r, eff, now); got != c.goesOn {
			t.Errorf("%s: enough is %v", name, got)
		}
		if s.Enough(a, &r, eff, now.Add(time.Hour)) {
			t.Errorf("%s: it outlives the bypass", name)
		}
	}
}
