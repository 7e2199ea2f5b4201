package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/internal/desk"
	"postern/internal/policy"
	"postern/ldapstore"
)

const levelsHelp = "The level is one of: default, domain NAME, class NAME, user NAME. The nearest that sets a key wins, key by key:\n" +
	"an account's own policy before its class's, that before its domain's, that before the default.\n"

func (c *ctl) policyCommand() *cobra.Command {
	return group("policy", "Policies of domains, classes and accounts", c.policyShow(), c.policyList(), c.policySet(), c.policyUnset())
}

func (c *ctl) policyShow() *cobra.Command {
	cmd := c.command(command{"show LEVEL", "Show every setting of a level, its value and where it comes from", 1, 2,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			if len(args) == 1 && !slices.Contains(levelWords, args[0]) {
				args = []string{levelUser, args[0]} // a name alone is a user's
			}
			l, _, err := c.level(args)
			if err != nil {
				return err
			}
			return c.showPolicy(ctx, d, l)
		}})
	cmd.Long = levelsHelp + "For a domain, what holds for its accounts without a class is shown; for a class, for accounts of domains\n" +
		"without a policy."
	cmd.Example = "  posternctl policy show default\n  posternctl policy show domain example.test\n  posternctl --json policy show user alice@example.test"
	return cmd
}

func (c *ctl) policyList() *cobra.Command {
	return c.command(command{"list", "List the domains and classes that have a policy", 0, 0, c.listPolicies})
}

func (c *ctl) policySet() *cobra.Command {
	cmd := c.many(1, command{"set LEVEL KEY=VALUE…", "Change settings of a domain, a class or an account", 1, 100,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			l, rest, err := c.level(args)
			if err != nil {
				return err
			}
			assign, err := assignments(rest)
			if err != nil {
				return usageError{err}
			}
			return c.setPolicy(ctx, d, l, assign)
		}})
	cmd.Long = levelsHelp + manyUsers + "\n" + "All keys are changed at once, or none. The default is not changed here but in the configuration file.\n" +
		fmt.Sprintf("Running daemons follow within %d seconds.\n", int(ldapstore.PolicyAge.Seconds())) +
		"Durations are written like 14d, 12h or 90m, lists with commas between.\n\n" + keysHelp()
	cmd.Example = "  posternctl policy set domain example.test twofactor=mandatory grace=14d\n" +
		"  posternctl policy set class students app_passwords=false methods=passkey\n" +
		"  posternctl policy set user director@example.test twofactor=optional\n" +
		"  posternctl policy set user --users pilot.txt twofactor=mandatory grace=14d --confirm 25"
	return cmd
}

// keysHelp lists the keys with what may be written.
func keysHelp() string {
	var b strings.Builder
	b.WriteString("Keys:\n")
	for _, f := range policy.Fields() {
		fmt.Fprintf(&b, "  %s: %s\n      %s\n", f.Key, f.Values, f.Doc)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (c *ctl) policyUnset() *cobra.Command {
	var all bool
	cmd := c.many(1, command{"unset LEVEL [KEY…]", "Let farther levels decide again", 1, 100,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			l, keys, err := c.level(args)
			switch {
			case err != nil:
				return err
			case all == (len(keys) > 0):
				return usagef("name the keys to unset, or --all")
			}
			return c.unsetPolicy(ctx, d, l, keys)
		}})
	cmd.Flags().BoolVar(&all, "all", false, "unset every key, also of a policy that cannot be read")
	cmd.Example = "  posternctl policy unset domain example.test twofactor grace\n  posternctl policy unset user director@example.test --all"
	return cmd
}

// levelUser is what an account's level is called here.
const levelUser = "user"

// levelWords are what a level begins with.
var levelWords = []string{string(policy.LevelDefault), string(policy.LevelDomain), string(policy.LevelClass), levelUser}

// level reads a level from the first words, and returns the others.
func (c *ctl) level(args []string) (policy.Level, []string, error) {
	kind := args[0]
	if kind == string(policy.LevelDefault) {
		return policy.Level{Kind: policy.LevelDefault}, args[1:], nil
	}
	if !slices.Contains(levelWords, kind) {
		return policy.Level{}, nil, usagef("%q is none of default, domain NAME, class NAME, user NAME", printable(kind))
	}
	if len(args) < 2 {
		return policy.Level{}, nil, usagef("%s: name it", kind)
	}
	if kind == levelUser {
		c.user = printable(args[1])
		return policy.Level{Kind: policy.LevelAccount, Name: args[1]}, args[2:], nil
	}
	l, err := policy.NewLevel(policy.Kind(kind), args[1])
	if err != nil {
		return l, nil, usageError{err}
	}
	return l, args[2:], nil
}

// assignments reads KEY=VALUE, and finds mistakes before anything is opened.
func assignments(args []string) ([]desk.Assignment, error) {
	if len(args) == 0 {
		return nil, errors.New("name what to set: KEY=VALUE")
	}
	var (
		list []desk.Assignment
		s    policy.Settings
	)
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not KEY=VALUE", printable(a))
		}
		if slices.ContainsFunc(list, func(before desk.Assignment) bool { return before.Key == key }) {
			return nil, fmt.Errorf("%s is there twice", key)
		}
		if err := s.Set(key, value); err != nil {
			return nil, err
		}
		list = append(list, desk.Assignment{Key: key, Value: value})
	}
	return list, s.Validate()
}

