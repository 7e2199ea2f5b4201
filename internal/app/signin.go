package app

import (
	"net/url"
	"runtime"
	"time"

	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/login"
	"postern/internal/seal"
	"postern/internal/web"
	"postern/ldapstore"
)

// OpenSignIn builds webmail's sign-in on what decides logins and what changes
// accounts. The ring has the keys of all roles.
func (c *Config) OpenSignIn(gate *login.Gate, d *desk.Desk, ring *seal.Ring) *login.SignIn {
	backup := factor.NewBackupFactor(runtime.GOMAXPROCS(0))
	return login.NewSignIn(login.SignInParts{
		Gate: gate, Tokens: ring, Signer: ring, Desk: d,
		Factors:   []factor.Factor{factor.TOTPFactor{}, backup},
		NewBackup: backup.NewCodes,
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
	spool, err := effect.OpenSpool(c.Sessions.Spool)
	if err == nil {
		err = spool.Writable()
	}
	if err != nil {
		return nil, err
	}
	return effect.Fanout{r, &effect.SpoolRecorder{Spool: spool, Names: store.Names, Failed: failed}}, nil
}

// OpenPages reads templates, texts and brands of the hosted pages.
func (c *Config) OpenPages() (*web.Pages, error) {
	u, err := url.Parse(c.Webhook.PublicURL)
	if err != nil {
		return nil, err
	}
	return web.New(web.Options{Base: u.Path, HTTPS: u.Scheme == "https"})
}
