package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/admin"
)

func (c *ctl) adminCommand() *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "Who is an administrator, and why", Args: between(0, 0),
		Example: "  posternctl admin list --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.adminList(cmd.Context()) }}
	show := &cobra.Command{Use: "show USER", Short: "What a user administers, and why", Args: between(1, 1),
		Example: "  posternctl admin show dora@example.test",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.adminShow(cmd.Context(), args[0]) }}
	return group("admin", "Administrators of accounts, as the directory's groups name them", list, show)
}

func (c *ctl) adminList(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, store, err := c.open(account.RoleDoor)
	if err != nil {
		return err
	}
	known, err := store.Administrators(ctx)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		c.say("Nobody is an administrator: name groups in the table [admin] of the configuration")
	}
	all, rows := []object{}, [][]string(nil)
	for _, dn := range slices.Sorted(maps.Keys(known)) {
		objects, lines := grants(known[dn])
		for i := range objects {
			objects[i]["dn"] = dn
			all, rows = append(all, objects[i]), append(rows, append([]string{dn}, lines[i]...))
		}
	}
	return c.table(object{"administrators": all}, "ENTRY,ROLE,DOMAIN,BY", rows)
}

func (c *ctl) adminShow(ctx context.Context, user string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c.user = printable(user)
	cfg, store, err := c.open(account.RoleDoor)
	if err != nil {
		return err
	}
	a, err := store.Find(ctx, user)
	if err != nil {
		return err
	}
	why, err := cfg.Roles(store).Grants(ctx, a)
	if err != nil {
		return err
	}
	if len(why) == 0 {
		c.say("%s is no administrator", a.Name)
	}
	objects, rows := grants(why)
	return c.table(object{"user": a.Name, "grants": objects}, "ROLE,DOMAIN,BY", rows)
}

func grants(list []admin.Grant) (objects []object, rows [][]string) {
	objects = []object{}
	for _, g := range list {
		domain := g.Domain
		if g.All {
			domain = "*"
		}
		objects = append(objects, object{"role": g.Role.String(), "domain": domain, "by": g.Source})
		rows = append(rows, []string{g.Role.String(), domain, g.Source})
	}
	return objects, rows
}
