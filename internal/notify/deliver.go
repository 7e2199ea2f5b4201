package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
)

// Contact is where and how the owner of an account is told.
type Contact struct {
	// Addresses are those that mails go to: the mailbox's own first, then the one outside
	// of it.
	Addresses []string
	Language  string // preferredLanguage, RFC 2798 section 2.7
}

// Directory tells where owners are reached.
type Directory interface {
	// Contact returns it for a letter's account. Errors: account.ErrUnknown when there is
	// no such account any more, account.ErrUnavailable.
	Contact(ctx context.Context, l *Letter) (Contact, error)
}

// Transport hands mails over; *Server is one. An error that wraps a refusal is about the
// mail, every other one about the server.
type Transport interface {
	Send(ctx context.Context, e *Envelope, to string) error
}

// Deliverer sends what the spool holds: what happened to one account at one time as one
// mail, again and again until the mail server takes it.
type Deliverer struct {
	Spool     *Spool
	Directory Directory
	Composer  *Composer
	Templates *Templates
	Transport Transport
	Recorder  effect.Recorder // hears of what was handed over or given up
	// Most is how many mails one account gets in a day; the last says that there are
	// more. What is essential is sent in any case.
	Most int
	// Settle is how long a letter waits for others of the same moment.
	Settle time.Duration
	Failed func(error) // told of each failure that is new

	limits *limits
	server retry            // of the mail server, or of the directory
	each   map[string]retry // by letter
	quiet  map[string]bool  // failures that were told
}

const (
	tick = time.Second // how often Run looks into the spool
	// giveUp is how long a mail is tried, as RFC 5321 section 4.5.4.1 has it; refusedFor,
	// how long one that the server does not want: whoever runs it may have to let us in first.
	giveUp     = 4 * day
	refusedFor = 4 * time.Hour
	firstWait  = 2 * time.Second
	maxWait    = 10 * time.Minute
)

// retry spaces attempts at what fails.
type retry struct {
	failures int
	next     time.Time
}

// failed doubles the wait.
func (r *retry) failed(now time.Time) {
	r.failures++
	r.next = now.Add(min(firstWait<<min(r.failures-1, 16), maxWait))
}

// Run delivers until ctx ends. Of several daemons on one spool only one does, and
// another goes on if that ends.
func (d *Deliverer) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
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

// Pass does what is due, and returns how many letters are left. It must not run twice
// at the same time.
func (d *Deliverer) Pass(ctx context.Context, now time.Time) (left int) {
	if err := d.prepare(); err != nil {
		d.tell("reading", err)
		return 0
	}
	list, err := d.Spool.List()
	d.tell("reading", err)
	d.limits.prune(now)
	for _, mail := range d.mails(list, now) {
		if ctx.Err() != nil || now.Before(d.server.next) {
			left += len(mail)
			continue
		}
		left += d.one(ctx, mail, now)
	}
	return left
}

func (d *Deliverer) prepare() error {
	if d.limits != nil {
		return nil
	}
	dir, err := d.Spool.Sub("sent")
	if err != nil {
		return err
	}
	d.limits = &limits{dir: dir, most: d.Most}
	d.each, d.quiet = make(map[string]retry), make(map[string]bool)
	return nil
}

// mails puts together the letters that make one mail: of one account, and told to the
// same addresses so far.
func (d *Deliverer) mails(list []*Letter, now time.Time) [][]*Letter {
	var order []string
	groups := make(map[string][]*Letter)
	for _, l := range list {
		key := string(l.Account) + "\n" + strings.Join(l.Told, "\n")
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], l)
	}
	var mails [][]*Letter
	for _, key := range order {
		g := groups[key]
		if now.Sub(g[0].Time) >= d.Settle && !now.Before(d.each[g[0].ID].next) {
			mails = append(mails, g)
		}
	}
	return mails
}

