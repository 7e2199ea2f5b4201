package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/session"
)

// DeviceCookie is the cookie of a browser that its user trusts. Its name differs by
// account, so that people who share a browser do not take each other's.
type DeviceCookie struct {
	Name    string
	Value   string
	Expires time.Time
}

// device is the cookie's content: worthless unless the account has a record of that
// id, begun in the same epoch.
type device struct {
	Account account.ID `cbor:"1,keyasint"`
	ID      string     `cbor:"2,keyasint"`
	Epoch   int64      `cbor:"3,keyasint,omitempty"`
}

// DeviceCookieName is the name of the account's cookie, without the __Host- prefix.
func DeviceCookieName(id account.ID) string {
	sum := sha256.Sum256([]byte("device cookie " + string(id)))
	return "postern-device-" + hex.EncodeToString(sum[:4])
}

func (s *SignIn) deviceCookie(a *account.Account, days int, epoch int64) (*DeviceCookie, string, error) {
	id := account.NewID()
	life := time.Duration(days) * 24 * time.Hour
	value, err := s.seal(purposeDevice, life, device{Account: a.ID, ID: id, Epoch: epoch})
	return &DeviceCookie{Name: DeviceCookieName(a.ID), Value: value, Expires: s.now().Add(life)}, id, err
}

// TrustedDevice is the id of the account's device that a cookie stands for, trusted or
// not any more; empty: of none.
func (s *SignIn) TrustedDevice(id account.ID, cookie string) string {
	var d device
	if s.open(purposeDevice, cookie, &d) != nil || d.Account != id {
		return ""
	}
	return d.ID
}

// Trusted answers for a browser that its user trusts: with the password, that is
// enough at webmail, and nowhere else. Anything but Granted means: ask for a factor.
func (s *SignIn) Trusted(_ context.Context, v *Visit, cookie string) Answer {
	if cookie == "" || v.t.Stage != stageFactor || v.Policy.TrustedDeviceDays == 0 || s.mustRenew(&v.person) {
		return turnedDown(FactorMissing)
	}
	var d device
	if s.open(purposeDevice, cookie, &d) != nil || d.Account != v.Account.ID {
		return turnedDown(FactorMissing)
	}
	if _, reason := s.device(v.person, d.ID, d.Epoch); reason != "" {
		return turnedDown(reason)
	}
	return s.answered(v, code{Device: d.ID, Epoch: v.t.Epoch}, false)
}

// device is the record of a trusted device, if it still is one.
func (s *SignIn) device(p person, id string, epoch int64) (account.Record, Reason) {
	r, err := p.Account.Record(account.KindDevice, id)
	if err != nil {
		return r, FactorMissing
	}
	body, err := session.DecodeDevice(r.Body)
	switch {
	case err != nil:
		return r, Damaged
	case body.Epoch != epoch, !body.Trusted(p.Account, &r, p.Policy, s.now()):
		return r, FactorMissing
	}
	return r, ""
}

// useDevice notes the device's use along with the session.
func (s *SignIn) useDevice(t *transaction, c *code, p person) ([]account.Edit, Reason) {
	was, reason := s.device(p, c.Device, p.Account.Epoch())
	if reason != "" {
		return nil, reason
	}
	now := was
	now.Used = account.Use{At: s.now(), Service: Webmail, From: t.Addr, Agent: t.Agent}
	return []account.Edit{{Was: &was, Now: &now}}, ""
}

// trust adds the browser to the trusted ones, if it was asked for.
func (s *SignIn) trust(t *transaction, c *code, p person, edits []account.Edit) []account.Edit {
	if c.Trust == "" || p.Policy.TrustedDeviceDays == 0 {
		return edits
	}
	body, err := account.Encode(session.Device{Epoch: p.Account.Epoch(), Via: account.Credential(c.Proof.Kind, c.Proof.ID)})
	if err != nil {
		return edits // signing in goes before remembering
	}
	now := s.now()
	return append(edits, account.Edit{Now: &account.Record{
		Kind: account.KindDevice, ID: c.Trust, Name: t.Agent, Created: now,
		Expires: now.Add(time.Duration(p.Policy.TrustedDeviceDays) * 24 * time.Hour),
		Used:    account.Use{At: now, Service: Webmail, From: t.Addr, Agent: t.Agent}, Body: body,
	}})
}

// noteTrusted is the event of a browser that is trusted from now on.
func (s *SignIn) noteTrusted(t *transaction, p person, c *code) {
	if c.Trust != "" {
		s.event(effect.DeviceTrusted, t, p.Account, effect.Event{Outcome: "done", Credential: account.Credential(account.KindDevice, c.Trust)})
	}
}
