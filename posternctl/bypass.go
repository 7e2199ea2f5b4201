package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
)

// bypassFlags are what bypass takes.
type bypassFlags struct {
	life     bypassLife
	reason   string
	services []string
	end      bool
}

// bypassLife is a flag whose error says what to write.
type bypassLife time.Duration

func (l *bypassLife) String() string { return time.Duration(*l).String() }

// Type is how the help calls it.
func (*bypassLife) Type() string { return "duration" }

// Set reads 30m, 4h.
func (l *bypassLife) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("write minutes or hours, such as 30m or 4h, at most 24h")
	}
	*l = bypassLife(d)
	return nil
}

func (c *ctl) bypassCommand() *cobra.Command {
	var f bypassFlags
	cmd := c.command(command{"bypass USER", "Let an account in by its main password for a while, without its second factor", 1, 1,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			if f.end {
				return c.endBypass(ctx, d, args[0])
			}
			return c.grantBypass(ctx, d, args[0], f)
		}})
	cmd.Long = "For the time given, the main password opens mail and webmail of one account as if it had no two-factor login.\n" +
		"It ends by itself, and what it let in ends with it. Settings still ask for a factor. The reason goes to the\n" +
		"audit log and to the account's owner."
	cmd.Example = "  posternctl bypass director@example.test --for 1h --reason 'lost the phone abroad, identity checked by telephone'\n" +
		"  posternctl bypass director@example.test --end"
	f.life = bypassLife(time.Hour)
	cmd.Flags().Var(&f.life, "for", "how long, at most 24h")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why (required)")
	cmd.Flags().StringSliceVar(&f.services, "services", nil, "only these: "+joined(desk.BypassServices, "")+" (default: all of them)")
	cmd.Flags().BoolVar(&f.end, "end", false, "end it now")
	return cmd
}

func (c *ctl) grantBypass(ctx context.Context, d *desk.Desk, user string, f bypassFlags) error {
	if strings.TrimSpace(f.reason) == "" {
		return usagef("--reason is needed: it goes to the audit log and to the account's owner")
	}
	n := desk.NewBypass{For: time.Duration(f.life), Reason: f.reason}
	for _, s := range f.services {
		n.Services = append(n.Services, account.ParseService(strings.TrimSpace(s)))
	}
	b, err := d.Bypass(ctx, c.actor(), user, n)
	if err != nil {
		return err
	}
	c.say("Until %s the main password of %s opens %s without a second factor. End it before: posternctl bypass %s --end",
		when(b.Until, ""), b.User, joined(b.Services, "mail and webmail"), b.User)
	return c.printBypass(&b)
}

func (c *ctl) endBypass(ctx context.Context, d *desk.Desk, user string) error {
	b, err := d.EndBypass(ctx, c.actor(), user)
	if err != nil {
		return err
	}
	c.say("The bypass of %s is over, and what it let in.", b.User)
	b.Until = d.Now()
	return c.printBypass(&b)
}

func (c *ctl) printBypass(b *desk.Bypass) error {
	if !c.json {
		return nil
	}
	services := b.Services
	if services == nil {
		services = desk.BypassServices
	}
	return c.print(object{"user": b.User, "from": stamp(b.From), "until": stamp(b.Until), "services": services, "reason": b.Reason, "by": b.By})
}
