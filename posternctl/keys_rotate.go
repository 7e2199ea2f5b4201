package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/desk"
	"postern/internal/seal"
	"postern/internal/secretfile"
	"postern/ldapstore"
)

// ticketAge is how long a ticket key goes on being known after another took its place:
// longer than anything that was signed with it lives.
const ticketAge = 24 * time.Hour

// rotateFlags choose the step; none of them: a key is added.
type rotateFlags struct{ activate, reseal, retire bool }

func (c *ctl) keysRotate() *cobra.Command {
	var f rotateFlags
	cmd := &cobra.Command{Use: "rotate [ROLE]", Short: "Change the key of a role, step by step, while everything runs",
		Long: "Change the key of a role, or of every role whose key this host has. Every program can read what any other seals at\n" +
			"every moment, if the steps are taken in this order:\n\n" +
			"  1. keys rotate ROLE             a new key is added to the file, which opens and does not seal yet\n" +
			"  2. copy the file (of the ticket key also ticket.pub) to every host that has it; restart the daemons there\n" +
			"  3. keys rotate ROLE --activate  on every host: the new key seals; restart the daemons\n" +
			"  4. keys rotate ROLE --reseal    on one host: every record is sealed anew (not of the ticket key)\n" +
			"  5. keys rotate ROLE --retire    on every host: the old key is removed; refused while anything needs it\n\n" +
			"Interrupted steps are run again. Backups of the directory from before need the old key: keep a copy with them.",
		Example: "  posternctl keys rotate door\n  posternctl keys rotate door --activate\n  posternctl keys rotate door --reseal\n  posternctl keys rotate door --retire",
		Args:    between(0, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.rotate(cmd.Context(), args, f) }}
	cmd.Flags().BoolVar(&f.activate, "activate", false, "let the new key seal, which every host has by now")
	cmd.Flags().BoolVar(&f.reseal, "reseal", false, "seal every record anew that an older key sealed")
	cmd.Flags().BoolVar(&f.retire, "retire", false, "remove all keys but the one that seals")
	cmd.MarkFlagsMutuallyExclusive("activate", "reseal", "retire")
	return cmd
}

func (c *ctl) rotate(ctx context.Context, args []string, f rotateFlags) error {
	if err := checkRoles(args); err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	roles := args
	if len(roles) == 0 {
		roles = presentRoles(cfg, allRoles)
	}
	d, err := c.desk()
	if err != nil {
		return err
	}
	r := &rotation{ctl: c, cfg: cfg, desk: d, store: d.Store.(*ldapstore.Store), roles: roles} //nolint:forcetypeassert // desk opened it
	switch {
	case f.activate:
		return r.eachFile("activated", seal.ActivateKey)
	case f.reseal:
		return r.reseal(ctx)
	case f.retire:
		return r.retire(ctx)
	default:
		return r.add(ctx)
	}
}

// rotation is one step for some roles.
type rotation struct {
	ctl   *ctl
	cfg   *app.Config
	desk  *desk.Desk
	store *ldapstore.Store
	roles []string
}

func (r *rotation) read(role string) ([]byte, error) { return secretfile.Read(r.cfg.KeyPath(role)) }

