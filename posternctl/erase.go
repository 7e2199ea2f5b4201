package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/desk"
	"postern/internal/policy"
)

func (c *ctl) userErase() *cobra.Command {
	var confirm, reason string
	cmd := c.command(command{"erase USER", "Remove all that is kept about an account", 1, 1,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			if confirm != args[0] {
				return usagef("to confirm, repeat the name: --confirm %s", printable(args[0]))
			}
			gone, err := d.Erase(ctx, c.actor(), args[0], reason)
			if err != nil {
				return err
			}
			c.say("All that was kept about %s is removed; the audit log keeps its lines.", gone.User)
			if !gone.Required {
				c.say("The main password of %s is enough from now on.", gone.User)
			}
			return c.erased(&gone)
		}})
	cmd.Long = "Remove every factor, app password, session and setting of an account, its class and its own policy, and end its live\n" +
		"sessions. Afterwards it is as one that was never seen: without two-factor login, unless policy demands it. The\n" +
		"directory's own entry and the lines of the audit log stay. Where two-factor login is on or demanded, say why."
	cmd.Example = "  posternctl user erase ada@example.test --confirm ada@example.test --reason 'has left, asked for erasure'"
	cmd.Flags().StringVar(&confirm, "confirm", "", "the `name` once more")
	cmd.Flags().StringVar(&reason, "reason", "", "why; for the audit log")
	return cmd
}

func (c *ctl) erased(gone *desk.Erased) error {
	if !c.json {
		return nil
	}
	return c.print(object{"user": gone.User, "records": gone.Records, "required": gone.Required})
}

func (c *ctl) userExport() *cobra.Command {
	cmd := c.command(command{"export USER", "Print all that is kept about an account, as JSON", 1, 1, c.exportUser})
	cmd.Long = "Print all that is kept about an account as one JSON object: state, names, times and addresses of credentials, policy,\n" +
		"history. No secret, hash or key is in it. Lines of the audit log are not kept by account: search it for the name."
	cmd.Example = "  posternctl user export ada@example.test > ada.json"
	return cmd
}

func (c *ctl) exportUser(ctx context.Context, d *desk.Desk, args []string) error {
	x, err := d.Export(ctx, c.actor(), args[0])
	if err != nil {
		return err
	}
	o := desk.OverviewOf(x.Account, d.Now())
	s := &x.Account.State
	all := summary(&o.Summary)
	all["key"], all["entry"], all["class"] = x.Account.ID, x.Account.DN, x.Account.Class
	all["records"] = exportedRecords(x.Records, x.Bodies)
	all["app_passwords"], _ = appPasswords(x.Apps, d.Now(), false)
	all["backup_codes_left"], all["backup_codes_used"] = o.Backup.Left, o.Backup.Used
	all["main_password_uses"], _ = ownMainUses(s.MainUses)
	all["history"] = exportedHistory(s.Happenings())
	all["state"] = desk.ExportFields(*s)
	all["known_browsers"] = len(s.Browsers) / browserHash
	if s.Known != nil {
		all["known_devices"] = remembered(s.Known)
	}
	all.addTime("grace_start", s.GraceStart)
	all.addTime("token_expires", s.EnrolUntil)
	if b := s.Bypass; b != nil {
		all["bypass"] = object{"from": stamp(b.From), "until": stamp(b.Until), "reason": b.Reason, "by": b.By, "services": b.Services}
	}
	if text := ownPolicy(x.Account.Policy); json.Valid([]byte(text)) {
		all["own_policy"] = json.RawMessage(text)
	}
	c.json = true
	return errors.Join(c.print(all), x.Unreadable)
}

// browserHash is the length of what is kept of a browser; see account.State.KnowBrowser.
const browserHash = 4

func exportedRecords(list []account.Record, bodies []map[string]any) []object {
	all := []object{}
	for i := range list {
		r := &list[i]
		o := object{"kind": r.Kind.Word(), "id": r.ID, "name": r.Name}
		o.addTime("created", r.Created)
		o.addTime("expires", r.Expires)
		o.addTime("ended", r.Ended)
		o.addTime("stopped", r.Stopped)
		o["details"] = bodies[i]
		o.addUse(r.Used)
		if r.Used.Agent != "" {
			o["agent"] = printable(r.Used.Agent)
		}
		all = append(all, o)
	}
	return all
}

func exportedHistory(list []account.Happening) []object {
	all := []object{}
	for i := range list {
		h := &list[i]
		o := object{"topic": h.Topic, "at": stamp(h.At()), "name": h.Name, "agent": h.Agent, "by": h.By, "count": max(h.Count, 1)}
		if h.From.IsValid() {
			o["address"] = h.From
		}
		all = append(all, o)
	}
	return all
}

// ownPolicy is the account's own policy as stored; "" if it has none.
func ownPolicy(layers policy.Layers) string {
	if n := len(layers); n > 0 && layers[n-1].Origin == string(policy.LevelAccount) {
		return layers[n-1].Text
	}
	return ""
}
