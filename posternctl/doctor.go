package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/doctor"
	"postern/internal/secretfile"
	"postern/ldapstore"
)

// doctorFlags are what the command was called with.
type doctorFlags struct {
	doveconf, postconf, root       string
	noLogin                        bool
	skip                           []string
	canaryUser, canaryPasswordFile string
	canaryBase, canaryDomain       string
	adminDN, adminPasswordFile     string
	adminExternal, withoutOK       bool
	compare                        []string
}

func (c *ctl) doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{Use: "doctor", Short: "Look at the whole site, and try the doors with an account of its own",
		Long: "Look at Postern's files, the directory and its access rules, Dovecot, Postfix and the daemons, line by line,\n" +
			"and try every door with a canary: its app password must open, its main password must not.\n\n" +
			"The canary is an account that you prepared ([doctor] in the configuration, or --canary-user), or one that doctor\n" +
			"makes below --canary-base as the directory's administrator, and removes again, also when it is interrupted.\n\n" +
			"To compare mail hosts: run it with --json on one, and with --compare FILE on the other. No secret is in the file.\n\n" +
			"Exit codes: 0 all is right (warnings count as right), 1 something is wrong, 75 nothing is wrong and something\n" +
			"could not be looked at.",
		Example: "  posternctl doctor --canary-base ou=people,dc=example,dc=test --admin-external\n" +
			"  posternctl doctor --canary-user canary@example.test --canary-password-file /etc/postern/canary.password\n" +
			"  posternctl doctor --no-login --json > mail2.json\n" +
			"  posternctl doctor --compare mail2.json",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.doctor(cmd.Context(), &f) }}
	flags := cmd.Flags()
	flags.StringVar(&f.doveconf, "doveconf", "", "`command`, such as \"doveconf -c /etc/dovecot/other.conf\", or a file with the output of: doveconf -n -P")
	flags.StringVar(&f.postconf, "postconf", "", "`command`, such as \"postconf -c /etc/postfix-out\"; \"none\": there is no Postfix here")
	flags.StringVar(&f.root, "root", "", "`directory` in which Dovecot runs, if it is another root")
	flags.BoolVar(&f.noLogin, "no-login", false, "do not try the doors")
	flags.StringSliceVar(&f.skip, "skip", nil, "`ids` of findings to leave out")
	flags.StringVar(&f.canaryUser, "canary-user", "", "login `name` of a prepared account")
	flags.StringVar(&f.canaryPasswordFile, "canary-password-file", "", "`file` with its main password")
	flags.StringVar(&f.canaryBase, "canary-base", "", "`DN` below which to make an account")
	flags.StringVar(&f.canaryDomain, "canary-domain", "", "its mail `domain`; by default from the dc= parts of --canary-base")
	flags.StringVar(&f.adminDN, "admin-dn", "", "`DN` of the directory's administrator, who makes it")
	flags.StringVar(&f.adminPasswordFile, "admin-password-file", "", "`file` with the administrator's password")
	flags.BoolVar(&f.adminExternal, "admin-external", false, "be the administrator by SASL EXTERNAL on ldapi://, as the system's user")
	flags.StringSliceVar(&f.compare, "compare", nil, "`files` with what doctor --json printed on other hosts: name what must be the same there, and is not")
	flags.BoolVar(&f.withoutOK, "problems", false, "show only what is not right")
	return cmd
}

// findingsError is a report with something wrong, or unchecked, in it: the report has
// been printed.
type findingsError struct{ status doctor.Status }

func (e findingsError) Error() string {
	if e.status == doctor.Wrong {
		return "something is wrong"
	}
	return "something could not be looked at"
}

func (c *ctl) doctor(ctx context.Context, f *doctorFlags) error {
	if err := checkSkips(f.skip); err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return c.showReport(configReport(err), nil, f)
	}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP) // the canary goes with the terminal, too
		defer stop()
	}
	o := doctor.Options{Config: cfg, Root: f.root, Skip: f.skip, NoLogin: f.noLogin, Version: version, Compare: readHosts(f.compare),
		Doveconf: cmp.Or(f.doveconf, found("doveconf")), Postconf: cmp.Or(f.postconf, found("postconf"))}
	if o.Postconf == "none" {
		o.Postconf = ""
	}
	if !f.noLogin {
		if o.Canary, err = c.canary(cfg, f); err != nil {
			return err
		}
	}
	report, host := doctor.Run(ctx, o)
	return c.showReport(report, &host, f)
}

// readHosts reads the files of --compare. One that cannot be read is a finding.
func readHosts(files []string) []doctor.OtherHost {
	var list []doctor.OtherHost
	for _, file := range files {
		text, err := os.ReadFile(file)
		var host doctor.Host
		if err == nil {
			host, err = doctor.ReadHost(text)
		}
		list = append(list, doctor.OtherHost{File: file, Host: host, Err: err})
	}
	return list
}

func checkSkips(ids []string) error {
	for _, id := range ids {
		if !slices.ContainsFunc(doctor.Catalogue(), func(e doctor.Entry) bool { return e.ID == id }) {
			return usagef("--skip: doctor knows no %q", printable(id))
		}
	}
	return nil
}

