package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/desk"
)

func (c *ctl) reportCommand() *cobra.Command {
	return group("report", "Reports over all accounts", c.reportMainPassword())
}

func (c *ctl) reportMainPassword() *cobra.Command {
	var domain, since string
	cmd := &cobra.Command{Use: "main-password", Short: "Who still uses the main password where an app password is needed",
		Long: "List the mail programs that still log in with the main password of an account with two-factor login. In a\n" +
			"domain that is observed (login.observe) they still get in; everywhere else they were refused. One line per\n" +
			"service, address and program; HOURS counts the hours in which it tried. Below are the accounts whose main\n" +
			"password is still enough from known devices (known_device_days), and until when.",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return usageError{err}
			}
			return c.mainPasswordReport(cmd.Context(), desk.ReportFilter{Domain: domain, Since: from})
		}}
	cmd.Flags().StringVar(&domain, "domain", "", "only accounts of this `domain`")
	cmd.Flags().StringVar(&since, "since", "", "only what was used since `when`: 7d, 24h, 2027-01-31 (local time), or RFC 3339")
	return cmd
}

func (c *ctl) mainPasswordReport(ctx context.Context, f desk.ReportFilter) error {
	now := time.Now()
	cfg, store, err := c.open(account.RoleDoor) // a mail host has no other key
	if err != nil {
		return err
	}
	r, err := desk.ReportMainPassword(ctx, store, f, now)
	if err != nil {
		return err
	}
	c.sayObserved(cfg, f.Domain, now)
	if r.Unreadable > 0 {
		c.warn("accounts that cannot be read, and may be missing here: %d (posternctl status lists them)", r.Unreadable)
	}
	if len(r.Uses) == 0 {
		c.say("Nobody uses the main password where an app password is needed")
	}
	uses, rows := mainUses(r.Uses)
	known, knownRows := knownUsers(r.Known)
	err = c.table(object{"uses": uses, "known_devices": known}, "USER,SERVICE,ADDRESS,PROGRAM,LAST USED,HOURS", rows)
	if len(knownRows) == 0 {
		return err
	}
	c.say("The main password of these accounts is still enough from known devices")
	return errors.Join(err, c.tableAfter("USER,UNTIL,SERVICE,NETWORK,LAST SEEN", knownRows))
}

// sayObserved tells where the logins of the report still work, and how long.
func (c *ctl) sayObserved(cfg *app.Config, domain string, now time.Time) {
	for d, until := range cfg.Login.Observe {
		if domain != "" && !strings.EqualFold(d, domain) {
			continue
		}
		if until.After(now) {
			c.say("%s is observed until %s: these logins still work", d, when(until, ""))
		}
	}
}

func mainUses(list []desk.MainUse) (all []object, rows [][]string) {
	all = []object{}
	for i := range list {
		u := &list[i]
		o := mainUse(&u.MainUse)
		o["user"], o["domain"] = u.User, u.Domain
		all = append(all, o)
		rows = append(rows, append([]string{u.User}, mainUseRow(&u.MainUse)...))
	}
	return all, rows
}

// mainUse is the same under an account, where user and domain are plain.
func mainUse(u *account.MainUse) object {
	o := object{"service": u.Service, "program": printable(u.Agent), "last": stamp(u.At), "hours": u.Count}
	if u.From.IsValid() {
		o["address"] = u.From
	}
	return o
}

func mainUseRow(u *account.MainUse) []string {
	address, program := "unknown", "unknown"
	if u.From.IsValid() {
		address = u.From.String()
	}
	if u.Agent != "" {
		program = printable(u.Agent)
	}
	return []string{string(u.Service), address, program, when(u.At, "unknown"), strconv.FormatUint(uint64(u.Count), 10)}
}

// ownMainUses are those of one account, the latest first.
func ownMainUses(list []account.MainUse) (all []object, rows [][]string) {
	all = []object{}
	for _, u := range slices.Backward(list) {
		all = append(all, mainUse(&u))
		rows = append(rows, mainUseRow(&u))
	}
	return all, rows
}

// parseSince reads how far back to look: 7d, 24h, a day, which counts from its
// beginning in local time, or a time of RFC 3339. Empty means everything.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, nil
	}
	if n, unit, err := ago(s); err == nil {
		if unit == 'd' {
			return now.AddDate(0, 0, -n), nil
		}
		return now.Add(-time.Duration(n) * time.Hour), nil
	}
	return time.Time{}, fmt.Errorf("--since: %q is none of 7d, 24h, 2027-01-31, 2027-01-31T12:00:00Z", printable(s))
}

// ago reads a number of days or hours.
func ago(s string) (n int, unit byte, err error) {
	unit = s[len(s)-1]
	n, err = strconv.Atoi(s[:len(s)-1])
	if err != nil || n < 1 || n > 36500 || unit != 'd' && unit != 'h' {
		return 0, 0, errors.New("no number of days or hours")
	}
	return n, unit, nil
}
