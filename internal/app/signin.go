package app

import (
	"slices"
	"time"

	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/seal"
	"postern/ldapstore"
)

// SignInParts are what webmail's sign-in stands on.
type SignInParts struct {
	Gate   *login.Gate
	Desk   *desk.Desk
	Ring   *seal.Ring // with the keys of all roles
	Backup *factor.BackupFactor
	// Passkeys is the factor of passkeys; nil: there are none. It comes from the webhook:
	// no other program has to contain what checks them.
	Passkeys factor.Factor
	Handles  login.Handles
	// Plugins are plug-in factors, which come from the webhook, too.
	Plugins []factor.Factor
}

// OpenSignIn builds webmail's sign-in.
func (c *Config) OpenSignIn(p SignInParts) *login.SignIn {
	factors := slices.Concat([]factor.Factor{factor.TOTPFactor{}}, p.Plugins, []factor.Factor{p.Backup})
	if p.Passkeys != nil {
		factors = append([]factor.Factor{p.Passkeys}, factors...) // what resists phishing comes first
	}
	return login.NewSignIn(login.SignInParts{
		Gate: p.Gate, Tokens: p.Ring, Signer: p.Ring, Desk: p.Desk,
		Factors: factors, NewBackup: p.Backup.NewCodes, Handles: p.Handles,
	}, login.SignInSettings{
		PublicURL:       c.Webhook.PublicURL,
		TicketLife:      time.Duration(c.Webhook.TicketLife),
		TransactionLife: time.Duration(c.Webhook.TransactionLife),
		Services:        c.TicketServices(),
		ReturnUser:      c.Login.ReturnUser,
	})
}

// SessionRecorder records, and writes into the spool what must end live sessions:
// the policyservers that share it tell Dovecot. failed hears what could not be
// written.
func (c *Config) SessionRecorder(r effect.Recorder, store *ldapstore.Store, failed func(error)) (effect.Recorder, error) {
	if !c.Sessions.On() {
		return r, nil
	}
	spool, err := c.OpenSpool()
	if err != nil {
		return nil, err
	}
	return effect.Fanout{r, &effect.SpoolRecorder{Spool: spool, Names: store.Names, Failed: failed}}, nil
}

// OpenSpool opens the spool of live sessions that must end, and sees that it can be
// written; nil where the site has not said how they end.
func (c *Config) OpenSpool() (*effect.Spool, error) {
	if !c.Sessions.On() {
		return nil, nil //nolint:nilnil // see above
	}
	spool, err := effect.OpenSpool(c.Sessions.Spool)
	if err != nil {
		return nil, err
	}
	return spool, spool.Writable()
}
