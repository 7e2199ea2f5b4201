package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/desk"
)

// revocation is a run of the command revoke.
type revocation struct {
	ctl         *ctl
	since, user string
	all         bool
	from        time.Time // since, the same for all accounts of a run
}

func (c *ctl) revokeCommand() *cobra.Command {
	r := &revocation{ctl: c}
	m := &many{ctl: c, at: 0, about: r.about,
		one: command{"revoke USER", "End what was made or used since a time, after credentials have leaked", 1, 1, r.run}}
	cmd := c.manyOf(m)
	cmd.Long = "End app passwords, webmail sessions and trusted devices that were made or used since a time, and remove second\n" +
		"factors and backup codes that were made since then. What is older and was not used goes on. Two-factor login stays\n" +
		"on; an account without a factor left must enrol anew. A use counts from an hour before, as uses are written down\n" +
		"once an hour.\n" + manyHelp
	cmd.Example = "  posternctl revoke --since 36h --user ada@example.test\n" +
		"  posternctl revoke --since 2027-01-31T08:00:00Z --all --dry-run"
	f := cmd.Flags()
	f.StringVar(&r.since, "since", "", "`when` it began: 36h, 7d, 2027-01-31 (local time), or RFC 3339 (required)")
	f.StringVar(&r.user, "user", "", "the `account`, in place of USER")
	f.BoolVar(&r.all, "all", false, "all accounts")
	checked, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := r.read(m, args); err != nil {
			return err
		}
		return checked(cmd, r.named(args))
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return run(cmd, r.named(args)) }
	return cmd
}

// named puts --user where USER belongs.
func (r *revocation) named(args []string) []string {
	if r.user == "" {
		return args
	}
	return append([]string{r.user}, args...)
}

// read makes of the flags what the command needs.
func (r *revocation) read(m *many, args []string) (err error) {
	switch {
	case r.since == "":
		return usagef("--since is needed: when it began")
	case r.all && (m.asked() || r.user != "" || len(args) > 0):
		return usagef("--all stands alone")
	case r.user != "" && m.asked():
		return usagef("give either --user, or many accounts")
	case r.all:
		m.filter = "(objectClass=*)"
	}
	if r.from, err = parseSince(r.since, time.Now()); err != nil {
		return usagef("%w", err)
	}
	return nil
}

// about keeps notes of one time apart from those of another. What counts from now would
// be another time when the run goes on.
func (r *revocation) about() (string, error) {
	if _, _, err := ago(r.since); err == nil {
		return "", usagef("with --resume, --since must be a date or a time: %s is another time tomorrow", printable(r.since))
	}
	return "since " + stamp(r.from), nil
}

func (r *revocation) run(ctx context.Context, d *desk.Desk, args []string) error {
	done, err := d.RevokeSince(ctx, r.ctl.actor(), args[0], r.from)
	if err != nil {
		return err
	}
	r.ctl.say("Ended for %s, made or used since %s: %s.", done.User, when(r.from, ""), done.Ended)
	if done.MustEnrol {
		r.ctl.warn("%s has no second factor left: two-factor login stays on, and its owner must enrol anew", done.User)
	}
	o := object{"user": done.User, "since": stamp(r.from), "app_passwords_left": done.AppPasswords, "ended": ended(done.Ended),
		"factors_left": done.Factors, "must_enrol": done.MustEnrol}
	return r.ctl.printWithToken(o, done.User, done.Token)
}
