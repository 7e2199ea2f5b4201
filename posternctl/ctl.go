package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/ldapstore"
)

// timeout bounds one command, but for those that read the whole directory.
const timeout = 30 * time.Second

// ctl is one call of the command: its streams, global flags, and what was opened.
type ctl struct {
	in       io.Reader
	out, err io.Writer

	configPath           string
	json, quiet, noInput bool
	check, version       bool

	began   bool   // the command line was right
	user    string // of the account, as typed; for messages
	closers []func()
}

func (c *ctl) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "posternctl",
		Short: "Second factors and app passwords for mail",
		Long: "posternctl manages second factors and app passwords of mail accounts in an LDAP directory.\n" +
			"Data goes to standard output, messages to standard error; --json gives one JSON object.\n" +
			"Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 67 no such user, 75 temporarily unavailable.",
		SilenceUsage: true, SilenceErrors: true,
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { c.began = true; return nil },
		RunE:              c.rootCommand,
	}
	f := root.PersistentFlags()
	f.StringVar(&c.configPath, "config", app.DefaultPath, "configuration `file`")
	f.BoolVar(&c.json, "json", false, "print one JSON object")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "say nothing but warnings and errors")
	f.BoolVar(&c.noInput, "no-input", false, "never ask on the terminal")
	root.Flags().BoolVar(&c.check, "check", false, "check configuration, keys and directory, then exit")
	root.Flags().BoolVar(&c.version, "version", false, "print the version and exit")
	root.AddCommand(c.adminCommand(), c.keysCommand(), c.factorCommand(), c.totpCommand(), c.passkeyCommand(), c.backupCodesCommand(), c.appPasswordCommand(),
		c.sessionsCommand(), c.devicesCommand(), c.userCommand(),
		c.statusCommand(), c.policyCommand(), c.reportCommand(), c.mechanismCommand(), c.configCommand(),
		c.doctorCommand(), c.setupCommand(), c.offCommand(), c.onCommand(), c.backupCommand(), c.leaversCommand(), c.sweepCommand(), c.bypassCommand(), c.revokeCommand(), c.explainCommand())
	root.AddCommand(c.referenceCommand())
	illustrate(root)
	return root
}

func (c *ctl) rootCommand(cmd *cobra.Command, _ []string) error {
	switch {
	case c.version:
		return c.print(object{"version": version}, "posternctl "+version)
	case c.check:
		return c.checkAll(cmd.Context())
	default:
		return usagef("name a command")
	}
}

// group is a command that only has commands below it.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		return usagef("%s: name what to do: posternctl %s --help lists it", name, name)
	}}
	g.AddCommand(commands...)
	return g
}

// command is one that is run with the desk open: use names its arguments, of which
// there must be from least to most.
type command struct {
	use, short  string
	least, most int
	run         func(ctx context.Context, d *desk.Desk, args []string) error
}

func (c *ctl) command(s command) *cobra.Command {
	return &cobra.Command{Use: s.use, Short: s.short, Args: between(s.least, s.most),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			if len(args) > 0 {
				c.user = printable(args[0])
			}
			d, err := c.desk()
			if err != nil {
				return err
			}
			return s.run(ctx, d, args)
		}}
}

// between refuses a wrong number of arguments; run shows which there must be.
func between(least, most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("something is missing")
		case len(args) > most:
			return usagef("%d arguments are too many", len(args))
		}
		return nil
	}
}

// close ends what was opened, the last first.
func (c *ctl) close() {
	for _, f := range slices.Backward(c.closers) {
		f()
	}
}

func (c *ctl) load() (*app.Config, error) { return app.Load(c.configPath) }

func (c *ctl) open(roles ...string) (*app.Config, *ldapstore.Store, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	store, _, err := cfg.OpenStore(roles...)
	if err != nil {
		return nil, nil, err
	}
	c.closers = append(c.closers, store.Close)
	return cfg, store, nil
}

// desk opens all that a change needs, and sees to what follows from it: sessions end,
// owners are told.
func (c *ctl) desk() (*desk.Desk, error) {
	d, cfg, err := c.bareDesk()
	if err != nil {
		return nil, err
	}
	d.Recorder = effect.Fanout{d.audit, c.sessions(cfg, d.store), c.mails(cfg, d.store, d.audit)}
	return &d.Desk, nil
}

// quietDesk is desk for the canary: nobody reads its mail, and its sessions are doctor's.
func (c *ctl) quietDesk() (*desk.Desk, error) {
	d, _, err := c.bareDesk()
	if err != nil {
		return nil, err
	}
	return &d.Desk, nil
}

// bareDesk is a desk that writes the audit log and does no more.
type bareDesk struct {
	desk.Desk
	store *ldapstore.Store
	audit effect.Recorder
}

// bareDesk compares the keys with the directory first: a record sealed with a wrong one
// could be read by nobody else.
func (c *ctl) bareDesk() (*bareDesk, *app.Config, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	store, ring, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor)
	if err != nil {
		return nil, nil, err
	}
	c.closers = append(c.closers, store.Close)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	known, err := store.KeyChecks(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := ring.Check(known); err != nil {
		return nil, nil, err
	}
	audit, err := c.recorder(cfg, systemLog)
	if err != nil {
		return nil, nil, err
	}
	return &bareDesk{desk.Desk{Store: store, Recorder: audit, Now: time.Now}, store, audit}, cfg, nil
}

// actor is who the audit log says did it.
func (c *ctl) actor() desk.Actor {
	name := fmt.Sprintf("uid %d", os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name = "posternctl " + name + "@" + host
	if sudo := os.Getenv("SUDO_USER"); sudo != "" {
		name += " (sudo " + sudo + ")"
	}
	return desk.Root(name)
}

// printable is text from the command line as a message may repeat it: without
// control characters, and not at all if it looks like a credential.
func printable(s string) string {
	if factor.Classify(account.SecretString(s)).Shape != factor.Main {
		return "[looks like a credential]"
	}
	return effect.Clean(s)
}

// checkAll is -check: every problem that can be found.
func (c *ctl) checkAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cfg, err := c.load()
	if err != nil {
		return err
	}
	store, ring, err := cfg.OpenStore(account.RoleDoor, account.RoleFactor)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Diagnose(ctx); err != nil {
		return err
	}
	known, err := store.KeyChecks(ctx)
	if err != nil {
		return err
	}
	if err := ring.Check(known); err != nil {
		return err
	}
	if _, err := cfg.Doveadms(); err != nil {
		return err
	}
	return c.print(object{"config": cfg.Path(), "ok": true},
		cfg.Path()+": the configuration is right, the directory answers, the keys fit")
}
