package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/app"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/ldapstore"
)

func (c *ctl) sweepCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{Use: "sweep", Short: "Look through all accounts now: what is old, over, or not allowed any more", Args: cobra.NoArgs,
		Long: "Look through all accounts once, as policyserver and webhook do every now and then (sweep.every): delete what is\n" +
			"older than privacy.retention, and credentials that were over long enough; tell owners of app passwords that have\n" +
			"expired; end live sessions that policy does not allow any more, of 1000 accounts at a time, by a daemon on this\n" +
			"host. What is as it should be is not written. A sweep may be broken off, and run beside others.",
		Example: "  posternctl sweep --dry-run",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.sweep(cmd.Context(), dryRun) }}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and say what would be done")
	return cmd
}

func (c *ctl) sweep(ctx context.Context, dryRun bool) error {
	d, cfg, err := c.sweeper()
	if err != nil {
		return err
	}
	s, err := cfg.SweepOf()
	if err != nil {
		return err
	}
	s.DryRun = dryRun
	done, err := d.Sweep(ctx, c.actor(), d.Store.(*ldapstore.Store), s) //nolint:forcetypeassert // desk opened it
	files := 0
	if !dryRun {
		var purgeErr error
		files, purgeErr = cfg.PurgeSpools(time.Now())
		err = errors.Join(err, purgeErr)
	}
	return errors.Join(c.swept(&done, dryRun, files), err)
}

// sweeper is a desk whose changes leave live sessions to the daemon: there may be many.
func (c *ctl) sweeper() (*desk.Desk, *app.Config, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	d, err := c.desk()
	if err != nil {
		return nil, nil, err
	}
	store := d.Store.(*ldapstore.Store) //nolint:forcetypeassert // desk opened it
	recorder, err := c.recorder(cfg, systemLog)
	if err != nil {
		return nil, nil, err
	}
	ends, err := cfg.SessionRecorder(recorder, store, func(err error) { c.warn("live sessions: %v", err) })
	if err != nil {
		return nil, nil, err
	}
	d.Recorder = effect.Fanout{ends, c.mails(cfg, store, recorder)}
	return d, cfg, nil
}

func (c *ctl) swept(done *desk.Swept, dryRun bool, files int) error {
	did := "Looked through %d accounts. Done: %s"
	if dryRun {
		did = "Looked through %d accounts. To do: %s"
	}
	text := done.String()
	if text == "" {
		text = "nothing"
	}
	c.say(did+".", done.Accounts, text)
	if done.Unreadable > 0 {
		c.warn("accounts that cannot be read, and are left alone: %d (posternctl status lists them)", done.Unreadable)
	}
	if done.Busy > 0 {
		c.warn("accounts that others were changing: %d; the next sweep sees to them", done.Busy)
	}
	if done.Endings > 0 && !dryRun {
		c.say("Live sessions of %d accounts end now, by a daemon on this host.", done.Endings)
	}
	if done.Deferred > 0 {
		c.say("Live sessions of %d accounts more are left to the next sweep.", done.Deferred)
	}
	if !c.json {
		return nil
	}
	return c.print(object{"dry_run": dryRun, "accounts": done.Accounts, "changed": done.Changed, "unreadable": done.Unreadable, "busy": done.Busy,
		"happenings": done.Happenings, "main_password_uses": done.MainUses, "addresses": done.Uses, "browsers": done.Browsers, "known_devices": done.Known,
		"bypasses": done.Bypasses, "enrolment_tokens": done.Tokens, "removed": ended(done.Removed), "files": files,
		"app_passwords_stopped": done.Stopped, "sessions_ending": done.Endings, "deferred": done.Deferred})
}
