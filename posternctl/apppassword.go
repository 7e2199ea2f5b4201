package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

func (c *ctl) appPasswordCommand() *cobra.Command {
	return group("app-password", "App passwords of mail programs", c.appPasswordCreate(), c.appPasswordList(),
		c.command(command{"revoke USER ID", "End an app password at once", 2, 2, c.revokeAppPassword}), c.appPasswordRenew())
}

// appFlags are what app-password create takes.
type appFlags struct {
	name, expires      string
	services, networks []string
}

func (c *ctl) appPasswordCreate() *cobra.Command {
	var f appFlags
	cmd := c.command(command{"create USER", "Create an app password and print it, once", 1, 1,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			return c.createAppPassword(ctx, d, args[0], f)
		}})
	cmd.Flags().StringVar(&f.name, "name", "", "`name` of the device or program (required)")
	cmd.Flags().StringSliceVar(&f.services, "services", nil, "what it opens: "+joined(account.Scopes, "")+" (default "+joined(account.MailServices, "")+")")
	cmd.Flags().StringSliceVar(&f.networks, "networks", nil, "`networks` it may be used from, such as 192.0.2.0/24 (default: anywhere)")
	cmd.Flags().StringVar(&f.expires, "expires", "", "`when` it ends: 2027-01-31 (with that day, local time), 90d, or RFC 3339 (default: never)")
	return cmd
}

func (c *ctl) createAppPassword(ctx context.Context, d *desk.Desk, user string, f appFlags) error {
	n, err := newAppPassword(f, d.Now())
	if err != nil {
		return usageError{err}
	}
	created, err := d.CreateAppPassword(ctx, c.actor(), user, n)
	if err != nil {
		return err
	}
	password := string(created.Password.Reveal())
	c.say("Created app password %s %q for %s: services %s, from %s, until %s. It is shown only now.", created.ID, created.Name, created.User,
		joined(created.Services, ""), joined(created.Networks, "anywhere"), when(created.Expires, "revoked"))
	if created.Alone {
		c.say("Two-factor login is off for %s: the main password goes on working, too.", created.User)
	}
	o := appPassword(&created.AppPassword, d.Now())
	o["password"] = password
	return c.print(o, password)
}

func newAppPassword(f appFlags, now time.Time) (n desk.NewAppPassword, err error) {
	if strings.TrimSpace(f.name) == "" {
		return n, errors.New("--name is needed: the device or program that will use it")
	}
	n.Name = f.name
	for _, s := range f.services {
		n.Services = append(n.Services, account.ParseService(strings.TrimSpace(s)))
	}
	for _, s := range f.networks {
		p, err := parseNetwork(strings.TrimSpace(s))
		if err != nil {
			return n, err
		}
		n.Networks = append(n.Networks, p)
	}
	n.Expires, err = parseExpiry(f.expires, now)
	return n, err
}

// parseNetwork reads a network, or one address.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("--networks: %q is not a network such as 192.0.2.0/24 or 2001:db8::/48", printable(s))
	}
	return p, nil
}

// parseExpiry reads a day, which counts to its end in local time, a number of days
// (90d), or a time of RFC 3339. Empty means never.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	return time.Time{}, fmt.Errorf("--expires: %q is none of 2027-01-31, 90d, 2027-01-31T12:00:00Z", printable(s))
}

func (c *ctl) appPasswordList() *cobra.Command {
	var all bool
	cmd := c.command(command{"list USER", "List the app passwords", 1, 1,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			return c.listAppPasswords(ctx, d, args[0], all)
		}})
	cmd.Flags().BoolVar(&all, "all", false, "list revoked ones, too")
	return cmd
}

func (c *ctl) listAppPasswords(ctx context.Context, d *desk.Desk, user string, revoked bool) error {
	list, err := d.ListAppPasswords(ctx, user)
	if list == nil && err != nil {
		return err
	}
	all, rows := appPasswords(list, d.Now(), revoked)
	if len(all) == 0 {
		c.say("%s has no app password", user)
	}
	return errors.Join(c.table(object{"app_passwords": all}, appPasswordHeader, rows), err)
}

func (c *ctl) revokeAppPassword(ctx context.Context, d *desk.Desk, args []string) error {
	revoked, err := d.RevokeAppPassword(ctx, c.actor(), args[0], args[1])
	if err != nil {
		return err
	}
	c.say("Revoked app password %s %q of %s; last used: %s.", revoked.ID, revoked.Name, revoked.User, used(revoked.Used))
	if !c.json {
		return nil
	}
	o := object{"user": revoked.User, "id": revoked.ID, "name": revoked.Name, "state": "revoked"}
	o.addTime("revoked", revoked.Ended)
	o.addUse(revoked.Used)
	return c.print(o)
}

func (c *ctl) appPasswordRenew() *cobra.Command {
	cmd := c.command(command{"renew USER ID", "Let an app password work again that has expired, or was unused for too long", 2, 2, c.renewAppPassword})
	cmd.Long = "Let an app password work again that has expired, or that nobody used for as long as policy says. It is as if it was\n" +
		"made now, with the same text and for as long as it was made for. A revoked one stays revoked."
	cmd.Example = "  posternctl app-password renew ada@example.test k3vq"
	return cmd
}

func (c *ctl) renewAppPassword(ctx context.Context, d *desk.Desk, args []string) error {
	renewed, err := d.RenewAppPassword(ctx, c.actor(), args[0], args[1])
	if err != nil {
		return err
	}
	c.say("App password %s %q of %s works again, until %s.", renewed.ID, renewed.Name, renewed.User, when(renewed.Expires, "revoked"))
	if !c.json {
		return nil
	}
	return c.print(appPassword(&renewed, d.Now()))
}

const appPasswordHeader = "ID,NAME,STATE,SERVICES,NETWORKS,CREATED,EXPIRES,LAST USED"

func appPassword(p *desk.AppPassword, now time.Time) object {
	o := object{"user": p.User, "id": p.ID, "name": p.Name, "state": p.State(now), "services": p.Services,
		"networks": prefixes(p.Networks), "created": stamp(p.Created)}
	o.addTime("expires", p.Expires)
	o.addTime("expires_unused", p.Unused)
	o.addTime("revoked", p.Ended)
	o.addUse(p.Used)
	return o
}

func appPasswords(list []desk.AppPassword, now time.Time, revoked bool) (all []object, rows [][]string) {
	all = []object{}
	for i := range list {
		p := &list[i]
		if !p.Ended.IsZero() && !revoked {
			continue
		}
		all = append(all, appPassword(p, now))
		rows = append(rows, []string{p.ID, p.Name, p.State(now), joined(p.Services, ""), joined(p.Networks, "anywhere"),
			when(p.Created, "unknown"), when(p.Expires, "never"), used(p.Used)})
	}
	return all, rows
}