// policies is the part of the desk that policies are changed at.
func policies(d *desk.Desk) (desk.Policies, error) {
	store, ok := d.Store.(desk.PolicyStore)
	if !ok {
		return desk.Policies{}, errors.New("the store keeps no policies")
	}
	return desk.Policies{Desk: d, Store: store}, nil
}

func (c *ctl) showPolicy(ctx context.Context, d *desk.Desk, l policy.Level) error {
	p, err := policies(d)
	if err != nil {
		return err
	}
	s, err := p.Show(ctx, l)
	if err != nil {
		return err
	}
	c.contradictions(&s)
	o := shownPolicy(&s)
	settings := object{}
	var rows [][]string
	for _, f := range policy.Fields() {
		value, origin := s.Effective.Get(f.Key), s.Effective.Origin[f.Key]
		settings[f.Key] = object{"value": value, "origin": origin}
		rows = append(rows, []string{f.Key, printable(policy.Text(value)), printable(origin)})
	}
	o["policy"] = settings
	return c.table(o, "SETTING,VALUE,FROM", rows)
}

func (c *ctl) contradictions(s *desk.ShownPolicy) {
	for _, p := range s.Problems {
		c.warn("the policy contradicts itself: %v", p)
	}
}

// shownPolicy names the level and what it sets itself.
func shownPolicy(s *desk.ShownPolicy) object {
	o := levelObject(s.Level, &s.Own.Settings)
	problems := []string{}
	for _, p := range s.Problems {
		problems = append(problems, p.Error())
	}
	o["contradictions"] = problems
	if s.Level.Kind == policy.LevelAccount {
		o["user"], o["domain"], o["class"] = s.Level.Name, s.Domain, s.Class
	}
	return o
}

func levelObject(l policy.Level, own *policy.Settings) object {
	kind := string(l.Kind)
	if l.Kind == policy.LevelAccount {
		kind = levelUser
	}
	set := object{}
	for _, f := range policy.Fields() {
		if v := own.Get(f.Key); v != nil {
			set[f.Key] = v
		}
	}
	return object{"level": kind, "name": l.Name, "set": set}
}

func (c *ctl) listPolicies(ctx context.Context, d *desk.Desk, _ []string) error {
	p, err := policies(d)
	if err != nil {
		return err
	}
	list, err := p.List(ctx)
	if err != nil {
		return err
	}
	all := make([]object, 0, len(list))
	var rows [][]string
	for i := range list {
		l := &list[i]
		o := levelObject(l.Level, &l.Settings)
		if l.Err != nil {
			o["error"] = l.Err.Error()
			c.warn("the policy of %s cannot be read, and its accounts cannot log in: %v", l.Level, l.Err)
		}
		all = append(all, o)
		rows = append(rows, []string{l.Level.String(), settingsText(&l.Layer)})
	}
	if len(list) == 0 {
		c.say("No domain and no class has a policy")
	}
	return c.table(object{"policies": all}, "LEVEL,SETTINGS", rows)
}

func settingsText(l *policy.Layer) string {
	if l.Err != nil {
		return "unreadable"
	}
	var parts []string
	for _, f := range policy.Fields() {
		if v := l.Get(f.Key); v != nil {
			parts = append(parts, f.Key+"="+policy.Text(v))
		}
	}
	if len(parts) == 0 {
		return "nothing set"
	}
	return strings.Join(parts, " ")
}

