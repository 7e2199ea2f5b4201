package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

func (c *ctl) passkeyCommand() *cobra.Command {
	return group("passkey", "Passkeys and security keys",
		c.command(command{"list USER", "List the passkeys and security keys", 1, 1, c.listPasskeys}),
		c.command(command{"remove USER ID", "Remove one; two-factor login stays on, after the last factor the user must enrol anew", 2, 2,
			func(ctx context.Context, d *desk.Desk, args []string) error {
				return c.removeFactor(ctx, d, args[0], desk.Ref{Kind: account.KindPasskey, ID: args[1]})
			}}))
}

const passkeyHeader = "ID,NAME,CREATED,LAST USED,PASSWORDLESS"

func (c *ctl) listPasskeys(ctx context.Context, d *desk.Desk, args []string) error {
	list, err := d.ListPasskeys(ctx, args[0])
	if err != nil && list == nil {
		return err
	}
	all, rows := []object{}, [][]string{}
	for _, p := range list {
		o := object{"id": p.ID, "name": p.Name, "created": stamp(p.Created), "relying_party": p.RPID, "passwordless": p.Passwordless}
		o.addUse(p.Used)
		all = append(all, o)
		rows = append(rows, []string{p.ID, p.Name, stamp(p.Created), stamp(p.Used.At), map[bool]string{true: "yes", false: "no"}[p.Passwordless]})
	}
	if len(all) == 0 {
		c.say("%s has no passkey", args[0])
	}
	return errors.Join(c.table(object{"user": args[0], "passkeys": all}, passkeyHeader, rows), err)
}
