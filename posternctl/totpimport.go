package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/totpimport"
)

// importFlags are what totp import takes.
type importFlags struct {
	format          string
	confirm         int
	dryRun, skipBad bool
}

func (c *ctl) totpImport() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{Use: "import FILE", Short: "Import authenticators of another product, of many accounts",
		Long: "Import existing authenticators from a file that others cannot read, or from standard input (-). Everything is\n" +
			"checked before the first is written: if a line is wrong, or its user unknown, all such lines are listed and nothing\n" +
			"is imported, unless --skip-wrong. An account that has an authenticator with that secret already is left as it is:\n" +
			"run it again whenever it was interrupted. Secrets are never printed.\n\n" +
			"For accounts without two-factor login it is switched on: their main password opens no mail from then on. Nothing is\n" +
			"done before the number of accounts was confirmed, by --confirm or at the terminal.\n\n" +
			"Formats:\n" +
			"  csv          user,secret[,name,algorithm,digits,period], the secret in base32; or any order, below a header\n" +
			"  otpauth      lines of otpauth://totp/… or otpauth-migration://… (Google Authenticator), the user before it or in its label\n" +
			"  privacyidea  its tokens as CSV with a header or as JSON: serial, user, realm, otpkey (hexadecimal), tokentype,\n" +
			"               hashlib, otplen, timeStep, description\n" +
			"  axigen       mailbox,secret, in base32; SHA1, 6 digits, 30 s",
		Example: "  posternctl totp import --format csv tokens.csv --dry-run\n  posternctl totp import --format privacyidea tokens.json --confirm 212",
		Args:    between(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.importTOTP(cmd.Context(), args[0], f) }}
	cmd.Flags().StringVar(&f.format, "format", "csv", "`format` of the file: "+strings.Join(totpimport.Formats(), ", "))
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "check everything, list the accounts, write nothing")
	cmd.Flags().IntVar(&f.confirm, "confirm", -1, "the `number` of accounts, which must be right")
	cmd.Flags().BoolVar(&f.skipBad, "skip-wrong", false, "import the lines that are right although others are wrong")
	return cmd
}

func (c *ctl) importTOTP(ctx context.Context, path string, f importFlags) error {
	list, err := c.readImport(path, f.format)
	if err != nil {
		return err
	}
	d, err := c.desk()
	if err != nil {
		return err
	}
	p, err := planImport(ctx, d, list)
	if err != nil {
		return err
	}
	for _, w := range p.problems {
		c.warn("%v", w)
	}
	c.say("Authenticators: %d, of %d accounts. Two-factor login is off for %d of these; it is switched on, and their main password opens no mail then.",
		len(p.entries), len(p.accounts), p.off)
	switch {
	case f.dryRun:
		return c.dryImport(&p)
	case len(p.problems) > 0 && !f.skipBad:
		return fmt.Errorf("wrong lines: %d; nothing was imported. Mend them, or leave them out with --skip-wrong", len(p.problems))
	}
	if err := c.confirmed(f.confirm, len(p.accounts), path == "-"); err != nil {
		return err
	}
	return c.runImport(ctx, d, &p)
}

// readImport reads the file. It holds secrets: others must not be able to read it.
func (c *ctl) readImport(path, format string) (totpimport.List, error) {
	var in io.Reader = c.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return totpimport.List{}, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return totpimport.List{}, err
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			return totpimport.List{}, fmt.Errorf("%s has mode %04o: others can read the secrets in it; run: chmod 0600 %[1]s", path, info.Mode().Perm())
		}
		in = f
	}
	list, err := totpimport.Read(format, in)
	if err != nil {
		return list, fmt.Errorf("%s: %w", path, err)
	}
	if len(list.Entries)+len(list.Problems) == 0 {
		return list, fmt.Errorf("%s holds no authenticator", path)
	}
	return list, nil
}

// importPlan is what an import would do.
type importPlan struct {
	entries  []totpimport.Entry
	problems []totpimport.Problem
	accounts map[account.ID]bool
	off      int // accounts whose 2FA it switches on
}

// planImport looks every user up. Errors: account.ErrUnavailable.
func planImport(ctx context.Context, d *desk.Desk, list totpimport.List) (importPlan, error) {
	p := importPlan{problems: list.Problems, accounts: make(map[account.ID]bool)}
	for _, e := range list.Entries {
		a, err := find(ctx, d.Store, e.User)
		if errors.Is(err, account.ErrUnavailable) {
			return p, err
		}
		if err == nil {
			err = a.Damage()
		}
		if err != nil {
			p.problems = append(p.problems, totpimport.Problem{Line: e.Line, Text: shownUser(e.User) + err.Error()})
			continue
		}
		p.entries = append(p.entries, e)
		if !p.accounts[a.ID] && !a.TwoFactor() {
			p.off++
		}
		p.accounts[a.ID] = true
	}
	slices.SortStableFunc(p.problems, func(a, b totpimport.Problem) int { return a.Line - b.Line })
	return p, nil
}

// shownUser is a user as a message may show it: what has no @ may be a secret that got
// into the wrong column.
func shownUser(user string) string {
	if !strings.Contains(user, "@") || len(user) > 100 {
		return ""
	}
	return printable(user) + ": "
}

func (c *ctl) dryImport(p *importPlan) error {
	all, rows := []object{}, [][]string{}
	for _, e := range p.entries {
		all = append(all, object{"line": e.Line, "user": e.User, "name": printable(e.Name)})
		rows = append(rows, []string{fmt.Sprint(e.Line), e.User, printable(e.Name)})
	}
	wrong := []object{}
	for _, w := range p.problems {
		wrong = append(wrong, object{"line": w.Line, "error": w.Text})
	}
	o := object{"authenticators": all, "problems": wrong, "accounts": len(p.accounts), "switched_on": p.off, "dry_run": true}
	if err := c.table(o, "LINE,USER,NAME", rows); err != nil || len(wrong) == 0 {
		return err
	}
	return fmt.Errorf("wrong lines: %d", len(wrong))
}

// runImport adds one after another. What is wrong with one does not stop the others.
func (c *ctl) runImport(ctx context.Context, d *desk.Desk, p *importPlan) error {
	t := c.tally("authenticators", len(p.entries))
	for _, w := range p.problems {
		t.failed(object{"line": w.Line, "user": fmt.Sprintf("line %d", w.Line)}, errors.New(w.Text))
	}
	for _, e := range p.entries {
		if err := ctx.Err(); err != nil {
			return t.stop(err)
		}
		o, err := c.importOne(ctx, d, &e)
		if errors.Is(err, account.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.failed(o, err)
			return t.stop(err)
		}
		t.result(o, err)
	}
	return t.end()
}

// importOne adds an authenticator; an interrupt waits for it.
func (c *ctl) importOne(ctx context.Context, d *desk.Desk, e *totpimport.Entry) (object, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	o := object{"line": e.Line, "user": e.User}
	added, err := d.AddTOTP(ctx, c.actor(), e.User, desk.NewTOTP{Name: e.Name, Options: e.Options, Once: true})
	if err == nil {
		o["id"], o["name"], o["two_factor_switched_on"] = added.ID, added.Name, added.First
	}
	return o, err
}