// one sends one mail, and returns how many letters are left of it.
func (d *Deliverer) one(ctx context.Context, mail []*Letter, now time.Time) int {
	sent := d.limits.of(mail[0].Account, now)
	mail = d.worthSending(mail, sent)
	if len(mail) == 0 {
		return 0
	}
	last := len(sent.Mails)+1 >= d.limits.most
	err := d.send(ctx, mail, last, now)
	switch {
	case err == nil:
		d.tell("sending", d.limits.note(sent, mail, now))
		d.record(mail, now, "done", fmt.Sprintf("to %d of the owner's addresses", len(mail[0].Told)))
		d.server = retry{}
		return d.forget(mail)
	case d.hopeless(mail[0], err, now):
		d.record(mail, now, "unavailable", "given up: "+err.Error())
		return d.forget(mail)
	}
	var refused refusal
	if !errors.As(err, &refused) {
		d.server.failed(now)
	}
	for _, l := range mail {
		r := d.each[l.ID]
		r.failed(now)
		d.each[l.ID] = r
	}
	d.once(err)
	return len(mail)
}

// worthSending drops what was told a moment ago, and what is too much for a day.
func (d *Deliverer) worthSending(mail []*Letter, sent *sent) []*Letter {
	full := len(sent.Mails) >= d.limits.most && len(mail[0].Told) == 0
	var worth []*Letter
	seen := make(map[string]bool)
	for _, l := range mail {
		key, every := l.throttle()
		if sent.again(l) || every > 0 && seen[key] || full && !slices.ContainsFunc(mail, (*Letter).essential) {
			d.forget([]*Letter{l})
			continue
		}
		seen[key] = true
		worth = append(worth, l)
	}
	return worth
}

var errNoAddress = errors.New("the account has no usable mail address")

// send hands the mail over to each address that has not got it. An address that fails
// does not keep it from the other.
func (d *Deliverer) send(ctx context.Context, mail []*Letter, last bool, now time.Time) error {
	contact, err := d.Directory.Contact(ctx, mail[0])
	if err != nil {
		return err
	}
	m, err := d.Composer.Compose(mail, contact.Language, last)
	if err != nil {
		return refusal{err}
	}
	var errs []error
	usable := 0
	for _, to := range contact.Addresses {
		if !ValidAddress(to) {
			continue
		}
		usable++
		if slices.Contains(mail[0].Told, to) {
			continue
		}
		e, err := d.Templates.Write(m, to, mail, now)
		if err == nil {
			err = d.Transport.Send(ctx, e, to)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.note(mail, to)
	}
	if usable == 0 {
		return refusal{errNoAddress}
	}
	return errors.Join(errs...)
}

// note keeps that an address has the mail.
func (d *Deliverer) note(mail []*Letter, to string) {
	for _, l := range mail {
		l.Told = append(l.Told, to)
		if err := d.Spool.Save(l.ID, l); err != nil {
			d.tell("writing", err)
		}
	}
}

// hopeless reports whether to try no more.
func (d *Deliverer) hopeless(l *Letter, err error, now time.Time) bool {
	age := now.Sub(l.Time)
	var refused refusal
	switch {
	case errors.Is(err, account.ErrUnknown), errors.Is(err, errNoAddress), age >= giveUp:
		return true
	case errors.As(err, &refused):
		return refused.permanent() && age >= refusedFor
	}
	return false
}

func (d *Deliverer) forget(mail []*Letter) (left int) {
	for _, l := range mail {
		delete(d.each, l.ID)
		err := d.Spool.Remove(l.ID)
		d.tell("writing", err)
	}
	return 0
}

func (d *Deliverer) record(mail []*Letter, now time.Time, outcome, detail string) {
	for _, l := range mail {
		d.Recorder.Record(effect.Event{Time: now, Action: effect.Mailed, Outcome: outcome, Reason: string(l.Topic), User: l.User,
			Account: l.Account, Domain: l.Domain, Credential: l.Credential, Detail: detail})
	}
}

// once reports that mails are not handed over, until they are.
func (d *Deliverer) once(err error) {
	if d.server.failures <= 1 {
		d.Failed(fmt.Errorf("security mails wait, trying again: %w", err))
	}
}

// tell reports a failure of the spool once, until it is over.
func (d *Deliverer) tell(what string, err error) {
	if err == nil {
		delete(d.quiet, what)
		return
	}
	if !d.quiet[what] {
		d.Failed(err)
	}
	if d.quiet == nil {
		d.quiet = make(map[string]bool)
	}
	d.quiet[what] = true
}
