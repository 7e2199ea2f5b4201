// Package doctor looks at a whole site, line by line: Postern's files, the directory
// and its access rules, Dovecot, Postfix, the daemons; and tries the real doors with an
// account of its own, the canary.
//
// Each look is a check, and gives one or more findings. A finding is ok, wrong, a
// warning (works, and should not stay so), or unchecked: "could not look" is never
// "right" and never "wrong". All that can be found is in the catalogue (catalogue.go),
// which is also the reference in docs/guides/doctor.md.
//
// The package reads what doveconf and postconf print, never their files: includes,
// defaults and conditions are theirs to know. It changes nothing but for the canary,
// and a marker in the site's entry for as long as the look takes.
package doctor

import (
	"context"
	"time"

	"postern/internal/app"
)

// Status is what became of a check.
type Status string

// The closed set of statuses.
const (
	OK        Status = "ok"
	Wrong     Status = "wrong"
	Warning   Status = "warning"
	Unchecked Status = "unchecked"
	Skipped   Status = "skipped" // left out on demand
)

// Finding is one line of the report.
type Finding struct {
	ID      string `json:"id"` // of the catalogue
	Status  Status `json:"status"`
	Group   string `json:"group"`
	Subject string `json:"subject,omitempty"` // which passdb, file, server, door
	Text    string `json:"text"`
	Remedy  string `json:"remedy,omitempty"` // what to do; empty with ok
}

// Report is all findings, in the order of the checks.
type Report []Finding

// Count is how many findings have the status.
func (r Report) Count(s Status) int {
	n := 0
	for i := range r {
		if r[i].Status == s {
			n++
		}
	}
	return n
}

// Status is the worst of the report: wrong, then unchecked, then warning.
func (r Report) Status() Status {
	for _, s := range []Status{Wrong, Unchecked, Warning} {
		if r.Count(s) > 0 {
			return s
		}
	}
	return OK
}

// Options say what to look at.
type Options struct {
	Config *app.Config
	// Doveconf is a command like "doveconf", to which arguments are added, or a file
	// with what `doveconf -n -P` printed. Root stands before the paths that Dovecot
	// names, for one in a root directory of its own.
	Doveconf, Root string
	// Postconf is a command like "postconf". Empty: there is no Postfix here.
	Postconf string
	// Skip are ids to leave out.
	Skip []string
	// Canary says with which account to try the doors; nil: none is known. NoLogin
	// leaves the try out.
	Canary  *Canary
	NoLogin bool
	// Version is that of the program; Compare are other hosts, with their problems where
	// one could not be read.
	Version string
	Compare []OtherHost
	// Now is time.Now outside tests.
	Now func() time.Time
}

// OtherHost is one to compare with, or why it could not be read.
type OtherHost struct {
	File string
	Host Host
	Err  error
}

// examination is one run.
type examination struct {
	Options
	report    Report
	dovecot   *dovecot // nil: could not be read
	postfix   *postfix // nil: none, or could not be read
	keyChecks []string // of the directory, sorted; nil: could not be read
}

// Run makes all checks, and says what this host can be compared by. It never fails: what
// could not be looked at is a finding.
func Run(ctx context.Context, o Options) (Report, Host) {
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &examination{Options: o}
	for _, check := range []func(context.Context){
		e.files, e.directory, e.daemons, e.readDovecot, e.passdbs, e.mechanisms, e.authPolicy, e.authServices,
		e.readPostfix, e.smtpAuth, e.sessions, e.webhook, e.siteSwitch, e.tryDoors,
	} {
		check(ctx)
	}
	own := e.describe()
	for _, other := range e.Compare {
		if other.Err != nil {
			e.unchecked("hosts", other.File, other.Err.Error())
			continue
		}
		e.compareHosts(own, other.Host)
	}
	return e.report, own
}

// add adds a finding. ID and status decide the rest.
func (e *examination) add(f Finding) {
	entry, ok := byID()[f.ID]
	if !ok {
		entry.Group = "unknown" // a defect, which a test finds
	}
	f.Group = entry.Group
	if f.Status != OK && f.Status != Skipped && f.Remedy == "" {
		f.Remedy = entry.Remedy
	}
	for _, id := range e.Skip {
		if id == f.ID {
			f.Status, f.Text, f.Remedy = Skipped, "left out on demand", ""
		}
	}
	e.report = append(e.report, f)
}

func (e *examination) ok(id, subject, text string) {
	e.add(Finding{ID: id, Status: OK, Subject: subject, Text: text})
}

func (e *examination) wrong(id, subject, text string) {
	e.add(Finding{ID: id, Status: Wrong, Subject: subject, Text: text})
}

func (e *examination) warn(id, subject, text string) {
	e.add(Finding{ID: id, Status: Warning, Subject: subject, Text: text})
}

func (e *examination) unchecked(id, subject, text string) {
	e.add(Finding{ID: id, Status: Unchecked, Subject: subject, Text: text})
}
