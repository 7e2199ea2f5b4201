package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/factor"
	"postern/internal/secretfile"
)

func (c *ctl) totpCommand() *cobra.Command {
	return group("totp", "Authenticator apps and hardware tokens (TOTP)", c.totpAdd(), c.totpImport(),
		c.totpCode(),
		c.command(command{"list USER", "List the authenticators", 1, 1, c.totpList}),
		c.command(command{"remove USER ID", "Remove an authenticator; two-factor login stays on, after the last one the user must enrol anew", 2, 2, c.totpRemove}))
}

// totpFlags are what totp add takes.
type totpFlags struct {
	name, secretFile, algorithm string
	digits, period              int
}

func (c *ctl) totpAdd() *cobra.Command {
	var f totpFlags
	cmd := c.command(command{"add USER", "Add an authenticator and print its secret; the first one switches two-factor login on", 1, 1,
		func(ctx context.Context, d *desk.Desk, args []string) error { return c.addTOTP(ctx, d, args[0], f) }})
	cmd.Flags().StringVar(&f.name, "name", "Authenticator", "its `name`")
	cmd.Flags().StringVar(&f.secretFile, "secret-file", "", "`file` with an existing secret in base32, of a hardware token; - reads standard input")
	cmd.Flags().StringVar(&f.algorithm, "algorithm", "SHA1", "SHA1, SHA256 or SHA512; apps on telephones know SHA1")
	cmd.Flags().IntVar(&f.digits, "digits", 6, "`number` of digits of a code, 6 or 8")
	cmd.Flags().IntVar(&f.period, "period", 30, "`seconds` that a code lasts, 30 or 60")
	return cmd
}

func (c *ctl) addTOTP(ctx context.Context, d *desk.Desk, user string, f totpFlags) error {
	n, err := c.newTOTP(f)
	if err != nil {
		return err
	}
	added, err := d.AddTOTP(ctx, c.actor(), user, n)
	if err != nil {
		return err
	}
	c.say("Added authenticator %s %q for %s.", added.ID, added.Name, added.User)
	if added.First {
		c.say("Two-factor login is on: mail programs now need an app password, see: posternctl app-password create %s", added.User)
	}
	uri := added.TOTP.URI(added.Domain, added.User)
	o := authenticator(&added.Authenticator)
	o["secret"], o["uri"], o["two_factor_switched_on"] = added.TOTP.SecretText(), uri, added.First
	if err := c.print(o, "secret: "+added.TOTP.SecretText(), "uri: "+uri); err != nil {
		return err
	}
	if c.json || !terminal(c.out) {
		return nil
	}
	return printQR(c.out, uri)
}

func (c *ctl) newTOTP(f totpFlags) (desk.NewTOTP, error) {
	n := desk.NewTOTP{Name: f.name, Options: factor.TOTPOptions{Digits: f.digits, Period: f.period}}
	var err error
	if n.Options.Algorithm, err = factor.ParseAlgorithm(f.algorithm); err != nil {
		return n, usageError{err}
	}
	if f.digits != 6 && f.digits != 8 {
		return n, usagef("--digits must be 6 or 8")
	}
	if f.period != 30 && f.period != 60 {
		return n, usagef("--period must be 30 or 60")
	}
	if f.secretFile != "" {
		n.Options.Secret, err = c.readSecret(f.secretFile)
	}
	return n, err
}

// readSecret reads a secret from a file that others cannot read, or from standard
// input for "-".
func (c *ctl) readSecret(path string) ([]byte, error) {
	if path != "-" {
		text, err := secretfile.ReadLine(path)
		if err != nil {
			return nil, fmt.Errorf("--secret-file: %w", err)
		}
		return factor.ParseTOTPSecret(string(text))
	}
	if terminal(c.in) {
		if c.noInput {
			return nil, errors.New("--secret-file - would ask on the terminal, which --no-input forbids")
		}
		c.say("Secret in base32, then Ctrl-D:")
	}
	text, err := io.ReadAll(io.LimitReader(c.in, 4096))
	if err != nil {
		return nil, fmt.Errorf("--secret-file -: %w", err)
	}
	return factor.ParseTOTPSecret(string(text))
}

