package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/ldapstore"
)

// target is an account that was chosen; name is one that finds it.
type target struct {
	id   account.ID
	name string
}

// problem is a line of a file that names no account.
type problem struct {
	line int
	name string
	err  error
}

// chosen are the accounts of a run, each once.
type chosen struct {
	accounts []target
	problems []problem
}

// choose finds the accounts. Names of a file are looked up before anything is changed.
func (m *many) choose(ctx context.Context, d *desk.Desk) (chosen, error) {
	if m.users != "" {
		names, err := m.ctl.readNames(m.users)
		if err != nil {
			return chosen{}, err
		}
		return lookUp(ctx, d.Store, names)
	}
	store, ok := d.Store.(*ldapstore.Store)
	if !ok {
		return chosen{}, errors.New("this store lists no accounts")
	}
	filter := m.filter
	if filter == "" {
		filter = "(objectClass=*)"
	}
	var c chosen
	err := store.Matching(ctx, m.domain, filter, func(a *account.Account) error {
		if m.domain == "" || strings.EqualFold(a.Domain, m.domain) {
			c.accounts = append(c.accounts, target{a.ID, a.Name})
		}
		return nil
	})
	if errors.Is(err, ldapstore.ErrFilter) {
		return c, usagef("--filter: %w", err)
	}
	slices.SortFunc(c.accounts, func(a, b target) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	return c, err
}

// named is a line of a file with a name.
type named struct {
	line int
	name string
}

// readNames reads a name a line; empty lines and those with # are left out.
func (c *ctl) readNames(path string) ([]named, error) {
	in := c.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("--users: %w", err)
		}
		defer f.Close()
		in = f
	}
	var names []named
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		name := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if name != "" && !strings.HasPrefix(name, "#") {
			names = append(names, named{n, name})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--users: %w", err)
	}
	if len(names) == 0 {
		return nil, errors.New("--users: there is no name in it")
	}
	return names, nil
}

// lookUp finds the accounts of names. Errors: account.ErrUnavailable; whatever else a
// lookup ends with is a problem of that line.
func lookUp(ctx context.Context, store account.Store, names []named) (chosen, error) {
	var c chosen
	seen := make(map[account.ID]bool)
	for _, n := range names {
		a, err := find(ctx, store, n.name)
		switch {
		case errors.Is(err, account.ErrUnavailable):
			return c, err
		case err != nil:
			c.problems = append(c.problems, problem{n.line, printable(n.name), err})
		case !seen[a.ID]:
			seen[a.ID] = true
			c.accounts = append(c.accounts, target{a.ID, n.name})
		}
	}
	return c, nil
}

// find is the store's, but for what looks like a password: that is asked nobody about.
func find(ctx context.Context, store account.Store, name string) (*account.Account, error) {
	if printable(name) != name {
		return nil, errors.New("this is no name")
	}
	a, err := store.Find(ctx, name)
	if errors.Is(err, account.ErrUnknown) {
		return nil, errors.New("no such user")
	}
	return a, err
}

// listChosen is the answer to --dry-run.
func (c *ctl) listChosen(list chosen) error {
	all, lines := []object{}, []string{}
	for _, a := range list.accounts {
		all = append(all, object{"user": a.name})
		lines = append(lines, a.name)
	}
	for _, p := range list.problems {
		c.warn("line %d: %s: %v", p.line, p.name, p.err)
	}
	c.say("Accounts: %d. Nothing was changed; to go on: --confirm %[1]d", len(list.accounts))
	if err := c.print(object{"accounts": all, "dry_run": true}, lines...); err != nil || len(list.problems) == 0 {
		return err
	}
	return fmt.Errorf("lines that name no account: %d", len(list.problems))
}

// confirmed makes sure that the administrator knows how many accounts it is about.
func (c *ctl) confirmed(given, n int, inputUsed bool) error {
	switch {
	case n == 0:
		return errors.New("there is no such account: nothing to do")
	case given == n:
		return nil
	case given >= 0:
		return fmt.Errorf("--confirm says %d, but there are %d accounts: nothing was changed; look at them with --dry-run", given, n)
	case c.noInput || inputUsed || !terminal(c.in):
		return usagef("this is about %d accounts: look at them with --dry-run, then say --confirm %[1]d", n)
	}
	fmt.Fprintf(c.err, "This is about %d accounts. Type their number to go on: ", n)
	answer, err := bufio.NewReader(io.LimitReader(c.in, 64)).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != fmt.Sprint(n) {
		return errors.New("not confirmed: nothing was changed")
	}
	return nil
}
