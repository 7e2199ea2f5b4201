package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

func (c *ctl) userCommand() *cobra.Command {
	return group("user", "Whole accounts",
		c.command(command{"show USER", "Show an account with its authenticators and app passwords", 1, 1, c.userShow}),
		c.command(command{"disable USER", "Switch two-factor login off; app passwords are kept", 1, 1, c.userDisable}),
		c.command(command{"reset USER", "End every factor, app password and session; the user must enrol anew", 1, 1, c.userReset}),
		c.command(command{"revoke-all USER", "End all app passwords, sessions and trusted devices; factors are kept", 1, 1, c.userRevokeAll}),
		c.userClass())
}

func (c *ctl) userShow(ctx context.Context, d *desk.Desk, args []string) error {
	s, err := d.Show(ctx, args[0])
	if err != nil {
		return err
	}
	apps, appErr := d.ListAppPasswords(ctx, args[0])
	factors, factorErr := d.ListTOTP(ctx, args[0])
	o := summary(&s)
	appObjects, appRows := appPasswords(apps, d.Now(), false)
	factorObjects, factorRows := authenticators(factors)
	o["app_passwords"], o["authenticators"] = appObjects, factorObjects
	useObjects, useRows := ownMainUses(s.MainUses)
	o["main_password_uses"] = useObjects
	o["key"], o["entry"] = s.ID, printable(s.DN)
	if c.json {
		return errors.Join(c.print(o), appErr, factorErr)
	}
	lines := []string{"mailbox: " + s.Name, "entry: " + printable(s.DN), "status: " + statusText(&s), "two-factor login: " + twoFactorText(&s)}
	if s.Class != "" {
		lines = append(lines, "class: "+printable(s.Class))
	}
	err = c.print(nil, lines...)
	if len(factorRows) > 0 {
		err = errors.Join(err, c.print(nil, "", "Authenticators"), c.table(nil, "ID,NAME,CREATED,LAST USED,KIND", factorRows))
	}
	if len(appRows) > 0 {
		err = errors.Join(err, c.print(nil, "", "App passwords"),
			c.table(nil, "ID,NAME,STATE,SERVICES,NETWORKS,CREATED,EXPIRES,LAST USED", appRows))
	}
	if len(useRows) > 0 {
		err = errors.Join(err, c.print(nil, "", "Main password still tried by"), c.table(nil, "SERVICE,ADDRESS,PROGRAM,LAST USED,HOURS", useRows))
	}
	return errors.Join(err, appErr, factorErr)
}

func (c *ctl) userDisable(ctx context.Context, d *desk.Desk, args []string) error {
	changed, err := d.DisableTwoFactor(ctx, c.actor(), args[0])
	if err != nil {
		return err
	}
	c.say("Two-factor login is off for %s: the main password opens mail again. Ended: %s.", changed.User, changed.Ended)
	if changed.AppPasswords > 0 {
		c.say("App passwords are kept and go on working: %d.", changed.AppPasswords)
	}
	if changed.Required {
		c.warn("the policy of %s demands two-factor login: the main password stays refused until that is changed", changed.User)
	}
	return c.changed(&changed)
}

func (c *ctl) userReset(ctx context.Context, d *desk.Desk, args []string) error {
	changed, err := d.Reset(ctx, c.actor(), args[0])
	if err != nil {
		return err
	}
	c.say("Reset %s: %s must enrol anew, and until then the main password opens no mail. Ended: %s.", changed.User, changed.User, changed.Ended)
	return c.changed(&changed)
}

func (c *ctl) userRevokeAll(ctx context.Context, d *desk.Desk, args []string) error {
	changed, err := d.RevokeAll(ctx, c.actor(), args[0])
	if err != nil {
		return err
	}
	c.say("Ended for %s: %s. Second factors are kept.", changed.User, changed.Ended)
	return c.changed(&changed)
}

// changed prints the object of a changed account; a person was told already.
func (c *ctl) changed(ch *desk.Changed) error {
	if !c.json {
		return nil
	}
	return c.print(object{"user": ch.User, "app_passwords_left": ch.AppPasswords, "ended": object{
		"authenticators": ch.Ended[account.KindTOTP], "passkeys": ch.Ended[account.KindPasskey],
		"plugin_factors": ch.Ended[account.KindPlugin], "backup_codes": ch.Ended[account.KindBackup],
		"app_passwords": ch.Ended[account.KindApp], "trusted_devices": ch.Ended[account.KindDevice],
		"sessions": ch.Ended[account.KindSession]}})
}
