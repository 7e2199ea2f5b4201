package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/auditlog"
	"postern/internal/effect"
	"postern/internal/login"
)

// explainFlags are what explain takes.
type explainFlags struct {
	service, from, since, session, audit string
	last                                 bool
	most                                 int
}

// explanation is what explain was asked for.
type explanation struct {
	cfg     *app.Config
	flags   explainFlags
	user    string // as typed; "": anybody
	account *account.Account
	service account.Service // "": any
	from    netip.Addr
	since   time.Time
}

func (c *ctl) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{Use: "explain [USER]", Short: "Say why logins were refused, and what would be let in now", Args: between(0, 1),
		Long: "Reads the refused logins of a user, or of Dovecot's session id, from the audit log and its rotated files, and says\n" +
			"what each reason means and what to do. With USER it also says what the right main password, each app password and\n" +
			"a webmail ticket would get now; no password is asked for or checked. Exit code 1: the log has no such login.",
		Example: "  posternctl explain alice@example.test --service imap --from 192.0.2.7 --since 2h\n" +
			"  posternctl explain --session 'Fq9aZ0wyqMDAAAIH'\n" +
			"  posternctl explain --last\n" +
			"  journalctl -u policyserver -o cat --since today | posternctl explain --audit - alice@example.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := c.asked(f, args)
			if err != nil {
				return err
			}
			return c.explain(cmd.Context(), e)
		}}
	cmd.Flags().StringVar(&f.service, "service", "", "only this `service`: imap, pop3, smtp, sieve, dav, webmail")
	cmd.Flags().StringVar(&f.from, "from", "", "only from this `address`")
	cmd.Flags().StringVar(&f.since, "since", "", "only since this `time`: 2h, 3d, 2027-01-31, or RFC 3339")
	cmd.Flags().StringVar(&f.session, "session", "", "the login with this session `id` of Dovecot's, also if it was let in")
	cmd.Flags().StringVar(&f.audit, "audit", "", "read this `file` instead of audit.file; \"-\": standard input")
	cmd.Flags().BoolVar(&f.last, "last", false, "only the last one")
	cmd.Flags().IntVar(&f.most, "limit", 10, "how many logins at most, up to 1000")
	return cmd
}

// asked reads the command line.
func (c *ctl) asked(f explainFlags, args []string) (*explanation, error) {
	e := &explanation{flags: f, service: account.ParseService(f.service)}
	if len(args) > 0 {
		e.user, c.user = args[0], printable(args[0])
	}
	if e.user == "" && f.session == "" && !f.last {
		return nil, usagef("name a user, --session or --last")
	}
	if f.service != "" && e.service != login.Webmail && !slices.Contains(account.Scopes, e.service) {
		return nil, usagef("--service: %q is none of %s,%s", printable(f.service), joined(account.Scopes, ""), login.Webmail)
	}
	if f.most < 1 || f.most > 1000 {
		return nil, usagef("--limit: from 1 to 1000")
	}
	if f.last {
		e.flags.most = 1
	}
	var err error
	if f.from != "" {
		if e.from, err = netip.ParseAddr(f.from); err != nil {
			return nil, usagef("--from: %q is not an address", printable(f.from))
		}
		e.from = e.from.Unmap()
	}
	if e.since, err = parseSince(f.since, time.Now()); err != nil {
		return nil, usageError{err}
	}
	e.cfg, err = c.load()
	return e, err
}

// errNothing says that no login was found; what was searched has been said.
var errNothing = errors.New("no such login in the audit log")

func (c *ctl) explain(ctx context.Context, e *explanation) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, err := c.now(e)
	if err != nil {
		return err
	}
	failed := n.find(ctx, e) // first: the log has the account's own name
	found, err := c.refusals(e)
	if err != nil {
		return err
	}
	c.saySearched(e, &found)
	holds := n.holds(ctx, e, found.Events)
	if err := c.printExplanation(found.Events, holds); err != nil {
		return err
	}
	switch {
	case failed != nil && len(found.Events) > 0 && errors.Is(failed, account.ErrUnknown):
		c.say("now: no entry answers to the name")
		return nil
	case failed != nil:
		return failed
	case len(found.Events) == 0 && (holds == nil || e.cfg.Audit.File+e.flags.audit != ""): // the system's log was not searched
		return errNothing
	}
	return nil
}

