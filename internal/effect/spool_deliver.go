package effect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/account"
)

// Directory is what a Deliverer asks about accounts.
type Directory interface {
	// ReadServers lists the servers that logins are decided by.
	ReadServers() []string
	// At reads an account as one of them has it. Errors: account.ErrUnknown,
	// account.ErrUnavailable, account.ErrDamaged.
	At(ctx context.Context, server string, id account.ID) (*account.Account, error)
}

// Kicker is one Dovecot (package doveadm).
type Kicker interface {
	// Host names it in messages, and is its key in Ending.Kicked.
	Host() string
	// Kick ends the sessions of an Ending, and flushes what is cached of the user.
	// That nobody was logged in is no error.
	Kick(ctx context.Context, e *Ending) (Kicked, error)
}

// Kicked says what a kick ended.
type Kicked struct {
	// N counts sessions, or with Names the login names whose sessions ended, which
	// is all that Dovecot 2.3 tells.
	N     int
	Names bool
}

func (k Kicked) String() string {
	switch {
	case k.N == 0:
		return "no session"
	case k.Names:
		return "all sessions"
	case k.N == 1:
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", k.N)
}

// UserCred is the value of the field user_cred by which Dovecot 2.4 knows the
// sessions of a credential. The account is part of it: the id of an app password
// is unique within its account only.
func UserCred(id account.ID, credential string) string { return string(id) + "/" + credential }

// Deliverer does what the spool asks for: each Ending at each host, at once, after
// every read server shows the change, and again a minute later. What fails is
// tried again, ever more rarely, for a day.
type Deliverer struct {
	Spool     *Spool
	Directory Directory
	Hosts     []Kicker
	Recorder  Recorder
	Failed    func(error) // told of each failure that is new

	retries map[string]*retry // by host, by host and Ending, by Ending
	// unsaved is what the spool could not take: without it, every Pass would kick anew.
	unsaved map[string]*Ending
}

const (
	tick      = time.Second    // how often Run looks into the spool
	giveUp    = 24 * time.Hour // after an Ending was due
	firstWait = time.Second
	maxWait   = 5 * time.Minute
)

// retry spaces attempts at what fails.
type retry struct {
	failures int
	next     time.Time
}

// failed doubles the wait.
func (r *retry) failed(now time.Time, most time.Duration) {
	r.failures++
	wait := firstWait << min(r.failures-1, 16)
	r.next = now.Add(min(wait, most))
}

// Run delivers until ctx ends. Of several daemons on one spool only one does, and another
// goes on if that ends.
func (d *Deliverer) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	d.begin()
	var unlock func()
	defer func() {
		if unlock != nil {
			unlock()
		}
	}()
	for {
		if unlock == nil {
			var err error
			unlock, _, err = d.Spool.Lock()
			d.tell("locking", err)
		}
		if unlock != nil {
			d.Pass(ctx, time.Now())
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// Pass does what is due. It must not run twice at the same time.
func (d *Deliverer) Pass(ctx context.Context, now time.Time) {
	jobs := d.due(now)
	for _, j := range jobs {
		d.look(ctx, j, now)
	}
	d.kickAll(ctx, jobs, now)
	for _, j := range jobs {
		d.finish(j, now)
	}
}

func (d *Deliverer) begin() {
	if d.retries == nil {
		d.retries, d.unsaved = make(map[string]*retry), make(map[string]*Ending)
	}
}

// due lists what is to be done, with the progress that was made.
func (d *Deliverer) due(now time.Time) []*job {
	d.begin()
	all, err := d.Spool.List()
	d.tell("reading", err)
	var jobs []*job
	for i := range all {
		e := &all[i]
		if known := d.unsaved[e.ID]; known != nil {
			e = known
		}
		if !now.Before(e.NotBefore) {
			jobs = append(jobs, &job{Ending: e})
		}
	}
	return jobs
}

// job is an Ending in a Pass.
type job struct {
	*Ending
	mu      sync.Mutex // of the hosts' goroutines
	changed bool
}

func (j *job) note(host string, s Stage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.Note(host, s)
	j.changed = true
}

func (j *job) kicked(host string) Stage {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Kicked[host]
}

// look finds out whether every read server shows the change by now.
func (d *Deliverer) look(ctx context.Context, j *job, now time.Time) {
	r := d.retry(j.ID)
	if !j.Shown.IsZero() || now.Before(r.next) {
		return
	}
	for _, server := range d.Directory.ReadServers() {
		a, err := d.Directory.At(ctx, server, j.Account)
		if !shows(a, err, j.Ending) {
			r.failed(now, maxWait/10)
			return
		}
	}
	j.Shown, j.changed = now, true
}

// shows reports whether a server has the change, or cannot let anybody in anyway.
func shows(a *account.Account, err error, e *Ending) bool {
	switch {
	case errors.Is(err, account.ErrUnknown), errors.Is(err, account.ErrDamaged):
		return true
	case err != nil:
		return false
	}
	for _, k := range []account.Kind{account.KindApp, account.KindSession} {
		if id, ok := strings.CutPrefix(e.Credential, account.Credential(k, "")); ok {
			r, err := a.Record(k, id)
			return err != nil || !r.Ended.IsZero() || !r.Stopped.IsZero() // gone, or unusable
		}
	}
	unreadable := a.StateRecord == nil && a.TwoFactor()
	return unreadable || a.State.Epoch >= e.Epoch
}

// kickAll works on all hosts at the same time: one that hangs holds up no other.
func (d *Deliverer) kickAll(ctx context.Context, jobs []*job, now time.Time) {
	var hosts sync.WaitGroup
	for _, h := range d.Hosts {
		w := &worker{host: h, jobs: jobs, now: now, recorder: d.Recorder, self: d.retry(h.Host()), each: make(map[*job]*retry)}
		for _, j := range jobs {
			w.each[j] = d.retry(h.Host() + " " + j.ID)
		}
		w.failed = func(err error) {
			if w.self.failures == 0 {
				d.Failed(fmt.Errorf("live sessions are not ended yet, trying again: %w", err))
			}
		}
		hosts.Go(func() { w.run(ctx) })
	}
	hosts.Wait()
}

// worker serves one host in one Pass.
type worker struct {
	host     Kicker
	jobs     []*job
	now      time.Time
	recorder Recorder
	failed   func(error)
	self     *retry // of the host
	each     map[*job]*retry
}

// run kicks until the host fails. Then the next Pass begins with another Ending:
// one that this Dovecot chokes on must not hold up the others.
func (w *worker) run(ctx context.Context) {
	if w.now.Before(w.self.next) {
		return
	}
	host := w.host.Host()
	for _, j := range w.order() {
		stage, r := j.stage(w.now), w.each[j]
		if ctx.Err() != nil || j.over || j.kicked(host) >= stage || w.now.Before(r.next) {
			continue
		}
		k, err := w.host.Kick(ctx, j.Ending)
		if err != nil {
			w.failed(err)
			r.failed(w.now, maxWait)
			w.self.failed(w.now, maxWait)
			return
		}
		*r, *w.self = retry{}, retry{}
		j.note(host, stage)
		if k.N > 0 {
			w.recorder.Record(j.event(w.now, "done", fmt.Sprintf("%v at %s", k, host)))
		}
	}
}

// order puts first what has failed least.
func (w *worker) order() []*job {
	jobs := slices.Clone(w.jobs)
	slices.SortStableFunc(jobs, func(a, b *job) int { return w.each[a].failures - w.each[b].failures })
	return jobs
}

// event is what is recorded about an Ending.
func (e *Ending) event(now time.Time, outcome, detail string) Event {
	return Event{Time: now, Action: SessionsEnded, Outcome: outcome, Reason: string(e.Action), User: e.User,
		Account: e.Account, Domain: e.Domain, Credential: e.Credential, Detail: detail}
}

// finish keeps what was done, and forgets what is done everywhere, or hopeless.
func (d *Deliverer) finish(j *job, now time.Time) {
	open := d.open(j)
	if open != "" && !j.over && now.Sub(latest(j.Since, j.NotBefore)) >= giveUp {
		d.Recorder.Record(j.event(now, "unavailable", "given up after a day: "+open))
		j.over = true
	}
	var err error
	switch {
	case open == "" || j.over:
		d.drop(j)
		err = d.Spool.Remove(j.ID)
	case j.changed || d.unsaved[j.ID] != nil:
		err = d.Spool.Save(j.Ending)
	default:
		return
	}
	if err == nil {
		delete(d.unsaved, j.ID)
	} else {
		d.unsaved[j.ID] = j.Ending
	}
	d.tell("writing", err)
}

// open says what is still to be done; "" is nothing.
func (d *Deliverer) open(j *job) string {
	var missing []string
	for _, h := range d.Hosts {
		if j.Kicked[h.Host()] < Again {
			missing = append(missing, h.Host())
		}
	}
	switch {
	case len(missing) == 0:
		return ""
	case j.Shown.IsZero():
		return "a read server does not show the change"
	}
	return "no kick at " + strings.Join(missing, ", ")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (d *Deliverer) retry(key string) *retry {
	r := d.retries[key]
	if r == nil {
		r = &retry{}
		d.retries[key] = r
	}
	return r
}

// drop forgets the retries of an Ending.
func (d *Deliverer) drop(j *job) {
	delete(d.retries, j.ID)
	for _, h := range d.Hosts {
		delete(d.retries, h.Host()+" "+j.ID)
	}
}

// tell reports a failure of the spool once, until it is over.
func (d *Deliverer) tell(what string, err error) {
	if err == nil {
		delete(d.retries, what)
		return
	}
	r := d.retry(what)
	if r.failures == 0 {
		d.Failed(err)
	}
	r.failures++
}
