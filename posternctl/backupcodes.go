package main

import (
	"context"

	"github.com/spf13/cobra"

	"postern/internal/desk"
	"postern/internal/factor"
)

func (c *ctl) backupCodesCommand() *cobra.Command {
	return group("backup-codes", "Backup codes, for who has lost the second factor",
		c.many(0, command{"new USER", "Make new backup codes and print them, once; the older ones are void", 1, 1, c.newBackupCodes}))
}

func (c *ctl) newBackupCodes(ctx context.Context, d *desk.Desk, args []string) error {
	made, err := factor.NewBackupFactor(1).NewCodes(ctx)
	if err != nil {
		return err
	}
	if _, err := d.NewBackupCodes(ctx, c.actor(), args[0], made.Body); err != nil {
		return err
	}
	codes := make([]string, 0, len(made.Codes))
	for _, code := range made.Codes {
		codes = append(codes, string(code.Reveal()))
	}
	c.say("New backup codes for %s; older ones are void. Each works once at webmail, in place of the second factor. They are shown only now.", args[0])
	return c.print(object{"user": args[0], "backup_codes": codes}, codes...)
}
