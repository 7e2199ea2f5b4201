// Command webhook is the daemon beside webmail. Webmail calls its hook API with
// what was typed into its login form, and sends the browser on to its pages where
// the second factor is asked for, enrolled, and looked after. It decides nothing
// itself (package login does) and draws nothing itself (package web does).
//
// Two kinds of callers come in by the same listeners and never mix:
//
//   - webmail, at /v1/, with a key of its own (client.go, api*.go, openapi.yaml);
//   - browsers, below the path of webhook.public_url, through the site's own web
//     server (pages.go and the files of each page).
//
// What a page needs from one request to the next travels in its form, sealed, so
// any number of webhooks may serve one login.
package main

import (
	"context"
	"log/slog"
	"os"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/daemon"
)

// version is set by the linker (Makefile).
var version = "dev"

func main() { os.Exit(program().Main()) }

func program() daemon.Program {
	return daemon.Program{Name: "webhook", Version: version, Check: check,
		Open: func(cfg *app.Config, log *slog.Logger) (daemon.Server, error) { return open(cfg, log) }}
}

// roles are the keys that the webhook has: it checks factors and signs tickets.
var roles = []string{account.RoleDoor, account.RoleFactor, account.RoleTicket}

// check is -check.
func check(ctx context.Context, cfg *app.Config) []error {
	errs := configProblems(cfg)
	_, err := cfg.LoginSettings()
	errs = append(errs, err)
	_, err = loadCertificate(cfg)
	errs = append(errs, err)
	_, err = openPages(cfg)
	errs = append(errs, err)
	_, err = cfg.OpenSpool()
	errs = append(errs, checkPlugins(ctx, cfg)...)
	return append(errs, err, cfg.CheckMails(), cfg.CheckAuthSocket(ctx), daemon.CheckStore(ctx, cfg, roles...))
}