func (c *ctl) setPolicy(ctx context.Context, d *desk.Desk, l policy.Level, assign []desk.Assignment) error {
	p, err := policies(d)
	if err != nil {
		return err
	}
	changed, err := p.Set(ctx, c.actor(), l, assign...)
	return c.changedPolicy(&changed, err)
}

// unsetPolicy unsets the keys, or all if none is named.
func (c *ctl) unsetPolicy(ctx context.Context, d *desk.Desk, l policy.Level, keys []string) error {
	p, err := policies(d)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		changed, err := p.UnsetAll(ctx, c.actor(), l)
		return c.changedPolicy(&changed, err)
	}
	var (
		assign []desk.Assignment
		s      policy.Settings
	)
	for _, key := range keys {
		if err := s.Unset(key); err != nil {
			return usageError{err}
		}
		assign = append(assign, desk.Assignment{Key: key, Unset: true})
	}
	changed, err := p.Set(ctx, c.actor(), l, assign...)
	return c.changedPolicy(&changed, err)
}

// changedPolicy tells what was changed.
func (c *ctl) changedPolicy(changed *desk.ChangedPolicy, err error) error {
	if errors.Is(err, desk.ErrDefault) {
		return fmt.Errorf("%w: %s", err, c.configPath)
	}
	if err != nil {
		return err
	}
	for _, line := range changed.Changes {
		c.say("%s: %s", levelName(changed.Level), printable(line))
	}
	switch len(changed.Changes) {
	case 0:
		c.say("%s: nothing to change, it is so already", levelName(changed.Level))
	default:
		c.say("Running daemons follow within %d seconds.", int(ldapstore.PolicyAge.Seconds()))
	}
	c.contradictions(&changed.ShownPolicy)
	if !c.json {
		return nil
	}
	o := shownPolicy(&changed.ShownPolicy)
	o["changes"] = append([]string{}, changed.Changes...)
	return c.print(o)
}

// levelName is how messages name a level.
func levelName(l policy.Level) string {
	if l.Kind == policy.LevelAccount {
		return l.Name
	}
	return l.String()
}

func (c *ctl) userClass() *cobra.Command {
	var none bool
	cmd := c.many(0, command{"class USER [CLASS]", "Show the class of an account, or make it one of a class", 1, 2,
		func(ctx context.Context, d *desk.Desk, args []string) error {
			switch {
			case none && len(args) == 2:
				return usagef("give either a class or --none")
			case len(args) == 1 && !none:
				return c.showClass(ctx, d, args[0])
			}
			return c.setClass(ctx, d, args[0], strings.Join(args[1:], ""))
		}})
	cmd.Long = "The policy of its class holds for an account before that of its domain: posternctl policy set class NAME.\n" + manyHelp
	cmd.Example = "  posternctl user class scanner@example.test devices\n  posternctl user class --filter '(ou=scanners)' devices --dry-run\n  posternctl user class scanner@example.test --none"
	cmd.Flags().BoolVar(&none, "none", false, "make it one of no class")
	return cmd
}

func (c *ctl) showClass(ctx context.Context, d *desk.Desk, user string) error {
	s, err := d.Show(ctx, user)
	if err != nil {
		return err
	}
	if s.Class == "" {
		c.say("%s is of no class", s.Name)
		return c.printJSON(object{"user": s.Name, "class": ""})
	}
	return c.print(object{"user": s.Name, "class": s.Class}, printable(s.Class))
}

func (c *ctl) setClass(ctx context.Context, d *desk.Desk, user, class string) error {
	p, err := policies(d)
	if err != nil {
		return err
	}
	changed, err := p.SetClass(ctx, c.actor(), user, class)
	if err != nil {
		return err
	}
	switch {
	case changed.Now == "":
		c.say("%s is of no class.", changed.User)
	default:
		c.say("%s is of class %s.", changed.User, printable(changed.Now))
		if !changed.HasPolicy {
			c.warn("class %s has no policy: it changes nothing before posternctl policy set class", printable(changed.Now))
		}
	}
	return c.printJSON(object{"user": changed.User, "class": changed.Now, "class_was": changed.Was, "class_has_policy": changed.HasPolicy})
}

// printJSON prints the object with --json only; a person was told already.
func (c *ctl) printJSON(o object) error {
	if !c.json {
		return nil
	}
	return c.print(o)
}
