package session_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
	"postern/internal/session"
)

func TestE8_SessionsAndDevicesEnd(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	eff, err := policy.Layers(nil).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	eff.SessionIdle, eff.SessionLife, eff.TrustedDeviceDays = 2*time.Hour, 10*time.Hour, 30
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	fine := account.Record{Created: ago(time.Hour), Used: account.Use{At: ago(time.Minute)}, Expires: now.Add(time.Hour)}
	for name, c := range map[string]struct {
		change          func(*account.Record)
		epoch           int64
		session, device bool
	}{
		"fine":              {func(*account.Record) {}, 7, true, true},
		"older epoch":       {func(*account.Record) {}, 6, false, false},
		"newer epoch":       {func(*account.Record) {}, 8, false, false},
		"ended":             {func(r *account.Record) { r.Ended = now }, 7, false, false},
		"expired":           {func(r *account.Record) { r.Expires = now }, 7, false, false},
		"idle":              {func(r *account.Record) { r.Used.At = ago(2 * time.Hour) }, 7, false, true},
		"never used":        {func(r *account.Record) { r.Used.At = time.Time{} }, 7, false, true},
		"policy is shorter": {func(r *account.Record) { r.Created = ago(10 * time.Hour) }, 7, false, true},
		"month":             {func(r *account.Record) { r.Created = ago(30 * 24 * time.Hour) }, 7, false, false},
	} {
		r := fine
		c.change(&r)
		a := &account.Account{State: account.State{Epoch: 7}}
		s, d := session.Session{Epoch: c.epoch}, session.Device{Epoch: c.epoch}
		if got := s.Alive(a, &r, eff, now); got != c.session {
			t.Errorf("session, %s: %v", name, got)
		}
		if got := d.Trusted(a, &r, eff, now); got != c.device {
			t.Errorf("device, %s: %v", name, got)
		}
	}
	eff.TrustedDeviceDays = 0
	if (&session.Device{Epoch: 7}).Trusted(&account.Account{State: account.State{Epoch: 7}}, &fine, eff, now) {
		t.Error("trusted though policy trusts none")
	}
}

// Bodies as earlier versions wrote them can be read.
func TestGoldenBodies(t *testing.T) {
	s := session.Session{Epoch: 7, Client: "roundcube", Strong: true, Via: "totp:x", Links: [][]byte{{1}}}
	d := session.Device{Epoch: 7, Via: "totp:x"}
	for golden, c := range map[string]struct {
		value  any
		decode func([]byte) (any, error)
	}{
		"a501070269726f756e646375626503f50466746f74703a7805814101": {s, func(b []byte) (any, error) { return session.Decode(b) }},
		"a201070266746f74703a78":                                   {d, func(b []byte) (any, error) { return session.DecodeDevice(b) }},
	} {
		want, err := hex.DecodeString(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := account.Encode(c.value); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%T is written as %x, %v", c.value, got, err)
		}
		if back, err := c.decode(want); err != nil || !reflect.DeepEqual(back, c.value) {
			t.Errorf("%+v, %v", back, err)
		}
	}
}
