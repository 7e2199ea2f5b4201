package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/ldapstore"
)

// rebindFlags are what keys rebind takes.
type rebindFlags struct {
	mapping, ldif string
	dryRun        bool
	confirm       int
}

func (c *ctl) keysRebind() *cobra.Command {
	var f rebindFlags
	cmd := &cobra.Command{Use: "rebind", Short: "Give accounts whose key changed their records back, after a restore or migration",
		Long: "Records are bound to their account's key (directory.id_attribute). Where a directory was loaded anew and its entries\n" +
			"got other keys, this seals the records for the new ones. Which account had which key says a file of lines OLD,NEW\n" +
			"(--map), or an LDIF of the former directory with the keys and login names (--ldif, as slapcat writes it).\n\n" +
			"Each pair must be beyond doubt: keys that stand there twice, an old key that is some account's now, a name of two\n" +
			"accounts, and accounts with records of both keys are refused. It can be run again. Every account is audited.",
		Example: "  posternctl keys rebind --ldif before.ldif --dry-run\n  posternctl keys rebind --map keys.csv --confirm 212",
		Args:    between(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.rebind(cmd.Context(), f) }}
	cmd.Flags().StringVar(&f.mapping, "map", "", "`file` of lines OLD,NEW")
	cmd.Flags().StringVar(&f.ldif, "ldif", "", "`file` of the former directory, in LDIF")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "list the accounts and change none")
	cmd.Flags().IntVar(&f.confirm, "confirm", -1, "the `number` of accounts, which must be right")
	cmd.MarkFlagsOneRequired("map", "ldif")
	cmd.MarkFlagsMutuallyExclusive("map", "ldif")
	return cmd
}

// pair is an account and the key that it had.
type pair struct {
	line    int
	old     account.ID
	new     account.ID // of --map
	names   []string   // of --ldif
	account *account.Account
}

func (c *ctl) rebind(ctx context.Context, f rebindFlags) error {
	d, err := c.desk()
	if err != nil {
		return err
	}
	pairs, err := c.readPairs(f)
	if err != nil {
		return err
	}
	r := rebinding{ctl: c, desk: d, store: d.Store.(*ldapstore.Store)} //nolint:forcetypeassert // desk opened it
	if err := r.resolve(ctx, pairs); err != nil {
		return err
	}
	for _, p := range r.problems {
		c.warn("line %d: %v", p.line, p.err)
	}
	if f.dryRun {
		list := chosen{}
		for _, p := range r.pairs {
			list.accounts = append(list.accounts, target{p.account.ID, p.account.Name})
		}
		if err := c.listChosen(list); err != nil || len(r.problems) == 0 {
			return err
		}
	}
	if len(r.problems) > 0 {
		return fmt.Errorf("lines in doubt: %d; nothing was changed", len(r.problems))
	}
	if err := c.confirmed(f.confirm, len(r.pairs), false); err != nil {
		return err
	}
	return r.run(ctx)
}

func (c *ctl) readPairs(f rebindFlags) ([]pair, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, err
	}
	path := f.mapping + f.ldif
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if f.ldif != "" {
		return readLDIF(file, cfg.Directory.IDAttribute, cfg.Directory.LoginAttribute)
	}
	var pairs []pair
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		was, now, ok := strings.Cut(text, ",")
		if !ok {
			return nil, fmt.Errorf("%s: line %d is not OLD,NEW", path, n)
		}
		pairs = append(pairs, pair{line: n, old: account.ID(strings.TrimSpace(was)), new: account.ID(strings.TrimSpace(now))})
	}
	return pairs, lines.Err()
}

