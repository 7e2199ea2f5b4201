package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"postern/internal/account"
)

func (c *ctl) backupCommand() *cobra.Command {
	var file string
	verify := &cobra.Command{Use: "verify", Short: "Check that every record opens with this host's keys, and fits its account's state",
		Long: "Check that the records in a dump of the directory (slapcat, db2ldif), or in the directory itself, open with this\n" +
			"host's keys and fit the state of their accounts. A backup is a dump and the key files that open it.\n" +
			"Accounts that would not survive a restore are named; the exit code is 1 then.",
		Example: "  slapcat -n 1 -l dump.ldif && posternctl backup verify --ldif dump.ldif", Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.verifyBackup(cmd.Context(), file) }}
	verify.Flags().StringVar(&file, "ldif", "", "dump to check instead of the directory: a `file`, or - for standard input")
	return group("backup", "Backups of records and keys", verify)
}

// checked is what backup verify has seen.
type checked struct {
	accounts, records int
	damaged           []object
}

// look opens every record of an account.
func (k *checked) look(a *account.Account) {
	k.accounts++
	errs := []error{a.Damage()}
	for _, kind := range account.Kinds {
		k.records += len(a.Values(kind))
		if kind == account.KindState {
			continue
		}
		_, err := a.Records(kind)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		k.damaged = append(k.damaged, object{"user": a.Name, "id": string(a.ID), "damage": err.Error()})
	}
}

func (c *ctl) verifyBackup(ctx context.Context, file string) error {
	cfg, store, err := c.open(account.RoleDoor, account.RoleFactor)
	if err != nil {
		return err
	}
	var k checked
	var known []string
	if file == "" {
		err = store.Each(ctx, func(a *account.Account) error { k.look(a); return nil })
		if err == nil {
			known, err = store.KeyChecks(ctx)
		}
	} else {
		in := os.Stdin
		if file != "-" {
			if in, err = os.Open(file); err != nil {
				return err
			}
			defer in.Close()
		}
		dump, readErr := store.ReadLDIF(in, func(a *account.Account) error { k.look(a); return nil })
		known, err = dump.KeyChecks, readErr
	}
	if err != nil {
		return err
	}
	if file != "" && len(known) == 0 {
		return errors.New("there are no check values of keys in this dump: it is empty or cut off, or the entries of directory.postern_base are not in it")
	}
	ring, err := cfg.OpenRing(account.RoleDoor, account.RoleFactor)
	if err != nil {
		return err
	}
	keys := ring.Check(known)
	if keys != nil {
		c.warn("%v", keys)
	}
	rows := make([][]string, len(k.damaged))
	for i, d := range k.damaged {
		rows[i] = []string{fmt.Sprint(d["user"]), fmt.Sprint(d["damage"])}
	}
	c.say("%d accounts with %d records were looked at; %d are damaged", k.accounts, k.records, len(k.damaged))
	if k.damaged == nil {
		k.damaged = []object{}
	}
	if err := c.table(object{"accounts": k.accounts, "records": k.records, "damaged": k.damaged, "keys_fit": keys == nil}, "MAILBOX,DAMAGE", rows); err != nil {
		return err
	}
	if len(k.damaged) > 0 || keys != nil {
		return errors.New("this backup and these keys do not belong together, or records are damaged")
	}
	return nil
}
