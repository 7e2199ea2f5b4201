package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/session"
)

// webmail MAIL session|device ID VIA: a session or trusted device as webmail's sign-in
// makes them, from 192.0.2.7.
func webmail(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	cfg, err := app.Load(siteOf(ts).Path)
	ts.Check(err)
	store, _, err := cfg.OpenStore(allRoles...)
	ts.Check(err)
	defer store.Close()
	a, err := store.Find(ctx, args[0])
	ts.Check(err)
	var body any = session.Session{Epoch: a.Epoch(), Client: "roundcube", Strong: args[3] != "main", Via: args[3]}
	r := account.Record{Kind: account.KindSession, ID: args[2]}
	if args[1] == "device" {
		r.Kind, r.Name, body = account.KindDevice, "Firefox", session.Device{Epoch: a.Epoch(), Via: args[3]}
	}
	now := time.Now()
	r.Created, r.Expires = now, now.Add(24*time.Hour)
	r.Used = account.Use{At: now, From: netip.MustParseAddr("192.0.2.7"), Agent: "Mozilla/5.0"}
	r.Body, err = account.Encode(body)
	ts.Check(err)
	ts.Check(store.Apply(ctx, a, account.Edit{Now: &r}))
}
