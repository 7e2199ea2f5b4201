// Command policyserver is the daemon beside Dovecot. checkpassword and the Lua
// passdb ask it about every login, on a unix socket or over TCP; it asks the
// directory and decides (package login). It holds the door key only: it can check
// app passwords but read no authenticator's secret.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/harden"
)

// version is set by the linker (Makefile).
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes; 78 is EX_CONFIG of sysexits(3), which the systemd unit does not
// restart on.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("policyserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", app.DefaultPath, "configuration `file`")
	check := flags.Bool("check", false, "check configuration, keys and directory, then exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "policyserver: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if *showVersion {
		fmt.Fprintln(stdout, "policyserver", version)
		return exitOK
	}
	harden.NoCoreFiles()
	tuneMemory()
	cfg, err := app.Load(*path)
	if err != nil {
		return report(stderr, err)
	}
	if *check {
		return checkAll(ctx, cfg, stdout, stderr)
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	s, err := open(cfg, logger)
	if err != nil {
		return report(stderr, err)
	}
	if err := s.serve(ctx); err != nil {
		return report(stderr, err)
	}
	return exitOK
}

func report(w io.Writer, err error) int {
	fmt.Fprintf(w, "policyserver: %v\n", err)
	if errors.Is(err, errRuntime) {
		return exitFailed
	}
	return exitConfig
}

// checkAll is -check: every problem that can be found without serving.
func checkAll(ctx context.Context, cfg *app.Config, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	code := exitOK
	fail := func(err error) {
		if err != nil {
			fmt.Fprintf(stderr, "policyserver: %v\n", err)
			code = exitConfig
		}
	}
	if cfg.Policyserver.Listen != "" {
		_, err := cfg.APIKey()
		fail(err)
	}
	_, err := peerUIDs(cfg.Policyserver.SocketUsers)
	fail(err)
	_, err = cfg.LoginSettings()
	fail(err)
	_, err = cfg.Doveadms()
	fail(err)
	store, ring, err := cfg.OpenStore(account.RoleDoor)
	fail(err)
	if err == nil {
		defer store.Close()
		if err := store.Diagnose(ctx); err != nil {
			fail(err)
		} else {
			values, err := store.KeyChecks(ctx)
			fail(err)
			if err == nil {
				fail(ring.Check(values))
			}
		}
	}
	if code == exitOK {
		fmt.Fprintf(stdout, "%s: the configuration is right, the directory answers, the keys fit\n", cfg.Path())
	}
	return code
}

// tuneMemory lets the heap, of which little lives longer than a request, grow to
// five times what does before it is collected, up to a limit: that saves an eighth of
// the processor time of a login for some 20 MB (docs/performance.md). Who sets GOGC or
// GOMEMLIMIT decides otherwise.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(512 << 20)
	}
}