func (c *ctl) totpCode() *cobra.Command {
	var reason string
	cmd := c.command(command{"code USER [ID]", "Print the current code (audited)", 1, 2,
		func(ctx context.Context, d *desk.Desk, args []string) error { return c.showCode(ctx, d, args, reason) }})
	cmd.Example = "  posternctl totp code alice@example.test --reason \"ticket 4711, identified by telephone\""
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the audit log and the account's owner")
	return cmd
}

func (c *ctl) showCode(ctx context.Context, d *desk.Desk, args []string, reason string) error {
	id := ""
	if len(args) == 2 {
		id = args[1]
	}
	shown, err := d.Code(ctx, c.actor(), args[0], desk.WantedCode{ID: id, Reason: reason})
	if err != nil {
		return err
	}
	c.say("Authenticator %s %q of %s; good for %d s more", shown.ID, shown.Name, shown.User, int(time.Until(shown.Expires).Seconds()))
	o := object{"user": shown.User, "id": shown.ID, "name": shown.Name, "code": string(shown.Code.Reveal()), "expires": stamp(shown.Expires)}
	return c.print(o, string(shown.Code.Reveal()))
}

func (c *ctl) totpList(ctx context.Context, d *desk.Desk, args []string) error {
	list, err := d.ListTOTP(ctx, args[0])
	if list == nil && err != nil {
		return err
	}
	all, rows := authenticators(list)
	if len(list) == 0 {
		c.say("%s has no authenticator", args[0])
	}
	return errors.Join(c.table(object{"authenticators": all}, authenticatorHeader, rows), err)
}

func (c *ctl) totpRemove(ctx context.Context, d *desk.Desk, args []string) error {
	return c.removeFactor(ctx, d, args[0], desk.Ref{Kind: account.KindTOTP, ID: args[1]})
}

// removeFactor removes a second factor of any kind.
func (c *ctl) removeFactor(ctx context.Context, d *desk.Desk, user string, ref desk.Ref) error {
	removed, err := d.RemoveFactor(ctx, c.actor(), user, ref)
	if err != nil {
		return err
	}
	c.say("Removed %s %s %q of %s. Ended: %s.", ref.Kind, removed.ID, removed.Name, removed.User, removed.Ended)
	if removed.MustEnrol {
		c.warn("%s has no second factor left, and two-factor login stays on: only app passwords open mail. "+
			"Add another, or switch it off: posternctl user disable %s", removed.User, removed.User)
	}
	o := object{"user": removed.User, "id": removed.ID, "name": removed.Name, "factors_left": removed.Factors,
		"backup_codes_left": removed.BackupCodes, "must_enrol": removed.MustEnrol, "ended": ended(removed.Ended)}
	return c.printWithToken(o, removed.User, removed.Token)
}

const authenticatorHeader = "ID,NAME,CREATED,LAST USED,KIND"

func authenticator(a *desk.Authenticator) object {
	o := object{"user": a.User, "id": a.ID, "name": a.Name, "created": stamp(a.Created),
		"algorithm": a.Algorithm, "digits": a.Digits, "period": a.Period}
	o.addUse(a.Used)
	return o
}

func authenticators(list []desk.Authenticator) (all []object, rows [][]string) {
	all = make([]object, 0, len(list))
	for i := range list {
		a := &list[i]
		all = append(all, authenticator(a))
		kind := string(a.Algorithm) + ", " + strconv.Itoa(a.Digits) + " digits, " + strconv.Itoa(a.Period) + " s"
		rows = append(rows, []string{a.ID, a.Name, when(a.Created, "unknown"), used(account.Use{At: a.Used.At}), kind})
	}
	return all, rows
}
