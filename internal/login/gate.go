package login

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
	"postern/internal/policy"
	"postern/internal/session"
)

// Prover makes and checks keyed proofs; package seal's Ring is one.
type Prover interface {
	// MAC returns a keyed proof over parts for one purpose.
	MAC(role, purpose string, parts ...string) ([]byte, error)
	// Verify reports whether sum is such a proof, or its first 16 bytes or more.
	Verify(sum []byte, role, purpose string, parts ...string) bool
}

// Gate decides. It is safe for concurrent use; Close ends its background work.
type Gate struct {
	store    account.Store
	prover   Prover
	recorder effect.Recorder
	settings Settings
	now      func() time.Time
	binds    bindSlots
	touches  *toucher
	throttle Throttle
	tickets  session.Verifier
	mains    PasswordCheck
	noCheck  Reason       // why a main password could not be checked
	down     atomic.Int64 // Unix nanoseconds of the directory's last failure, 0 since it answered

	// What the auth policy's questions need to know of each other and of /verify,
	// all by login, none of it needed for a right decision at the passdb.
	flows    *flows
	verdicts *verdicts
	refused  *memory // right main passwords that were not enough
	passedOn *memory // tries left to the site's own passdb
	unproven *memory // those of them that are to be written down if it finds them right

	binding singleflight.Group
	wrong   *memory // main passwords that were wrong a moment ago
}

// Parts are what a Gate stands on. Now is time.Now outside tests; without a
// Throttle nothing is throttled, without Tickets none can be checked, without Check
// the directory checks main passwords.
type Parts struct {
	Store    account.Store
	Prover   Prover
	Recorder effect.Recorder
	Throttle Throttle
	Tickets  session.Verifier
	Check    PasswordCheck
	Now      func() time.Time
}

// New returns a Gate.
func New(p Parts, settings Settings) *Gate {
	if p.Throttle == nil {
		p.Throttle = unlimited{}
	}
	noCheck := PassdbDown
	if p.Check == nil {
		p.Check, noCheck = byBind{p.Store}, DirectoryDown
	}
	return &Gate{
		store: p.Store, prover: p.Prover, recorder: p.Recorder, throttle: p.Throttle, tickets: p.Tickets, now: p.Now, settings: settings,
		mains: p.Check, noCheck: noCheck,
		binds: newBindSlots(max(1, settings.MaxBinds)), touches: newToucher(p.Store),
		flows: newFlows(memoryLimit), verdicts: newVerdicts(memoryLimit), refused: newMemory(memoryLimit),
		passedOn: newMemory(memoryLimit), unproven: newMemory(memoryLimit), wrong: newMemory(memoryLimit),
	}
}

// Close waits for pending last-use updates until ctx ends.
func (g *Gate) Close(ctx context.Context) { g.touches.close(ctx) }

// maxName is the longest user name looked up: local part, @ and domain of RFC 5321
// section 4.5.3.1.
const maxName = 64 + 1 + 255

// Mail decides one login at a mail door.
func (g *Gate) Mail(ctx context.Context, a Attempt) Decision {
	if a.Service == PrivateService {
		return g.private(&a)
	}
	start := g.now()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, g.settings.Deadline)
	defer cancel()
	try := g.try(&a)
	d := g.mail(ctx, &a, try)
	sayOff(&d)
	if d.Outcome == account.Granted {
		g.letIn(&a, &d)
	}
	g.learn(ctx, &a, &d, try)
	if strings.HasPrefix(d.Credential, "app:") {
		g.noteApp(&a, &d)
	}
	if d.Outcome == account.Granted && d.Credential == "main" && d.Reason != Bypassed {
		g.noteDevice(d.Account, a.place(), d.Policy)
	}
	g.record(effect.Login, &a, &d, effect.Event{Time: start, Micros: time.Since(began).Microseconds()})
	if d.Outcome == account.Denied && d.Reason != Elsewhere {
		pad(began, g.settings.DenialTime)
	}
	return d
}

// Lookup answers a door that asks about an account without a password (LMTP,
// doveadm, a proxy). It never checks one, and Granted means only: it exists.
func (g *Gate) Lookup(ctx context.Context, a Attempt) Decision {
	start := g.now()
	ctx, cancel := context.WithTimeout(ctx, g.settings.Deadline)
	defer cancel()
	d := g.lookup(ctx, &a)
	g.record(effect.Lookup, &a, &d, effect.Event{Time: start})
	return d
}

