// Command posternctl is the administrator's command: keys, authenticators, app
// passwords and the state of accounts.
//
// It reads the same configuration as the daemons, holds the keys of both roles,
// and makes every change at package desk, which audits it. What a command was asked
// for goes to standard output, alone, so that $(posternctl app-password create …) is
// the password; everything said to a person goes to standard error. With --json the
// output is one object.
//
// Secrets are never taken from flags, which other users of the machine can see, but
// from --secret-file FILE or standard input.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/harden"
	"postern/ldapstore"
)

// version is set by the linker (Makefile).
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	harden.NoCoreFiles()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes; 67 and 75 are EX_NOUSER and EX_TEMPFAIL of sysexits(3).
const (
	exitDone        = 0
	exitFailed      = 1 // refused or failed
	exitUsage       = 2
	exitNoUser      = 67
	exitUnavailable = 75
)

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &ctl{in: stdin, out: stdout, err: stderr}
	defer c.close()
	root := c.root()
	root.SetArgs(normalize(args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if code, ok := exitOfFindings(err); ok {
		return code // the report says all
	}
	code := c.exitCode(err)
	fmt.Fprintf(stderr, "posternctl: %s\n", c.line(err))
	if code == exitUsage {
		fmt.Fprintf(stderr, "Usage: %s\nSee: %s --help\n", cmd.UseLine(), cmd.CommandPath())
	}
	return code
}

// normalize lets the flags that every program of Postern has be written with one
// dash, too. What follows "--" is left alone.
func normalize(args []string) []string {
	out := make([]string, 0, len(args))
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		name, _, _ := strings.Cut(a, "=")
		switch name {
		case "-config", "-check", "-version", "-json", "-help":
			a = "-" + a
		}
		out = append(out, a)
	}
	return out
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode maps every error to a code, once. What fails before a command begins is
// a mistake in how it was called.
func (c *ctl) exitCode(err error) int {
	var (
		usage usageError
		setup *ldapstore.SetupError
	)
	switch {
	case errors.As(err, &usage) || !c.began:
		return exitUsage
	case errors.As(err, &setup): // trying again later would not help
		return exitFailed
	case errors.Is(err, account.ErrUnknown):
		return exitNoUser
	case errors.Is(err, account.ErrUnavailable), errors.Is(err, desk.ErrBusy),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	default:
		return exitFailed
	}
}

// line is the one line that an error is told in.
func (c *ctl) line(err error) string {
	var setup *ldapstore.SetupError
	if errors.As(err, &setup) {
		return setup.Problem
	}
	text := err.Error()
	if errors.Is(err, account.ErrUnknown) && c.user != "" {
		text = fmt.Sprintf("no such user: %s (the name is looked up by directory.user_filter in %s)", c.user, c.configPath)
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}
