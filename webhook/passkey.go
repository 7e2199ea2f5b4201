package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/passkey"
	"postern/internal/seal"
	"postern/internal/web"
	"postern/ldapstore"
)

// openPasskeys makes the factor of passkeys for the configured relying parties. There
// is none where the pages' host is an address: browsers want a name (WebAuthn level 3,
// section 5.1.2).
func openPasskeys(cfg *app.Config, ring *seal.Ring) (factor.Factor, error) {
	own, domains := cfg.RelyingParties()
	if _, err := netip.ParseAddr(own.ID); err == nil {
		return nil, nil //nolint:nilnil // none
	}
	settings := passkey.Settings{Default: passkey.RelyingParty(own), AAGUIDs: cfg.Passkeys.AAGUIDs,
		Domains: make(map[string]passkey.RelyingParty)}
	for domain, rp := range domains {
		settings.Domains[domain] = passkey.RelyingParty(rp)
	}
	f, err := passkey.New(settings, ring)
	if err != nil {
		return nil, fmt.Errorf("%s: passkeys: %w", cfg.Path(), err)
	}
	return f, nil
}

// handles finds the account of a passkey that signs in alone.
type handles struct {
	ring  *seal.Ring
	store *ldapstore.Store
}

// ByHandle implements login.Handles.
func (h handles) ByHandle(ctx context.Context, handle []byte) (*account.Account, error) {
	id, err := h.ring.OpenHandle(handle)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, account.ErrUnknown)
	}
	return h.store.FindID(ctx, id)
}

// passkeyRow is a passkey as the security page lists it.
func passkeyRow(o *login.Owner, c web.Credential) web.PasskeyRow {
	row := web.PasskeyRow{Credential: c}
	r, err := o.Account.Record(account.KindPasskey, c.ID)
	if err != nil {
		return row
	}
	if body, err := factor.DecodePasskey(r.Body); err == nil {
		row.Key, row.Passwordless = body.Roaming, body.Passwordless
		row.MayPasswordless = o.Policy.Passwordless || body.Passwordless
	}
	return row
}

// signalled are the changes after which browsers are told what there is now. Not on
// every visit: a passkey that another tab has just made, and not stored yet, would be
// forgotten.
var signalled = []web.NoticeCode{web.DonePasskeyRemoved, web.DoneRenamed, web.DoneTwoFactorOff, web.DoneMethodAdded}

// signal is what password managers are told after a change, from the account as the
// write server has it; nil: nothing. Passkeys that cannot be read are there all the
// same, so then nothing is told: a manager would hide them.
func (t *turn) signal(o *login.Owner, n *web.Notice) *web.Signal {
	if n == nil || !slices.Contains(signalled, n.Code) || len(o.Account.State.Handle) == 0 {
		return nil
	}
	rp, domains := t.s.cfg.RelyingParties()
	if own, ok := domains[strings.ToLower(o.Account.Domain)]; ok {
		rp = own
	}
	s := &web.Signal{RPID: rp.ID, UserID: base64.RawURLEncoding.EncodeToString(o.Account.State.Handle),
		AcceptedIDs: []string{}, Name: o.Account.Name, DisplayName: o.Account.Name}
	records, err := o.Account.Records(account.KindPasskey)
	for i := range records {
		body, decodeErr := factor.DecodePasskey(records[i].Body)
		err = errors.Join(err, decodeErr)
		if body.RPID == rp.ID {
			s.AcceptedIDs = append(s.AcceptedIDs, base64.RawURLEncoding.EncodeToString(body.Credential))
		}
	}
	if err != nil {
		return nil
	}
	return s
}

// passwordlessPost switches on or off that a passkey may sign in alone.
func (t *turn) passwordlessPost() {
	on := t.field(web.FieldOn) == web.Yes
	t.carry(func(o *login.Owner) (web.Notice, error) {
		id := t.field(web.FieldID)
		key, err := o.Account.Record(account.KindPasskey, id)
		if err != nil {
			return web.Notice{}, err
		}
		n := web.Notice{Code: web.DonePasswordlessOff, Name: key.Name}
		if on {
			n.Code = web.DonePasswordlessOn
		}
		return n, t.s.desk.SetPasswordless(t.r.Context(), o.Actor(), o.Account.Name, id, on)
	})
}