// add registers the new keys before any file has them: one that is not registered must
// never seal.
func (r *rotation) add(ctx context.Context) error {
	return r.eachFile("added", func(role string, file []byte) ([]byte, seal.KeyID, error) {
		next, id, err := seal.AddKey(role, file)
		if errors.Is(err, seal.ErrNextWaits) {
			return nil, id, fmt.Errorf("%w: copy %s to every host that has it, then: posternctl keys rotate %s --activate", err, r.cfg.KeyPath(role), role)
		}
		if err != nil {
			return nil, id, err
		}
		ring, err := seal.NewRing(map[string][]byte{role: next})
		if err != nil {
			return nil, id, err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return next, id, r.store.RegisterKeyChecks(ctx, []string{ring.CheckValue(role, id)})
	})
}

// next is what a person is to do after a step.
var nextStep = map[string]string{
	"added":     "Copy it to every host that has it and restart the daemons there; then: posternctl keys rotate %s --activate",
	"activated": "Restart the daemons; when that is done on every host: posternctl keys rotate %s --reseal",
}

// eachFile changes the file of each role.
func (r *rotation) eachFile(done string, change func(role string, file []byte) ([]byte, seal.KeyID, error)) error {
	all := []object{}
	for _, role := range r.roles {
		file, err := r.read(role)
		if err != nil {
			return err
		}
		changed, id, err := change(role, file)
		if errors.Is(err, seal.ErrNoNext) {
			return fmt.Errorf("%s: %w; add one with: posternctl keys rotate %s", r.cfg.KeyPath(role), err, role)
		}
		if err != nil {
			return err
		}
		if err := r.write(role, changed); err != nil {
			return err
		}
		r.desk.KeysChanged(r.ctl.actor(), fmt.Sprintf("%s key %s %s", role, id, done))
		r.ctl.say("%s key %s %s in %s. "+nextStep[done], role, id, done, r.cfg.KeyPath(role), role)
		all = append(all, object{"role": role, "id": id.String(), "file": r.cfg.KeyPath(role), "step": done})
	}
	return r.ctl.printJSON(object{"keys": all})
}

// write replaces a key file, and with it the public half of the ticket key.
func (r *rotation) write(role string, data []byte) error {
	if err := replaceSecret(r.cfg.KeyPath(role), data); err != nil {
		return err
	}
	if role == account.RoleTicket {
		return r.ctl.makePublic(r.cfg)
	}
	return nil
}

// replaceSecret replaces a file in one step; its owner stays the directory's.
func replaceSecret(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = giveToOwnerOfDir(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// retire removes the older keys, once nothing in the whole directory needs them.
func (r *rotation) retire(ctx context.Context) error {
	n, err := r.count(ctx)
	if err != nil {
		return err
	}
	ring, err := r.cfg.OpenRing(r.roles...)
	if err != nil {
		return err
	}
	all := []object{}
	for _, role := range r.roles {
		old := ring.IDs(role)[1:]
		if len(old) == 0 {
			r.ctl.say("%s has one key only", r.cfg.KeyPath(role))
			continue
		}
		if err := r.mayRetire(role, n, old); err != nil {
			return err
		}
		if err := r.retireRole(ctx, role, ring, old); err != nil {
			return err
		}
		all = append(all, object{"role": role, "id": ring.IDs(role)[0].String(), "retired": texts(old), "file": r.cfg.KeyPath(role)})
	}
	return r.ctl.printJSON(object{"keys": all})
}

func texts(ids []seal.KeyID) []string {
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		list = append(list, id.String())
	}
	return list
}

// mayRetire refuses while something is sealed with one of the keys.
func (r *rotation) mayRetire(role string, n *usage, old []seal.KeyID) error {
	if role == account.RoleTicket {
		info, err := os.Stat(r.cfg.KeyPath(role))
		if err == nil && time.Since(info.ModTime()) < ticketAge {
			err = fmt.Errorf("%s was changed less than %v ago: tickets of the old key may still be on their way; nothing was removed", r.cfg.KeyPath(role), ticketAge)
		}
		return err
	}
	if n.unreadable > 0 {
		return fmt.Errorf("accounts that cannot be read: %d (posternctl status lists them); what they need is not known, and nothing was removed", n.unreadable)
	}
	for _, id := range old {
		if k := (keyOf{role, id}); n.records[k] > 0 {
			return fmt.Errorf("%d records are still sealed with %s key %s: nothing was removed; first: posternctl keys rotate %s --reseal", n.records[k], role, id, role)
		}
		if role == account.RoleFactor && n.handles[id] > 0 {
			return fmt.Errorf("passkeys of %d accounts sign in without a name by factor key %s, and cannot be changed from here: nothing was removed; "+
				"their owners have to remove and add their passkeys first", n.handles[id], id)
		}
	}
	return nil
}

// retireRole removes the keys from the file, and then what lets programs start with them.
func (r *rotation) retireRole(ctx context.Context, role string, ring *seal.Ring, old []seal.KeyID) error {
	file, err := r.read(role)
	if err != nil {
		return err
	}
	left, err := seal.RetireKeys(role, file)
	if errors.Is(err, seal.ErrNextWaits) {
		return fmt.Errorf("%w: activate it first, with: posternctl keys rotate %s --activate", err, role)
	}
	if err != nil {
		return err
	}
	if err := r.write(role, left); err != nil {
		return err
	}
	var checks []string
	for _, id := range old {
		checks = append(checks, ring.CheckValue(role, id))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := r.store.RemoveKeyChecks(ctx, checks); err != nil {
		return err
	}
	gone := strings.Join(texts(old), ", ")
	r.desk.KeysChanged(r.ctl.actor(), fmt.Sprintf("%s key %s retired", role, gone))
	r.ctl.say("Removed %s key %s from %s. Backups of the directory from before need it.", role, gone, r.cfg.KeyPath(role))
	return nil
}

// keyOf names a key.
type keyOf struct {
	role string
	id   seal.KeyID
}

// usage is which keys the directory's records need.
type usage struct {
	records    map[keyOf]int
	handles    map[seal.KeyID]int // accounts with a passkey whose user handle was made with it
	unreadable int
}

// count reads all accounts. A value whose key cannot be told counts as unreadable.
func (r *rotation) count(ctx context.Context) (*usage, error) {
	n := &usage{records: make(map[keyOf]int), handles: make(map[seal.KeyID]int)}
	err := r.store.Each(ctx, func(a *account.Account) error {
		bad := len(a.Values(account.KindState)) == 0 || a.Damage() != nil
		for _, k := range account.Kinds {
			for _, v := range a.Values(k) {
				id, err := seal.RecordKey(v.Stored)
				bad = bad || err != nil
				n.records[keyOf{k.Role(), id}]++
			}
		}
		if id, ok := seal.HandleKey(a.State.Handle); ok && len(a.Values(account.KindPasskey)) > 0 {
			n.handles[id]++
		}
		if bad {
			n.unreadable++
		}
		return nil
	})
	return n, err
}

// reseal seals what an older key of the roles sealed; it goes on where it was stopped,
// because what is done needs nothing more.
func (r *rotation) reseal(ctx context.Context) error {
	ring, err := r.cfg.OpenRing(slices.DeleteFunc(slices.Clone(allRoles), func(role string) bool { return !slices.Contains(r.roles, role) })...)
	if err != nil {
		return err
	}
	current := ring.Roles()
	old := func(k account.Kind, stored []byte) bool {
		now, ours := current[k.Role()]
		id, err := seal.RecordKey(stored)
		return ours && err == nil && id != now
	}
	var due []*account.Account
	err = r.store.Each(ctx, func(a *account.Account) error {
		for _, k := range account.Kinds {
			if slices.ContainsFunc(a.Values(k), func(v account.Value) bool { return old(k, v.Stored) }) {
				due = append(due, &account.Account{ID: a.ID, DN: a.DN, Name: a.Name})
				break
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.resealAll(ctx, due, old)
}

func (r *rotation) resealAll(ctx context.Context, due []*account.Account, old func(account.Kind, []byte) bool) error {
	t := r.ctl.tally("accounts", len(due))
	t.quiet = true
	records := 0
	for _, a := range due {
		if err := ctx.Err(); err != nil {
			return t.stop(err)
		}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		n, err := r.desk.Reseal(one, r.ctl.actor(), a, old)
		cancel()
		if errors.Is(err, account.ErrUnavailable) {
			t.failed(object{"user": a.Name}, err)
			return t.stop(err)
		}
		records += n
		t.result(object{"user": a.Name, "records": n}, err)
	}
	if records > 0 {
		r.desk.KeysChanged(r.ctl.actor(), fmt.Sprintf("%d records of %d accounts sealed anew", records, t.done))
	}
	r.ctl.say("Records sealed anew: %d", records)
	return t.end()
}
