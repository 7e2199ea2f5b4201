package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/secretfile"
)

func (c *ctl) keysExport() *cobra.Command {
	return &cobra.Command{Use: "export", Short: "Print the public half of this host's ticket key, for ticket.pub on mail hosts",
		Long: "Print the public half of this host's ticket key. Mail hosts check webmail's tickets with it, as ticket.pub below\n" +
			"keys.directory, owned by root or the daemons' user, mode 0644. It is not secret, and nobody can make tickets with it.\n" +
			"Of several keys in ticket.key all are printed: give mail hosts a new one before the webhook gets it.",
		Args: between(0, 0),
		RunE: func(*cobra.Command, []string) error { return c.exportKeys() }}
}

func (c *ctl) exportKeys() error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	public, err := cfg.PublicFile()
	if err != nil {
		return fmt.Errorf("%w; the host of the webhook has it", err)
	}
	return c.print(object{"keys": publicKeys(public)}, strings.TrimSuffix(string(public), "\n"))
}

// publicKeys are the lines of a public file.
func publicKeys(public []byte) []object {
	list := []object{}
	for line := range strings.Lines(string(public)) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == account.RoleTicket {
			list = append(list, object{"role": f[1], "id": f[2], "public": f[3]})
		}
	}
	return list
}

// makePublic makes ticket.pub, unless it is there and right.
func (c *ctl) makePublic(cfg *app.Config) error {
	public, err := cfg.PublicFile()
	if err != nil {
		return err
	}
	path := cfg.PublicKeyPath()
	if now, err := secretfile.ReadPublic(path); err == nil && bytes.Equal(now, public) {
		return nil
	}
	if err := replaceFile(path, public); err != nil {
		return err
	}
	c.say("Wrote the ticket key's public half to %s; copy that to every mail host", path)
	return nil
}

// replaceFile writes a public file in one step: a program that starts meanwhile
// reads the old one or the new one.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".ticket-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = giveToOwnerOfDir(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
