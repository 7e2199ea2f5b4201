// Package daemon is what Postern's daemons have in common: a main with -config,
// -check and -version; sockets, made or passed in by systemd; an HTTP server with
// limits on everything; directory, keys, audit log, metrics and the limits on
// guessing, opened once; and the comparison of the keys with the directory's.
//
// A daemon is a Program. Its Open builds a Base and what it serves, and serving
// ends in order when it is told to stop: what was begun is answered first.
package daemon

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

	"postern/internal/app"
	"postern/internal/harden"
)

// Program is one daemon.
type Program struct {
	Name    string
	Version string
	// Open builds all that the daemon serves with; it needs no directory yet.
	Open func(*app.Config, *slog.Logger) (Server, error)
	// Check is -check: every problem that can be found without serving.
	Check func(context.Context, *app.Config) []error
}

// Server serves until ctx ends. Errors that a restart may mend wrap ErrRuntime.
type Server interface {
	Serve(ctx context.Context) error
}

// ErrRuntime marks errors that a restart may mend.
var ErrRuntime = errors.New("stopped")

// Exit codes; 78 is EX_CONFIG of sysexits(3), which the systemd units do not
// restart on.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78
)

// Main runs the program with the process's own arguments, until SIGTERM or SIGINT,
// and returns its exit code.
func (p Program) Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return p.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// Run is Main with everything from outside as an argument.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
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
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", p.Name, flags.Arg(0))
		return exitUsage
	}
	if *showVersion {
		fmt.Fprintln(stdout, p.Name, p.Version)
		return exitOK
	}
	harden.NoCoreFiles()
	TuneMemory()
	cfg, err := app.Load(*path)
	if err != nil {
		return p.report(stderr, err)
	}
	if *check {
		return p.check(ctx, cfg, stdout, stderr)
	}
	s, err := p.Open(cfg, slog.New(slog.NewTextHandler(stderr, nil)))
	if err == nil {
		err = s.Serve(ctx)
	}
	return p.report(stderr, err)
}

func (p Program) report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(w, "%s: %v\n", p.Name, err)
	if errors.Is(err, ErrRuntime) {
		return exitFailed
	}
	return exitConfig
}

func (p Program) check(ctx context.Context, cfg *app.Config, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	code := exitOK
	for _, err := range p.Check(ctx, cfg) {
		if err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
			code = exitConfig
		}
	}
	if code == exitOK {
		fmt.Fprintf(stdout, "%s: the configuration is right, the directory answers, the keys fit\n", cfg.Path())
	}
	return code
}

// CheckStore is the part of -check about the directory and the keys of the roles.
func CheckStore(ctx context.Context, cfg *app.Config, roles ...string) error {
	store, ring, err := cfg.OpenStore(roles...)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Diagnose(ctx); err != nil {
		return err
	}
	values, err := store.KeyChecks(ctx)
	if err != nil {
		return err
	}
	return ring.Check(values)
}

// TuneMemory lets the heap, of which little lives longer than a request, grow to
// five times what does before it is collected, up to a limit: that saves an eighth of
// the processor time of a login for some 20 MB (docs/performance.md). Who sets GOGC or
// GOMEMLIMIT decides otherwise.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(512 << 20)
	}
}