// readLDIF takes key and names of every entry that has both (RFC 2849: long lines are
// folded, values after :: are in base64).
func readLDIF(in io.Reader, idAttribute, login string) ([]pair, error) {
	var (
		pairs []pair
		one   pair
		line  string
	)
	attribute := func() error {
		name, value, err := ldifLine(line)
		switch {
		case err != nil:
			return err
		case strings.EqualFold(name, idAttribute):
			one.old = account.ID(value)
		case strings.EqualFold(name, login):
			one.names = append(one.names, value)
		}
		return nil
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for n := 1; ; n++ {
		more := lines.Scan()
		text := lines.Text()
		if more && strings.HasPrefix(text, " ") {
			line += text[1:]
			continue
		}
		if err := attribute(); err != nil {
			return nil, fmt.Errorf("LDIF: before line %d: %w", n, err)
		}
		if line = text; !more || text == "" {
			if one.old != "" && len(one.names) > 0 {
				pairs = append(pairs, one)
			}
			one = pair{line: n + 1}
		}
		if !more {
			return pairs, lines.Err()
		}
	}
}

func ldifLine(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || strings.HasPrefix(line, "#") {
		return "", "", nil
	}
	if encoded, ok := strings.CutPrefix(value, ":"); ok {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil {
			return "", "", errors.New("a value after :: is no base64")
		}
		return name, string(b), nil
	}
	return name, strings.TrimSpace(value), nil
}

// rebinding is one run.
type rebinding struct {
	ctl      *ctl
	desk     *desk.Desk
	store    *ldapstore.Store
	pairs    []pair // beyond doubt, with records to rebind
	problems []problem
}

// resolve looks everything up before anything is changed. Errors: account.ErrUnavailable.
func (r *rebinding) resolve(ctx context.Context, pairs []pair) error {
	olds, news := make(map[account.ID]int), make(map[account.ID]int)
	for i := range pairs {
		p := &pairs[i]
		err := r.resolveOne(ctx, p)
		switch {
		case errors.Is(err, account.ErrUnavailable):
			return err
		case errors.Is(err, account.ErrNoRecord), errors.Is(err, errSameKey):
			continue
		case err == nil && olds[p.old] > 0:
			err = fmt.Errorf("the old key stands in line %d, too", olds[p.old])
		case err == nil && news[p.account.ID] > 0:
			err = fmt.Errorf("its account stands in line %d, too", news[p.account.ID])
		}
		if err != nil {
			r.problems = append(r.problems, problem{line: p.line, err: err})
			continue
		}
		olds[p.old], news[p.account.ID] = p.line, p.line
		r.pairs = append(r.pairs, *p)
	}
	return nil
}

var errSameKey = errors.New("the key is the same")

func (r *rebinding) resolveOne(ctx context.Context, p *pair) error {
	var err error
	if p.account, err = r.find(ctx, p); err != nil {
		return err
	}
	if p.account.ID == p.old {
		return errSameKey
	}
	switch owner, err := r.store.FindID(ctx, p.old); {
	case err == nil:
		return fmt.Errorf("the old key is that of %s now", owner.Name)
	case !errors.Is(err, account.ErrUnknown):
		return err
	}
	_, err = r.store.Bound(ctx, p.account, p.old)
	return err
}

// find finds the account that a pair is about: by its key, or by all names of its former
// entry, which must be one account's.
func (r *rebinding) find(ctx context.Context, p *pair) (*account.Account, error) {
	if p.new != "" {
		return r.store.FindID(ctx, p.new)
	}
	var found *account.Account
	for _, name := range p.names {
		a, err := r.store.Find(ctx, name)
		if errors.Is(err, account.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if found != nil && found.ID != a.ID {
			return nil, fmt.Errorf("its names are of two accounts now: %w", account.ErrAmbiguous)
		}
		found = a
	}
	if found == nil {
		return nil, fmt.Errorf("nobody has its name any more: %w", account.ErrNoRecord)
	}
	return found, nil
}

func (r *rebinding) run(ctx context.Context) error {
	t := r.ctl.tally("accounts", len(r.pairs))
	for _, p := range r.pairs {
		if err := ctx.Err(); err != nil {
			return t.stop(err)
		}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		err := r.desk.Rebind(one, r.ctl.actor(), p.account, p.old)
		cancel()
		o := object{"user": p.account.Name, "key_was": p.old, "key": p.account.ID}
		if errors.Is(err, account.ErrUnavailable) {
			t.failed(o, err)
			return t.stop(err)
		}
		t.result(o, err)
	}
	return t.end()
}
