package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/seal"
)

var allRoles = []string{account.RoleDoor, account.RoleFactor, account.RoleTicket}

const roleHelp = "`role` of the key: door, factor, ticket"

func (c *ctl) keysCommand() *cobra.Command {
	return group("keys", "Keys that seal the records and sign tickets", c.keysNew(), c.keysRegister(), c.keysExport(), c.keysRotate(), c.keysRebind())
}

func (c *ctl) keysNew() *cobra.Command {
	var (
		roles   []string
		offline bool
	)
	cmd := &cobra.Command{Use: "new", Short: "Make the key files that are missing, and register them in the directory",
		Long: "Make the key files that are missing below keys.directory, mode 0600, and register a check value of each in the\n" +
			"directory, so that no program starts with another key. A key file that exists is never touched. With ticket.key\n" +
			"comes ticket.pub, its public half, with which mail hosts check webmail's tickets and cannot make any.\n\n" +
			"For a second host, copy the files of the first: door.key and ticket.pub to mail hosts; door.key, factor.key and\n" +
			"ticket.key to the host of the webhook.",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.newKeys(cmd.Context(), roles, offline) }}
	cmd.Flags().StringSliceVar(&roles, "role", allRoles, roleHelp)
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the directory; register later with: posternctl keys register")
	return cmd
}

func (c *ctl) keysRegister() *cobra.Command {
	var (
		roles []string
		force bool
	)
	cmd := &cobra.Command{Use: "register", Short: "Register the check values of this host's keys in the directory", Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load()
			if err != nil || checkRoles(roles) != nil {
				return errors.Join(err, checkRoles(roles))
			}
			return c.register(cmd.Context(), cfg, presentRoles(cfg, roles), force)
		}}
	cmd.Flags().StringSliceVar(&roles, "role", allRoles, roleHelp)
	cmd.Flags().BoolVar(&force, "force", false, "also when the directory knows another key of the role, whose records this one cannot read")
	return cmd
}

func checkRoles(roles []string) error {
	for _, r := range roles {
		if !slices.Contains(allRoles, r) {
			return usagef("there is no role %q; there are %s", r, strings.Join(allRoles, ", "))
		}
	}
	return nil
}

// newKeys makes the missing files. It asks the directory first: a new key where
// the site has one already would seal records that no other host can read.
func (c *ctl) newKeys(ctx context.Context, roles []string, offline bool) error {
	if err := checkRoles(roles); err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return exists(cfg.KeyPath(r)) })
	if !offline {
		if err := c.noOtherKeys(ctx, cfg, missing); err != nil {
			return err
		}
	}
	made, err := c.makeFiles(cfg, missing)
	if err != nil {
		return err
	}
	if slices.Contains(roles, account.RoleTicket) {
		if err := c.makePublic(cfg); err != nil {
			return err
		}
	}
	for _, r := range roles {
		if !slices.Contains(missing, r) {
			c.say("%s exists and was left as it is", cfg.KeyPath(r))
		}
	}
	if !offline {
		if err := c.register(ctx, cfg, roles, false); err != nil {
			return err
		}
	} else {
		c.say("Register the keys when the directory can be reached: posternctl keys register")
	}
	if !c.json {
		return nil
	}
	return c.print(object{"keys": made, "registered": !offline})
}

func (c *ctl) makeFiles(cfg *app.Config, roles []string) ([]object, error) {
	made := []object{}
	if len(roles) == 0 {
		return made, nil
	}
	if err := os.MkdirAll(cfg.Keys.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("keys.directory: %w", err)
	}
	for _, r := range roles {
		id, err := makeKey(cfg.KeyPath(r), r)
		if err != nil {
			return nil, err
		}
		made = append(made, object{"role": r, "id": id.String(), "file": cfg.KeyPath(r)})
		c.say("Made %s key %s in %s; keep a copy where the backups are not", r, id, cfg.KeyPath(r))
	}
	return made, nil
}

// makeKey writes a new key file. It never replaces one, and leaves none half written.
func makeKey(path, role string) (seal.KeyID, error) {
	data, id, err := seal.NewFile(role)
	if err != nil {
		return id, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // below keys.directory
	if err != nil {
		return id, err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = giveToOwnerOfDir(path)
	}
	if err != nil {
		return id, errors.Join(err, os.Remove(path))
	}
	return id, nil
}

// giveToOwnerOfDir gives a file that root made to the owner of its directory: the
// daemons' user, where an administrator gave the directory to it.
func giveToOwnerOfDir(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// presentRoles are those whose key file this host has, or all if it has none: a
// mail host has door.key only.
func presentRoles(cfg *app.Config, roles []string) []string {
	present := slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return !exists(cfg.KeyPath(r)) })
	if len(present) == 0 {
		return roles
	}
	return present
}

// noOtherKeys refuses to make a key of a role that the site has one of.
func (c *ctl) noOtherKeys(ctx context.Context, cfg *app.Config, roles []string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	store, _, err := cfg.OpenStore()
	if err != nil {
		return err
	}
	defer store.Close()
	known, err := store.KeyChecks(ctx)
	if err != nil {
		return fmt.Errorf("%w; to make the files without the directory: posternctl keys new --offline", err)
	}
	for _, r := range roles {
		for _, v := range known {
			if role, rest, _ := strings.Cut(v, " "); role == r {
				id, _, _ := strings.Cut(rest, " ")
				return fmt.Errorf("this site has a %s key already, %s: copy it to %s from the host that has it", r, id, cfg.KeyPath(r))
			}
		}
	}
	return nil
}

// register registers the check values of the roles' keys. A key that the site does
// not know, beside one that it does, needs force.
func (c *ctl) register(ctx context.Context, cfg *app.Config, roles []string, force bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	store, ring, err := cfg.OpenStore(roles...)
	if err != nil {
		return err
	}
	defer store.Close()
	known, err := store.KeyChecks(ctx)
	if err != nil {
		return err
	}
	for _, r := range roles {
		has := slices.ContainsFunc(known, func(v string) bool { return strings.HasPrefix(v, r+" ") })
		same := slices.ContainsFunc(ring.CheckValues(), func(v string) bool { return strings.HasPrefix(v, r+" ") && slices.Contains(known, v) })
		if has && !same && !force {
			return fmt.Errorf("this site has another %s key: copy its file to %s; --force registers this one beside it, and neither host will read the other's records",
				r, cfg.KeyPath(r))
		}
	}
	if err := store.RegisterKeyChecks(ctx, ring.CheckValues()); err != nil {
		return err
	}
	c.say("Registered in the directory: %s", strings.Join(roles, ", "))
	return nil
}