// refusals searches the log.
func (c *ctl) refusals(e *explanation) (auditlog.Found, error) {
	s := auditlog.Search{Match: e.matches, Most: e.flags.most, Since: e.since}
	path := e.flags.audit
	if path == "-" {
		return s.Reader(c.in)
	}
	if path == "" {
		path = e.cfg.Audit.File
	}
	if path == "" {
		c.warn("audit.file is not set: events are in the system's log. Search there: journalctl -u policyserver -u webhook -o cat | posternctl explain --audit - …")
		return auditlog.Found{}, nil
	}
	found, err := s.Files(path)
	if errors.Is(err, fs.ErrNotExist) && e.flags.audit == "" {
		c.warn("there is no audit log yet: %s", path)
		return found, nil
	}
	return found, err
}

// matches says whether an event is one of the logins that were asked for.
func (e *explanation) matches(v *effect.Event) bool {
	switch v.Action {
	case effect.Login, effect.Policy, effect.FirstFactor, effect.SecondFactor:
	default:
		return false
	}
	if e.flags.session != "" {
		if v.Session != e.flags.session {
			return false
		}
	} else if !refusedLogin(v) {
		return false
	}
	return e.isUser(v) && e.isFrom(v) && (e.service == "" || e.service == v.Service)
}

// refusedLogin leaves out what went on to the site's own passdb: of most logins there,
// Postern knows nothing more.
func refusedLogin(v *effect.Event) bool {
	return v.Reason != string(login.Elsewhere) &&
		(v.Outcome == account.Denied.String() || v.Outcome == account.Unavailable.String())
}

func (e *explanation) isUser(v *effect.Event) bool {
	return e.user == "" || strings.EqualFold(v.User, e.user) ||
		e.account != nil && (strings.EqualFold(v.User, e.account.Name) || v.Account != "" && v.Account == e.account.ID)
}

// isFrom compares with as much of an address as the log has (privacy.address).
func (e *explanation) isFrom(v *effect.Event) bool {
	if !e.from.IsValid() {
		return true
	}
	written := e.cfg.Privacy.Address.Apply(e.from)
	for _, a := range []netip.Addr{v.Client, v.Peer} {
		if a = a.Unmap(); a.IsValid() && (a == e.from || a == written) {
			return true
		}
	}
	return false
}

// saySearched tells where was looked, and what was left out.
func (c *ctl) saySearched(e *explanation, f *auditlog.Found) {
	if e.from.IsValid() && e.cfg.Privacy.Address == effect.AddressNone {
		c.warn("the audit log has no addresses (privacy.address): nothing is found by --from")
	}
	for _, p := range f.Passed {
		c.warn("not read: %s", printable(p))
	}
	if f.Unreadable > 0 {
		c.warn("%d lines are no events and were passed over", f.Unreadable)
	}
	if f.Cut {
		c.warn("there was too much to read: only the newest part of %s was searched", joined(f.Sources, "the log"))
	}
	if len(f.Sources) > 0 {
		oldest := "it is empty"
		if !f.Oldest.IsZero() {
			oldest = "back to " + when(f.Oldest, "")
		}
		c.say("searched %s (%s) for %s: %d found", joined(f.Sources, ""), oldest, e.wanted(), len(f.Events))
	}
}

// wanted says in words what was searched for.
func (e *explanation) wanted() string {
	text := "refused logins"
	if e.flags.session != "" {
		text = "the login with session " + printable(e.flags.session)
	}
	for _, p := range [][2]string{{" of ", e.user}, {" at ", string(e.service)}, {" from ", e.flags.from}, {" since ", e.flags.since}} {
		if p[1] != "" {
			text += p[0] + printable(p[1])
		}
	}
	if e.flags.last {
		text += ", the last one"
	}
	return text
}
