package login

import (
	"errors"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/policy"
)

// appPassword checks an app password against its own record, and nothing else.
// Until its verifier is right, every refusal is one of the first two reasons.
func (g *Gate) appPassword(a *Attempt, acct *account.Account, p factor.Presented, eff policy.Effective) Decision {
	rec, body, reason := openApp(acct, p)
	d := denied(reason)
	d.Credential = "app:" + p.ID
	if reason == "" {
		d.Reason, d.name = g.scope(a, &rec, &body, eff), rec.Name
	}
	if d.Reason == "" {
		d.Outcome = account.Granted
	}
	return d
}

func openApp(acct *account.Account, p factor.Presented) (account.Record, factor.AppPassword, Reason) {
	rec, body, reason := storedApp(acct, p.ID)
	if reason == "" && !body.Matches(p.Verifier) {
		reason = AppPasswordWrong
	}
	return rec, body, reason
}

// storedApp reads the record of an app password.
func storedApp(acct *account.Account, id string) (account.Record, factor.AppPassword, Reason) {
	rec, err := acct.Record(account.KindApp, id)
	if errors.Is(err, account.ErrNoRecord) {
		return rec, factor.AppPassword{}, AppPasswordUnknown
	}
	if err != nil {
		return rec, factor.AppPassword{}, Damaged
	}
	body, err := factor.DecodeAppPassword(rec.Body)
	if err != nil {
		return rec, body, Damaged
	}
	return rec, body, ""
}

// scope says why a right app password must not be used here and now.
func (g *Gate) scope(a *Attempt, rec *account.Record, body *factor.AppPassword, eff policy.Effective) Reason {
	now := g.now()
	switch {
	case !rec.Ended.IsZero():
		return AppPasswordRevoked
	case !rec.AppLive(eff, now):
		return AppPasswordExpired
	case !eff.AppPasswords:
		return AppPasswordsForbidden
	case !body.AllowsService(a.Service) || a.Service != account.Doveadm && !eff.AllowsService(string(a.Service)):
		return WrongService
	case !body.AllowsAddress(a.Client):
		return WrongNetwork
	}
	return ""
}
