package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/desk"
	"postern/ldapstore"
)

func (c *ctl) sweepCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{Use: "sweep", Short: "Delete now what privacy.retention limits, and what is over", Args: cobra.NoArgs,
		Long: "Look through all accounts once, as policyserver and webhook do every now and then (sweep.every), and delete what is\n" +
			"older than privacy.retention, and credentials that were over long enough. What is as it should be is not written.\n" +
			"A sweep may be broken off, and run beside others.",
		Example: "  posternctl sweep --dry-run",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.sweep(cmd.Context(), dryRun) }}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and say what would be done")
	return cmd
}

func (c *ctl) sweep(ctx context.Context, dryRun bool) error {
	d, err := c.desk()
	if err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	s := cfg.SweepOf()
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
	if !c.json {
		return nil
	}
	return c.print(object{"dry_run": dryRun, "accounts": done.Accounts, "changed": done.Changed, "unreadable": done.Unreadable, "busy": done.Busy,
		"happenings": done.Happenings, "main_password_uses": done.MainUses, "addresses": done.Uses, "browsers": done.Browsers,
		"bypasses": done.Bypasses, "enrolment_tokens": done.Tokens, "removed": ended(done.Removed), "files": files})
}
