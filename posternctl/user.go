package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

func (c *ctl) userCommand() *cobra.Command {
	return group("user", "Whole accounts",
		c.command(command{"show USER", "Show all of an account: factors, app passwords, trusted devices, webmail sessions", 1, 1, c.userShow}),
		c.many(0, command{"disable USER", "Switch two-factor login off; app passwords are kept", 1, 1, c.userDisable}),
		c.userReset(), c.userEnrolToken(),
		c.many(0, command{"revoke-all USER", "End all app passwords, sessions and trusted devices; factors are kept", 1, 1, c.userRevokeAll}),
		c.userClass(), c.userExport(), c.userErase())
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

func (c *ctl) userReset() *cobra.Command {
	return c.withTokenLife(command{"reset USER", "End every factor, app password and session; the user must enrol anew, with the token that this prints", 1, 1,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			changed, err := d.Reset(ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			c.say("Reset %s: %s must enrol anew, and until then the main password opens no mail. Ended: %s.", changed.User, changed.User, changed.Ended)
			return c.changed(&changed)
		}})
}

func (c *ctl) userEnrolToken() *cobra.Command {
	return c.withTokenLife(command{"enrol-token USER", "Print a new token for a user who must enrol; the older one is void", 1, 1,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			token, err := d.NewEnrolToken(ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			return c.printWithToken(object{"user": args[0]}, args[0], token)
		}})
}

// withTokenLife gives a command that makes enrolment tokens the flag for their life.
func (c *ctl) withTokenLife(s command) *cobra.Command {
	var life time.Duration
	run := s.run
	s.run = func(ctx context.Context, d *desk.Desk, args []string) error {
		if life < time.Minute || life > maxTokenLife {
			return usagef("--token-life must be from 1m to %s", maxTokenLife)
		}
		d.TokenLife = life
		return run(ctx, d, args)
	}
	cmd := c.many(0, s)
	cmd.Flags().DurationVar(&life, "token-life", 72*time.Hour, "how long the enrolment token is good for")
	return cmd
}

const maxTokenLife = 30 * 24 * time.Hour

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
	o := object{"user": ch.User, "app_passwords_left": ch.AppPasswords, "ended": ended(ch.Ended)}
	return c.printWithToken(o, ch.User, ch.Token)
}

func ended(e desk.Ended) object {
	return object{
		"authenticators": e[account.KindTOTP], "passkeys": e[account.KindPasskey],
		"plugin_factors": e[account.KindPlugin], "backup_codes": e[account.KindBackup],
		"app_passwords": e[account.KindApp], "trusted_devices": e[account.KindDevice],
		"sessions": e[account.KindSession]}
}

// printWithToken prints the object with --json, and otherwise only the enrolment token,
// if there is one.
func (c *ctl) printWithToken(o object, user string, t desk.EnrolToken) error {
	token := string(t.Token.Reveal())
	switch {
	case token == "" && c.json:
		return c.print(o)
	case token == "":
		return nil
	}
	c.say("%s needs this token to enrol, once, until %s. It is shown only now; hand it over only to somebody you know to be %s.",
		user, when(t.Until, ""), user)
	o["token"], o["token_expires"] = token, stamp(t.Until)
	return c.print(o, token)
}