func (g *Gate) lookup(ctx context.Context, a *Attempt) Decision {
	if reason := refuseName(a); reason != "" {
		return denied(reason)
	}
	acct, err := g.find(ctx, a.User)
	if err != nil {
		return g.notFound(err)
	}
	if g.settings.MainElsewhere {
		return Decision{Outcome: account.Denied, Reason: Elsewhere, Account: acct}
	}
	return Decision{Outcome: account.Granted, Account: acct}
}

// mail is the decision itself. The order matters: what needs no directory comes
// first, and nothing about an account is told before its credential was right.
func (g *Gate) mail(ctx context.Context, a *Attempt, t *Try) Decision {
	if reason := refuseName(a); reason != "" {
		return denied(reason)
	}
	if a.Password.Empty() {
		return denied(EmptyPassword)
	}
	if advice := g.throttle.Prefix(ctx, *t); advice.Refuse { // its wait is the auth policy's to impose
		return throttled(advice)
	}
	p := factor.Classify(a.Password)
	if p.Shape == factor.Ticket && g.noTicketKey() {
		return unavailable(NoTicketKey)
	}
	if p.Shape == factor.Main && a.Service == account.DAV {
		// Also without a second factor: what is sent with every request, and kept by
		// programs of every kind, is never the password of everything. Nothing was
		// guessed that could be right, so it counts for no limit.
		return denied(AppPasswordOnly)
	}
	acct, err := g.find(ctx, a.User)
	if err != nil {
		d := g.notFound(err)
		if d.Reason == Elsewhere && p.Shape != factor.Main {
			d.Reason = UnknownUser // an app password never travels on to another passdb
		}
		if d.Reason == UnknownUser && p.Shape == factor.Main {
			if advice := g.limited(ctx, t); advice.Refuse {
				return throttled(advice) // as for an account that exists
			}
		}
		return d
	}
	t.Account = acct.ID
	d := g.check(ctx, a, acct, p)
	d.Account = acct
	return d
}

// check decides for an account that was found.
func (g *Gate) check(ctx context.Context, a *Attempt, acct *account.Account, p factor.Presented) Decision {
	eff, d := usable(acct)
	if d.Reason != "" {
		return d
	}
	switch {
	case p.Shape == factor.App:
		d = g.appPassword(a, acct, p, eff)
	case p.Shape == factor.Ticket:
		d = g.ticket(ctx, a, acct, eff)
	case p.Shape == factor.NearMiss, factor.LooksLikeOwn(a.Password, acct.HasApp):
		d = denied(NearMiss)
	default:
		d = g.mainPassword(ctx, a, acct, eff)
	}
	d.Policy = eff
	return d
}

// usable says what holds for every credential of an account: a Decision without a
// Reason means that the credential decides.
func usable(acct *account.Account) (policy.Effective, Decision) {
	if acct.Status == account.Disabled {
		return policy.Effective{}, denied(AccountDisabled)
	}
	eff, err := acct.Policy.Resolve()
	if err != nil {
		return policy.Effective{}, unavailable(PolicyUnreadable)
	}
	return eff, Decision{}
}

// mainPassword checks the main password. With 2FA on, a right one is still
// refused; it is checked all the same, so that the owner can be told why.
func (g *Gate) mainPassword(ctx context.Context, a *Attempt, acct *account.Account, eff policy.Effective) Decision {
	twoFactor := g.twoFactor(acct, eff)
	excused := g.excuse(acct, a.place(), eff)
	if g.settings.MainElsewhere && twoFactor && excused == "" {
		return denied(AppPasswordRequired)
	}
	if advice := g.limited(ctx, g.try(a).of(acct)); advice.Refuse {
		return throttled(advice)
	}
	if g.settings.MainElsewhere {
		return denied(Elsewhere)
	}
	d := g.bind(ctx, a, acct)
	d.Credential = "main"
	if d.Reason == WrongPassword && acct.Status == account.BindLocked {
		// The mark of a lock outlives it, until the next bind that succeeds: so the
		// directory has the last word, and only the reason says more.
		d.Reason = BindLocked
	}
	switch {
	case d.Outcome != account.Granted || !twoFactor:
	case excused != "":
		d.Reason = excused
	default:
		d.Outcome, d.Reason = account.Denied, AppPasswordRequired
	}
	return d
}

