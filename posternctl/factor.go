package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

// factorNames are the kinds as the command calls them.
var factorNames = map[string]account.Kind{
	account.KindTOTP.Word(): account.KindTOTP, account.KindPasskey.Word(): account.KindPasskey, account.KindPlugin.Word(): account.KindPlugin,
}

func (c *ctl) factorCommand() *cobra.Command {
	list := c.command(command{"list USER", "List the second factors of every kind, those of plug-ins among them", 1, 1, c.listFactors})
	list.Example = "  posternctl factor list alice@example.test\n  posternctl --json factor list alice@example.test"
	remove := c.command(command{"remove USER KIND ID", "Remove one: KIND is totp, passkey or plugin, ID as listed; two-factor login stays on", 3, 3,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			k, ok := factorNames[args[1]]
			if !ok {
				return usagef("%s is none of totp, passkey, plugin", printable(args[1]))
			}
			return c.removeFactor(ctx, d, args[0], desk.Ref{Kind: k, ID: args[2]})
		}})
	remove.Example = "  posternctl factor remove alice@example.test plugin mfzwizltoq2a"
	return group("factor", "Second factors of every kind", list, remove)
}

func (c *ctl) listFactors(ctx context.Context, d *desk.Desk, args []string) error {
	list, err := d.ListFactors(ctx, args[0])
	if err != nil && list == nil {
		return err
	}
	all, rows := []object{}, [][]string{}
	for i := range list {
		f := &list[i]
		o := object{"kind": f.Kind.Word(), "id": f.ID, "method": f.Method, "name": f.Name, "created": stamp(f.Created)}
		o.addUse(f.Used)
		all = append(all, o)
		rows = append(rows, []string{f.Kind.Word(), f.ID, f.Method, f.Name, stamp(f.Created), stamp(f.Used.At)})
	}
	if len(all) == 0 {
		c.say("%s has no second factor", args[0])
	}
	return errors.Join(c.table(object{"user": args[0], "factors": all}, "KIND,ID,METHOD,NAME,CREATED,LAST USED", rows), err)
}
