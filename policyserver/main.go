// Command policyserver is the daemon beside Dovecot. checkpassword and the Lua
// passdb ask it about every login, on a unix socket or over TCP; it asks the
// directory and decides (package login). It holds the door key and the public half of
// the ticket key only: it can check app passwords and webmail's tickets, but read no
// authenticator's secret and make no ticket.
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
	return daemon.Program{Name: "policyserver", Version: version, Check: check,
		Open: func(cfg *app.Config, log *slog.Logger) (daemon.Server, error) { return open(cfg, log) }}
}

// check is -check.
func check(ctx context.Context, cfg *app.Config) []error {
	var errs []error
	if cfg.Policyserver.Listen != "" {
		_, err := cfg.APIKey()
		errs = append(errs, err)
	}
	_, err := peerUIDs(cfg.Policyserver.SocketUsers)
	errs = append(errs, err)
	_, err = cfg.LoginSettings()
	errs = append(errs, err)
	_, err = cfg.Doveadms()
	errs = append(errs, err, cfg.CheckMails())
	if cfg.Login.MainPassword == app.MainByDovecot { // with "next" only webmail asks
		errs = append(errs, cfg.CheckAuthSocket(ctx))
	}
	return append(errs, daemon.CheckStore(ctx, cfg, account.RoleDoor))
}
