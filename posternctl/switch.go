package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/siteswitch"
	"postern/ldapstore"
)

func (c *ctl) offCommand() *cobra.Command {
	var (
		reason string
		life   time.Duration
	)
	cmd := &cobra.Command{Use: "off", Short: "Switch Postern off for a while: main passwords open mail and webmail for everybody",
		Long: "Switch back to how it was before Postern, for everybody and for a while: main passwords open mail and webmail, with\n" +
			"or without two-factor login. App passwords go on working, records stay. Every daemon follows within ten seconds and\n" +
			"says so in its log, status and doctor say so, metric postern_switched_off is 1. It ends by itself.",
		Example: "  posternctl off --reason \"lost the key of the webhook's host\" --for 4h",
		Args:    between(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.off(cmd.Context(), reason, life) }}
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the audit log and everybody who asks (needed)")
	cmd.Flags().DurationVar(&life, "for", 24*time.Hour, "how long, at most 168h")
	return cmd
}

func (c *ctl) onCommand() *cobra.Command {
	return &cobra.Command{Use: "on", Short: "Switch Postern on again, after posternctl off", Example: "  posternctl on", Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.on(cmd.Context()) }}
}

// errOn says that there is nothing to switch on.
var errOn = errors.New("nothing to do: Postern is on")

func (c *ctl) off(ctx context.Context, reason string, life time.Duration) error {
	if strings.TrimSpace(reason) == "" {
		return usagef("--reason is needed: it stands in the audit log, and wherever somebody wonders")
	}
	if life <= 0 || life > siteswitch.Longest {
		return usagef("--for: more than 0, at most %v", siteswitch.Longest)
	}
	now := time.Now().UTC()
	s := siteswitch.State{Off: true, At: now, Until: now.Add(life).Truncate(time.Second), Reason: effect.Clean(reason), By: c.actor().Name}
	if err := c.throw(ctx, s, effect.SiteOff); err != nil {
		return err
	}
	c.warn("Postern is switched off until %s: main passwords open mail and webmail for everybody", when(s.Until, ""))
	return c.print(object{"off": true, "until": stamp(s.Until), "reason": s.Reason}, "off until "+stamp(s.Until))
}

func (c *ctl) on(ctx context.Context) error {
	_, store, err := c.open(account.RoleDoor)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	was, err := store.Switch(ctx)
	if err != nil {
		return err
	}
	if !was.IsOff(now) {
		return errOn
	}
	if !now.After(was.At) {
		now = was.At.Add(time.Microsecond) // this host's clock is behind the one that switched off
	}
	s := siteswitch.State{At: now, Until: was.Until, Reason: was.Reason, By: c.actor().Name}
	if !s.Until.After(s.At) {
		s.Until = s.At.Add(time.Minute)
	}
	if err := c.throw(ctx, s, effect.SiteOn); err != nil {
		return err
	}
	c.say("Postern is on again; every daemon follows within ten seconds")
	return c.print(object{"off": false}, "on")
}

// throw changes the switch and audits it. The log is opened first: what cannot be
// audited is not begun.
func (c *ctl) throw(ctx context.Context, s siteswitch.State, action effect.Action) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cfg, store, err := c.open(account.RoleDoor)
	if err != nil {
		return err
	}
	known, err := store.KeyChecks(ctx)
	if err != nil {
		return err
	}
	ring, err := cfg.OpenRing(account.RoleDoor)
	if err != nil {
		return err
	}
	if err := ring.Check(known); err != nil {
		return err
	}
	recorder, err := c.recorder(cfg, systemLog)
	if err != nil {
		return err
	}
	e := effect.Event{Time: s.At, Action: action, Outcome: "done", Actor: s.By, Detail: fmt.Sprintf("%s, until %s", s.Reason, stamp(s.Until))}
	if err := store.Throw(ctx, s); err != nil {
		e.Outcome = "unavailable"
		recorder.Record(e)
		return err
	}
	recorder.Record(e)
	return nil
}

// sayOff warns in whatever tells about accounts while Postern is switched off.
func (c *ctl) sayOff(ctx context.Context) {
	cfg, err := c.load()
	if err != nil {
		return // who called says so
	}
	store, _, err := cfg.OpenStore(account.RoleDoor)
	if err != nil {
		return
	}
	defer store.Close()
	c.warnOff(ctx, store)
}

func (c *ctl) warnOff(ctx context.Context, store *ldapstore.Store) {
	if s, err := store.Switch(ctx); err == nil && s.IsOff(time.Now()) {
		c.warn("POSTERN IS SWITCHED OFF until %s (%s, by %s): main passwords open everything; to switch it on: posternctl on",
			stamp(s.Until), s.Reason, s.By)
	}
}
