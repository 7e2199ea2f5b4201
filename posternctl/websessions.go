package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

func (c *ctl) sessionsCommand() *cobra.Command {
	return group("sessions", "Sessions of webmail",
		c.command(command{"list USER", "List the sessions that go on", 1, 1, c.listSessions}),
		c.command(command{"end USER [ID]", "End one session; without ID all of them, and no device is trusted any more", 1, 2, c.endSessions}))
}

func (c *ctl) devicesCommand() *cobra.Command {
	return group("devices", "Browsers trusted at webmail",
		c.command(command{"list USER", "List the trusted devices", 1, 1, c.listDevices}),
		c.command(command{"remove USER [ID]", "Trust a device no longer; without ID, none of them", 1, 2, c.removeDevices}))
}

func (c *ctl) listSessions(ctx context.Context, d *desk.Desk, args []string) error {
	o, err := d.Overview(ctx, args[0])
	if err != nil {
		return err
	}
	all, rows := sessions(o.Sessions)
	if len(all) == 0 {
		c.say("%s has no session of webmail", o.Name)
	}
	return errors.Join(c.table(object{"user": o.Name, "sessions": all}, sessionHeader, rows), o.Unreadable)
}

func (c *ctl) endSessions(ctx context.Context, d *desk.Desk, args []string) error {
	if len(args) == 1 {
		changed, err := d.EndAllSessions(ctx, c.actor(), args[0])
		if err != nil {
			return err
		}
		c.say("Logged %s out of webmail everywhere. Ended: %s. App passwords go on.", changed.User, changed.Ended)
		return c.changed(&changed)
	}
	ended, err := d.EndSession(ctx, c.actor(), args[0], args[1])
	return c.endedOne(args, ended, err)
}

func (c *ctl) listDevices(ctx context.Context, d *desk.Desk, args []string) error {
	o, err := d.Overview(ctx, args[0])
	if err != nil {
		return err
	}
	all, rows := devices(o.Devices)
	if len(all) == 0 {
		c.say("%s has no trusted device", o.Name)
	}
	return errors.Join(c.table(object{"user": o.Name, "trusted_devices": all}, deviceHeader, rows), o.Unreadable)
}

func (c *ctl) removeDevices(ctx context.Context, d *desk.Desk, args []string) error {
	if len(args) == 1 {
		ended, err := d.RemoveAllDevices(ctx, c.actor(), args[0])
		return c.endedOne(args, ended, err)
	}
	ended, err := d.RemoveDevice(ctx, c.actor(), args[0], args[1])
	return c.endedOne(args, ended, err)
}

// endedOne tells what came of ending sessions and devices, of args: the user, and the id if one was named.
func (c *ctl) endedOne(args []string, e desk.Ended, err error) error {
	if err != nil {
		return err
	}
	c.say("Ended for %s: %s.", args[0], e)
	if !c.json {
		return nil
	}
	o := object{"user": args[0], "ended": object{"trusted_devices": e[account.KindDevice], "sessions": e[account.KindSession]}}
	if len(args) > 1 {
		o["id"] = args[1]
	}
	return c.print(o)
}