// configReport: without a configuration nothing else can be looked at.
func configReport(err error) doctor.Report {
	var r doctor.Report
	for line := range strings.Lines(err.Error()) {
		r = append(r, doctor.ConfigFinding(strings.TrimSpace(line)))
	}
	return r
}

func found(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if path := "/usr/sbin/" + program; isFile(path) {
		return path
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// canary is the account by which the doors are tried, from flags or configuration; nil
// if none is named.
func (c *ctl) canary(cfg *app.Config, f *doctorFlags) (*doctor.Canary, error) {
	k := &doctor.Canary{User: cmp.Or(f.canaryUser, cfg.Doctor.Canary), Open: c.quietDesk, Actor: c.actor()}
	if f.canaryBase != "" && f.canaryUser == "" {
		k.User = ""
	}
	admin, err := adminLogin(f)
	if err != nil {
		return nil, err
	}
	k.Admin = admin
	if k.User != "" {
		file := f.canaryPasswordFile
		if f.canaryUser == "" {
			file = cfg.Doctor.CanaryPasswordFile
		}
		password, err := secretfile.ReadLine(file)
		if err != nil {
			return nil, fmt.Errorf("--canary-password-file: %w", err)
		}
		k.Password = account.NewSecret(password)
		return k, nil
	}
	if f.canaryBase == "" {
		return k, nil
	}
	if admin == nil {
		return nil, usagef("--canary-base needs --admin-dn and --admin-password-file, or --admin-external")
	}
	k.Base, k.Domain = f.canaryBase, cmp.Or(f.canaryDomain, domainOfDN(f.canaryBase))
	if k.Domain == "" {
		return nil, usagef("--canary-domain is needed: %s has no dc= parts", printable(f.canaryBase))
	}
	return k, nil
}

func adminLogin(f *doctorFlags) (ldapstore.Login, error) {
	switch {
	case f.adminExternal && f.adminDN != "":
		return nil, usagef("either --admin-dn or --admin-external")
	case f.adminExternal:
		return ldapstore.External, nil
	case f.adminDN == "":
		return nil, nil //nolint:nilnil // none was asked for
	}
	password, err := secretfile.ReadLine(f.adminPasswordFile)
	if err != nil {
		return nil, fmt.Errorf("--admin-password-file: %w", err)
	}
	return ldapstore.Simple(f.adminDN, account.NewSecret(password)), nil
}

// domainOfDN is example.test of ou=people,dc=example,dc=test (RFC 2247).
func domainOfDN(dn string) string {
	var parts []string
	for rdn := range strings.SplitSeq(dn, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(rdn), "=")
		if strings.EqualFold(name, "dc") {
			parts = append(parts, value)
		}
	}
	return strings.Join(parts, ".")
}

var marks = map[doctor.Status]string{
	doctor.OK: "ok       ", doctor.Wrong: "WRONG    ", doctor.Warning: "warning  ",
	doctor.Unchecked: "unchecked", doctor.Skipped: "skipped  ",
}

// showReport prints the findings, by group, and returns the exit code as an error.
func (c *ctl) showReport(r doctor.Report, host *doctor.Host, f *doctorFlags) error {
	status := r.Status()
	if c.json {
		counts := object{}
		for s := range marks {
			counts[string(s)] = r.Count(s)
		}
		o := object{"status": status, "counts": counts, "findings": r, "time": stamp(time.Now())}
		if host != nil {
			o["host"] = host
		}
		if err := c.print(o); err != nil {
			return err
		}
	} else {
		c.printReport(r, f.withoutOK)
	}
	if status == doctor.Wrong || status == doctor.Unchecked {
		return findingsError{status}
	}
	return nil
}

func (c *ctl) printReport(r doctor.Report, withoutOK bool) {
	r = slices.Clone(r)
	order := doctor.Groups()
	slices.SortStableFunc(r, func(a, b doctor.Finding) int {
		return cmp.Compare(slices.Index(order, a.Group), slices.Index(order, b.Group))
	})
	group := ""
	for i := range r {
		g := &r[i]
		if withoutOK && (g.Status == doctor.OK || g.Status == doctor.Skipped) {
			continue
		}
		if g.Group != group {
			group = g.Group
			fmt.Fprintf(c.out, "%s\n", group)
		}
		subject := g.Subject
		if subject != "" {
			subject += ": "
		}
		fmt.Fprintf(c.out, "  %s  %s%s [%s]\n", marks[g.Status], subject, g.Text, g.ID)
		if g.Remedy != "" {
			fmt.Fprintf(c.out, "             → %s\n", g.Remedy)
		}
	}
	fmt.Fprintf(c.out, "%d right, %d warnings, %d wrong, %d could not be looked at\n",
		r.Count(doctor.OK), r.Count(doctor.Warning), r.Count(doctor.Wrong), r.Count(doctor.Unchecked))
}

// exitOfFindings is the exit code of a report; ok is false for other errors.
func exitOfFindings(err error) (code int, ok bool) {
	var f findingsError
	if !errors.As(err, &f) {
		return 0, false
	}
	if f.status == doctor.Wrong {
		return exitFailed, true
	}
	return exitUnavailable, true
}
