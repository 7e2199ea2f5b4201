package ldapstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/mailtest"
)

// TestLagOfLateServer: a server that shows a change late is told so, and by how much; the
// others are not kept waiting by it.
func TestLagOfLateServer(t *testing.T) {
	late, err := mailtest.StartSlapd(context.Background(), mailtest.SlapdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(late.Stop)
	h := newHarness(t, directory, func(c *Config) {
		c.ReadURIs, c.Timeout = []string{late.URI(), directory.URI()}, 20*time.Second
	})
	h.Store.writer = h.Store.reads[1]
	const after = 500 * time.Millisecond
	// What a replica does, some time later.
	copies := time.AfterFunc(after, func() {
		for range 400 {
			if e, err := directory.Dump(h.siteDN()); err == nil {
				list := make([]string, 0, len(e[keyCheck]))
				for _, v := range e[keyCheck] {
					list = append(list, string(v))
				}
				if late.SetAttr(h.siteDN(), keyCheck, list...) == nil {
					return
				}
			}
			_ = late.Add(h.siteDN(), map[string][]string{"objectClass": {"top", classSite}, "cn": {"site"}, keyCheck: {"x"}})
		}
	})
	defer copies.Stop()
	lags, err := h.Lag(context.Background(), time.Now, "late", 15*time.Second)
	if err != nil || len(lags.Seen) != 2 {
		t.Fatalf("%+v, %v", lags, err)
	}
	if s := lags.Seen[0]; s.Err != nil || s.After < after/2 {
		t.Errorf("the late one: %+v", s)
	}
	if s := lags.Seen[1]; s.Err != nil || s.After > lags.Seen[0].After {
		t.Errorf("the other: %+v", s)
	}
	if d := lags.Changed.Sub(lags.Asked).Abs(); d > 5*time.Second {
		t.Errorf("the clock is %v off", d)
	}
}

// TestExposedLogin: who cannot log in has seen nothing, which is not the same as being
// shown nothing.
func TestExposedLogin(t *testing.T) {
	h := newHarness(t, directory, nil)
	_, a := h.enrolled(t)
	for _, x := range h.Exposed(context.Background(), Simple(a.DN, account.SecretString("not it")), a) {
		if !errors.Is(x.Err, account.ErrWrong) || errors.Is(x.Err, account.ErrUnavailable) || len(x.Found) > 0 {
			t.Errorf("%+v", x)
		}
	}
	for _, x := range h.Exposed(context.Background(), func(c *ldap.Conn) error { return c.Bind(mailtest.RootDN, mailtest.Password) }, a) {
		if x.Err != nil || len(x.Found) < 10 {
			t.Errorf("the directory's root: %+v", x)
		}
	}
	again, err := h.Another(context.Background(), a.ID)
	if err != nil || again != nil && again.ID == a.ID {
		t.Errorf("another: %+v, %v", again, err)
	}
}
