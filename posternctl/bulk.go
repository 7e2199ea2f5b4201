package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

// many is a command about one account, run for many, one after another: those of a file,
// of a filter, or of a domain, in place of USER.
type many struct {
	ctl *ctl
	one command
	at  int // which argument USER is

	users, filter, domain string // which accounts
	resume                string
	about                 func() (string, error) // what the notes of a run belong to besides the arguments; may be nil
	dryRun                bool
	confirm               int
}

const (
	manyHelp = `
For many accounts, leave USER out and give --users, --filter or --domain. --dry-run lists the accounts. Nothing is
changed before their number was confirmed, by --confirm or at the terminal. An account that fails does not stop the
others; a directory that does not answer does (exit code 75). With --resume the same command goes on where it stopped.`
	manyUsers = "Of the level user many accounts can be changed at once: leave the name out, and give --users, --filter or\n" +
		"--domain, with the number of accounts as --confirm, after a look with --dry-run.\n"
)

// many is the command, of which USER is the argument at, for one account or many.
func (c *ctl) many(at int, s command) *cobra.Command {
	return c.manyOf(&many{ctl: c, one: s, at: at})
}

func (c *ctl) manyOf(m *many) *cobra.Command {
	s, at := m.one, m.at
	cmd := c.command(s)
	single := cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if m.asked() {
			return between(s.least-1+at, s.most-1)(cmd, args)
		}
		return between(s.least, s.most)(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !m.asked() {
			if m.dryRun || m.resume != "" || cmd.Flags().Changed("confirm") {
				return usagef("--dry-run, --confirm and --resume are for many accounts: --users, --filter, --domain")
			}
			return single(cmd, args)
		}
		return m.run(cmd.Context(), args)
	}
	cmd.Long = s.short + "." + manyHelp
	f := cmd.Flags()
	f.StringVar(&m.users, "users", "", "`file` with a name a line, of many accounts; - reads standard input")
	f.StringVar(&m.filter, "filter", "", "all accounts that an LDAP `filter` matches, beside directory.user_filter")
	f.StringVar(&m.domain, "domain", "", "all accounts of a `domain`, or of those that --filter matches")
	f.BoolVar(&m.dryRun, "dry-run", false, "list the accounts and change none")
	f.IntVar(&m.confirm, "confirm", -1, "the `number` of accounts, which must be right")
	f.StringVar(&m.resume, "resume", "", "`file` to note the finished accounts in, which are left out next time")
	return cmd
}

func (m *many) asked() bool { return m.users != "" || m.filter != "" || m.domain != "" }

func (m *many) run(ctx context.Context, args []string) error {
	if m.users != "" && (m.filter != "" || m.domain != "") {
		return usagef("give either --users, or --filter and --domain")
	}
	if m.at > 0 && args[0] != levelUser {
		return usagef("many accounts at once are of the level user: %s", m.one.use)
	}
	d, err := m.ctl.desk()
	if err != nil {
		return err
	}
	chosen, err := m.choose(ctx, d)
	if err != nil {
		return err
	}
	if m.dryRun {
		return m.ctl.listChosen(chosen)
	}
	title, err := m.title(args)
	if err != nil {
		return err
	}
	notes, err := openNotes(m.resume, title)
	if err != nil {
		return err
	}
	defer notes.close()
	if err := m.ctl.confirmed(m.confirm, len(chosen.accounts), m.users == "-"); err != nil {
		return err
	}
	return m.each(ctx, d, &work{chosen: chosen, notes: notes, args: args})
}

// title is what the notes of a run belong to: they must not be taken for another's.
func (m *many) title(args []string) (string, error) {
	title := fmt.Sprintf("%s %q", m.one.use, args)
	if m.about == nil || m.resume == "" {
		return title, nil
	}
	about, err := m.about()
	return title + " " + about, err
}

// work is what there is to do in a run.
type work struct {
	chosen chosen
	notes  *notes
	args   []string
}

// each does it for one account after another. An interrupt waits for the account that is
// in hand: what became of it would not be known.
func (m *many) each(ctx context.Context, d *desk.Desk, w *work) error {
	t := m.ctl.tally("accounts", len(w.chosen.accounts))
	for _, p := range w.chosen.problems {
		t.failed(object{"user": p.name, "line": p.line}, p.err)
	}
	for _, target := range w.chosen.accounts {
		if w.notes.has(target.id) {
			t.skip()
			continue
		}
		if err := ctx.Err(); err != nil {
			return t.stop(err)
		}
		o, err := m.single(ctx, d, target.name, w.args)
		if errors.Is(err, account.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.failed(o, err)
			return t.stop(err)
		}
		t.result(o, err)
		if err == nil || errors.Is(err, desk.ErrNothing) {
			if err := w.notes.add(target); err != nil {
				return t.stop(fmt.Errorf("--resume: %w", err))
			}
		}
	}
	return t.end()
}

// single runs the command for one of many.
func (m *many) single(ctx context.Context, d *desk.Desk, user string, args []string) (object, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	full := append(append(append([]string{}, args[:m.at]...), user), args[m.at:]...)
	m.ctl.user = printable(user)
	o, err := m.ctl.captured(func() error { return m.one.run(ctx, d, full) })
	o["user"] = user
	return o, err
}

// progressPause is how often progress is told.
const progressPause = time.Second
