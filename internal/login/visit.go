package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"sync"
	"time"

	"postern/internal/account"
	"postern/internal/factor"
	"postern/internal/seal"
)

// Browser is what a page knows of who looks at it.
type Browser struct {
	Addr   netip.Addr // invalid: not known
	Agent  string
	Cookie string // value of the browser's own random cookie (NewBrowserCookie)
	Origin string // scheme, host and port of the page
	// Language is the page's, for factors that have texts of their own.
	Language string
}

// NewBrowserCookie makes the value of the cookie that tells one browser from
// another: 160 random bits.
func NewBrowserCookie() string {
	var b [20]byte
	rand.Read(b[:]) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Visit is a browser on the page of a login under way.
type Visit struct {
	person
	browser Browser
	t       transaction
}

// Enrolling reports whether the login waits for a first factor rather than for one
// that is there; Passwordless, whether it is of an account not known yet.
func (v *Visit) Enrolling() bool { return v.t.Stage == stageEnrol }

// Passwordless: see Enrolling.
func (v *Visit) Passwordless() bool { return v.t.Stage == stagePasswordless }

// MayPostpone reports whether enrolment may be put off, until Deadline.
func (v *Visit) MayPostpone() bool { return v.t.Postpone }

// Deadline is when enrolment can be put off no longer.
func (v *Visit) Deadline(now time.Time) time.Time { return GraceEnds(v.Account, v.Policy, now) }

// NeedsEnrolToken reports whether enrolment asks for the administrator's token.
func (v *Visit) NeedsEnrolToken() bool {
	return v.Account.TwoFactor() && !v.t.Renews && v.Policy.ResetNeedsToken
}

// Renews reports whether the login waits for a factor in place of the last one, which is
// gone: a backup code was asked for, and is spent.
func (v *Visit) Renews() bool { return v.t.Renews }

// User is the name typed at webmail, Client the webmail.
func (v *Visit) User() string { return v.t.User }

// Client is the hook client that began the login.
func (v *Visit) Client() string { return v.t.Client }

// ReturnTo is where the browser came from and goes back to.
func (v *Visit) ReturnTo() string { return v.t.ReturnTo }

// Cancelled is where the browser goes when its user gives up.
func (v *Visit) Cancelled() string { return v.t.back("error", "cancelled") }

// Open reads the page token of a URL for the browser that shows it. The transaction
// belongs to the first browser that opens it on this node, and to the network it was
// begun from; a link that somebody passed on opens nothing. With a reason the visit
// may still say where the browser came from.
func (s *SignIn) Open(ctx context.Context, token string, b Browser) (*Visit, Reason, error) {
	v, reason := s.OpenToAnswer(token, b)
	if reason != "" || v.t.Stage == stagePasswordless {
		return v, reason, nil
	}
	var err error
	v.person, reason, err = s.read(ctx, v.t.ref())
	switch {
	case err != nil || reason != "":
		return v, reason, err
	case s.changed(&v.person, &v.t):
		return v, AccountChanged, nil
	}
	return v, "", nil
}

// OpenToAnswer is Open without reading the account, which Answer does in its turn: the
// visit has none before.
func (s *SignIn) OpenToAnswer(token string, b Browser) (*Visit, Reason) {
	v := &Visit{browser: b}
	err := s.open(purposePage, token, &v.t)
	switch {
	case errors.Is(err, seal.ErrExpired):
		return v, TransactionOver
	case err != nil:
		return nil, BadTransaction
	case !near(v.t.Addr, b.Addr), !s.claims.claim(v.t.ID, b.Cookie, s.now()):
		return nil, BegunElsewhere
	}
	return v, ""
}

// changed reports whether what the transaction was begun on does not hold any more:
// sessions were ended, two-step login was switched on or off, or the password changed;
// for who enrols, also that somebody else was faster.
func (s *SignIn) changed(p *person, t *transaction) bool {
	enrolled := p.Account.State.Enrolled
	switch {
	case p.Account.Epoch() != t.Epoch:
		return true
	case t.Stage == stageFactor:
		return !enrolled
	case t.Renews:
		return !factorless(p.Account, p.Policy)
	}
	return enrolled && !mustEnrol(p.Account, p.Policy)
}

// claims remembers which browser opened a page first.
type claims struct {
	mu sync.Mutex
	of map[[16]byte]claim
}

type claim struct {
	browser [sha256.Size]byte
	until   time.Time
	page    string // the token with which it went on to another page; empty: it has not
}

const (
	claimFor  = 15 * time.Minute
	maxClaims = 100_000
)

func newClaims() *claims { return &claims{of: make(map[[16]byte]claim)} }

// claim reports whether the transaction is this browser's.
func (c *claims) claim(id []byte, cookie string, now time.Time) bool {
	if len(id) != 16 || cookie == "" {
		return false
	}
	key, browser := [16]byte(id), sha256.Sum256([]byte(cookie))
	c.mu.Lock()
	defer c.mu.Unlock()
	if was, ok := c.of[key]; ok {
		return was.browser == browser
	}
	if len(c.of) >= maxClaims {
		c.forget(now)
	}
	c.of[key] = claim{browser: browser, until: now.Add(claimFor)}
	return true
}

// goOn notes that the transaction goes on at another page, for its browser.
func (c *claims) goOn(id []byte, page string) {
	if len(id) != 16 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if was, ok := c.of[[16]byte(id)]; ok {
		was.page = page
		c.of[[16]byte(id)] = was
	}
}

// page is what goOn noted.
func (c *claims) page(id []byte) string {
	if len(id) != 16 {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[[16]byte(id)].page
}

// forget drops what is over, and everything if that is nothing.
func (c *claims) forget(now time.Time) {
	for k, was := range c.of {
		if now.After(was.until) {
			delete(c.of, k)
		}
	}
	if len(c.of) >= maxClaims {
		clear(c.of)
	}
}

// Methods lists the factors that the account has and its policy allows, in the order
// in which they are to be offered. Those disabled by wrong tries are among Disabled.
func (p *person) methods(factors []factor.Factor) (usable, disabled []string) {
	for _, f := range factors {
		if !factor.Has(p.Account, f) || !p.allows(f) {
			continue
		}
		if p.Account.State.Failures[f.Kind()] >= maxFailures {
			disabled = append(disabled, f.Name())
			continue
		}
		usable = append(usable, f.Name())
	}
	return usable, disabled
}

func (p *person) allows(f factor.Factor) bool {
	if f.Kind() == account.KindBackup {
		return p.Policy.BackupCodes
	}
	return p.Policy.AllowsMethod(f.Name())
}

// Methods are those of the visit's account.
func (s *SignIn) Methods(v *Visit) (usable, disabled []string) { return v.methods(s.factors) }