// excuse says why the main password alone opens a service of an account that needs a
// second factor, from a place; "": it does not. No bypass opens a service account: there
// is nobody whose factor could be lost.
func (g *Gate) excuse(acct *account.Account, p place, eff policy.Effective) Reason {
	switch now := g.now(); {
	case acct.Bypassed(p.service, now) && !eff.ServiceAccount:
		return Bypassed
	case g.settings.observed(acct.Domain, now):
		return Observed
	case !g.settings.ofWebmail(p) && acct.Knows(p.service, p.client, eff, now):
		return KnownDevice
	}
	return ""
}

// find is the store's, and notes whether the directory answers.
func (g *Gate) find(ctx context.Context, name string) (*account.Account, error) {
	acct, err := g.store.Find(ctx, name)
	if g.notFound(err).Outcome == account.Unavailable && err != nil {
		g.down.Store(g.now().UnixNano())
	} else if g.down.Load() != 0 {
		g.down.Store(0)
	}
	return acct, err
}

// bind asks for the main password, within the limit on binds: one slow password hash must
// not starve the logins that need none (ATTACKS 41).
func (g *Gate) bind(ctx context.Context, a *Attempt, acct *account.Account) Decision {
	if !g.binds.take(ctx) {
		return unavailable(Busy)
	}
	defer g.binds.free()
	switch err := g.bindOnce(ctx, a, acct); {
	case err == nil:
		return Decision{Outcome: account.Granted}
	case errors.Is(err, account.ErrWrong):
		return denied(WrongPassword)
	default:
		return unavailable(g.noCheck)
	}
}

const (
	purposeBind = "bind"
	// wrongFor is how long a wrong password is known to be wrong without asking.
	wrongFor = 5 * time.Second
)

// bindOnce binds once for all who present the same password of the same account at
// the same moment, as mail programs with several connections do: a wrong one would
// otherwise count as often at the directory, and lock the account.
func (g *Gate) bindOnce(ctx context.Context, a *Attempt, acct *account.Account) error {
	mac, err := g.prover.MAC(account.RoleDoor, purposeBind, string(acct.ID), string(a.Password.Reveal()))
	if err != nil {
		return err
	}
	key := string(mac)
	if g.wrong.has(key, g.now()) {
		return account.ErrWrong
	}
	_, err, _ = g.binding.Do(key, func() (any, error) {
		// Others wait for the answer too: it must not end with the first one's connection.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.settings.Deadline)
		defer cancel()
		err := g.mains.Check(ctx, acct, a.Password)
		if errors.Is(err, account.ErrWrong) {
			g.wrong.add(key, g.now().Add(wrongFor))
		}
		return nil, err
	})
	return err
}

// notFound maps the errors of Store.Find.
func (g *Gate) notFound(err error) Decision {
	switch {
	case errors.Is(err, account.ErrUnknown) && g.settings.UnknownElsewhere:
		return denied(Elsewhere)
	case errors.Is(err, account.ErrUnknown):
		return denied(UnknownUser)
	case errors.Is(err, account.ErrAmbiguous):
		return denied(AmbiguousUser)
	case errors.Is(err, account.ErrDamaged):
		return denied(Damaged)
	default:
		return unavailable(DirectoryDown)
	}
}

func throttled(a Advice) Decision {
	d := denied(Throttled)
	d.Limit = a.Limit
	return d
}

func denied(r Reason) Decision      { return Decision{Outcome: account.Denied, Reason: r} }
func unavailable(r Reason) Decision { return Decision{Outcome: account.Unavailable, Reason: r} }

// refuseName refuses what must not even be looked up.
func refuseName(a *Attempt) Reason {
	switch {
	case a.User == "" || len(a.User) > maxName || !utf8.ValidString(a.User) ||
		strings.ContainsFunc(a.User, unicode.IsControl):
		return BadName
	case a.Master != "":
		return Impersonation
	}
	return ""
}

// pad waits until a whole multiple of grain has passed since began.
func pad(began time.Time, grain time.Duration) {
	if grain <= 0 {
		return
	}
	time.Sleep(grain - time.Since(began)%grain)
}
