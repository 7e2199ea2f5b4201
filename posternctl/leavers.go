package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/ldapstore"
)

func (c *ctl) leaversCommand() *cobra.Command {
	var all, force bool
	list := &cobra.Command{Use: "list", Short: "List records whose account is gone from the directory (layout \"subtree\")", Args: between(0, 0),
		Example: "  posternctl leavers list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.listLeavers(cmd.Context()) }}
	remove := &cobra.Command{Use: "remove [ID…]", Short: "Remove records whose account is gone",
		Long: "Remove the records of accounts that are gone from the directory, by the ids that leavers list shows. An account that\n" +
			"is found again is left alone. When more accounts seem gone than are there, nothing is removed without --force:\n" +
			"perhaps the service account just cannot see them.",
		Example: "  posternctl leavers remove --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usagef("name ids, or --all")
			}
			return c.removeLeavers(cmd.Context(), args, force)
		}}
	remove.Flags().BoolVar(&all, "all", false, "all that leavers list shows")
	remove.Flags().BoolVar(&force, "force", false, "even if most accounts seem gone")
	return group("leavers", "Records whose account is gone", list, remove)
}

// leavers reads all accounts with records, and returns those without an entry, and how
// many have one. With layout "entry" records go with their entry.
func leavers(ctx context.Context, store *ldapstore.Store) (gone []*account.Account, there int, err error) {
	err = store.Each(ctx, func(a *account.Account) error {
		if a.DN != "" {
			there++
			return nil
		}
		// Not found just once: only none at all counts as gone.
		if _, err := store.FindID(ctx, a.ID); errors.Is(err, account.ErrUnknown) {
			gone = append(gone, a)
		} else if errors.Is(err, account.ErrUnavailable) {
			return err
		}
		return nil
	})
	return gone, there, err
}

func (c *ctl) listLeavers(ctx context.Context) error {
	_, store, err := c.open(account.RoleDoor)
	if err != nil {
		return err
	}
	gone, there, err := leavers(ctx, store)
	if err != nil {
		return err
	}
	list, rows := []object{}, [][]string{}
	for _, a := range gone {
		list = append(list, object{"id": string(a.ID), "entry": a.Holder})
		rows = append(rows, []string{string(a.ID), a.Holder})
	}
	c.say("%d accounts are gone and have records, %d are there", len(gone), there)
	return c.table(object{"leavers": list, "accounts": there}, "ID,RECORDS AT", rows)
}

func (c *ctl) removeLeavers(ctx context.Context, ids []string, force bool) error {
	cfg, store, err := c.open(account.RoleDoor)
	if err != nil {
		return err
	}
	gone, there, err := leavers(ctx, store)
	if err != nil {
		return err
	}
	if len(gone) > there && !force {
		return fmt.Errorf("%d accounts seem gone and only %d are there: does the service account see them? --force removes all the same", len(gone), there)
	}
	recorder, err := c.recorder(cfg, systemLog)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	removed := []string{}
	for _, a := range gone {
		if len(ids) > 0 && !wanted[string(a.ID)] {
			continue
		}
		if err := store.RemoveHolder(ctx, a.ID); err != nil && !errors.Is(err, account.ErrUnknown) {
			return err
		}
		recorder.Record(effect.Event{Time: time.Now(), Action: effect.LeaverRemoved, Outcome: "done", Account: a.ID, Actor: c.actor().Name})
		removed = append(removed, string(a.ID))
	}
	if len(ids) > len(removed) {
		c.warn("%d of the ids are no leavers", len(ids)-len(removed))
	}
	c.say("Removed the records of %d accounts that are gone", len(removed))
	return c.print(object{"removed": removed})
}
