package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

func (c *ctl) statusCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{Use: "status [USER]", Short: "Two-factor login of one account, of a domain, or of all that have records",
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && domain != "":
				return usagef("give either a user or --domain")
			case len(args) == 1:
				return c.command(command{run: c.statusOne}).RunE(cmd, args)
			default:
				return c.statusAll(cmd.Context(), domain)
			}
		}}
	cmd.Flags().StringVar(&domain, "domain", "", "only accounts of this `domain`")
	return cmd
}

func (c *ctl) statusOne(ctx context.Context, d *desk.Desk, args []string) error {
	c.sayOff(ctx)
	s, err := d.Show(ctx, args[0])
	if err != nil {
		return err
	}
	return c.statuses([]desk.Summary{s})
}

func (c *ctl) statusAll(ctx context.Context, domain string) error {
	_, store, err := c.open(allRoles...)
	if err != nil {
		return err
	}
	c.sayOff(ctx)
	var list []desk.Summary
	err = store.Each(ctx, func(a *account.Account) error {
		if domain == "" || strings.EqualFold(a.Domain, domain) {
			list = append(list, desk.Summarize(a, time.Now()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b desk.Summary) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name))
	})
	c.say("%d accounts with records of Postern", len(list))
	return c.statuses(list)
}

func (c *ctl) statuses(list []desk.Summary) error {
	all := make([]object, 0, len(list))
	rows := make([][]string, 0, len(list))
	for i := range list {
		s := &list[i]
		all = append(all, summary(s))
		rows = append(rows, []string{cmp.Or(s.Name, string(s.ID)), twoFactorText(s), strconv.Itoa(s.Authenticators), strconv.Itoa(s.AppPasswords), used(s.LastUse), statusText(s)})
	}
	return c.table(object{"accounts": all}, "MAILBOX,2FA,AUTHENTICATORS,APP PASSWORDS,LAST USED,STATUS", rows)
}

func summary(s *desk.Summary) object {
	o := object{"user": s.Name, "domain": s.Domain, "status": s.Status, "two_factor": s.TwoFactor,
		"authenticator_count": s.Authenticators, "passkey_count": s.Passkeys, "app_password_count": s.AppPasswords,
		"session_count": s.Sessions, "trusted_device_count": s.Devices, "backup_codes": s.BackupCodes}
	if s.Class != "" {
		o["class"] = s.Class
	}
	if s.Cause != "" {
		o["cause"] = s.Cause
	}
	if s.Damage != nil {
		o["damage"] = s.Damage.Error()
	}
	o.addUse(s.LastUse)
	return o
}

var twoFactorTexts = map[string]string{
	desk.TwoFactorOff: "off", desk.TwoFactorOn: "on", desk.TwoFactorMustEnrol: "must enrol",
	desk.TwoFactorRequired: "required, not enrolled", desk.TwoFactorUnreadable: "unreadable",
}

func twoFactorText(s *desk.Summary) string {
	text := twoFactorTexts[s.TwoFactor]
	if s.Damage != nil {
		text += " (" + s.Damage.Error() + ")"
	}
	return text
}

func statusText(s *desk.Summary) string {
	if s.Cause == "" {
		return s.Status
	}
	return s.Status + " (" + s.Cause + ")"
}
