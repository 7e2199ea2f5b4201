package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/login"
)

// try USER PASSWORD SERVICE ADDRESS SESSION: a login as a door asks for it, decided and
// recorded by the real gate on the site's configuration. USER may be an alias.
func try(ts *testscript.TestScript, _ bool, args []string) {
	cfg, err := app.Load(siteOf(ts).Path)
	ts.Check(err)
	store, ring, err := cfg.OpenStore(account.RoleDoor)
	ts.Check(err)
	defer store.Close()
	audit, err := cfg.OpenAudit(func(err error) { ts.Check(err) })
	ts.Check(err)
	defer audit.Close()
	settings, err := cfg.LoginSettings()
	ts.Check(err)
	settings.DenialTime = 0
	gate := login.New(login.Parts{Store: store, Prover: ring, Recorder: audit, Tickets: ring, Now: time.Now}, settings)
	gate.Mail(context.Background(), login.Attempt{User: args[0], Password: account.SecretString(args[1]), Service: account.ParseService(args[2]),
		Client: netip.MustParseAddr(args[3]), Session: args[4], Mech: "PLAIN", Agent: "a phone", Door: "test"})
	gate.Close(context.Background())
}
