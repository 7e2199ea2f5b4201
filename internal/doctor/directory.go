package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"postern/internal/account"
	"postern/ldapstore"
)

const (
	directoryTime = 40 * time.Second
	// lagTime is how long a replica may take; lagFine is when nobody notices.
	lagTime = 10 * time.Second
	lagFine = 2 * time.Second
	// clockFine is half a step of an authenticator: further off, right codes are refused.
	clockFine = 15 * time.Second
)

// directory looks at the directory with the service account's own eyes.
func (e *examination) directory(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, directoryTime)
	defer cancel()
	store, ring, err := e.Config.OpenStore(e.presentRoles()...)
	if err != nil {
		e.unchecked("directory", "", err.Error())
		return
	}
	defer store.Close()
	if !e.diagnose(ctx, store) {
		return
	}
	known, err := store.KeyChecks(ctx)
	if err != nil {
		e.unchecked("key-check", "", err.Error())
		return
	}
	if err := ring.Check(known); err != nil {
		e.wrong("key-check", e.Config.Keys.Directory, err.Error())
	} else {
		e.ok("key-check", e.Config.Keys.Directory, "the keys are those of this site")
	}
	if ring.CanVerify() && !ring.KnowsTickets(known) {
		e.wrong("ticket-pub", e.Config.PublicKeyPath(), "is not of this site's ticket key: webmail's tickets are refused here")
	}
	e.lag(ctx, store)
	e.anonymous(ctx, store)
	e.indexes(ctx, store)
}

// presentRoles are those whose key this host has.
func (e *examination) presentRoles() []string {
	var list []string
	for _, r := range roles {
		if _, err := e.Config.OpenRing(r); err == nil {
			list = append(list, r)
		}
	}
	return list
}

// diagnose is what the daemons' -check finds. It returns false if nothing else can be
// looked at.
func (e *examination) diagnose(ctx context.Context, store *ldapstore.Store) bool {
	err := store.Diagnose(ctx)
	if err == nil {
		e.ok("directory", strings.Join(e.Config.Directory.ReadURIs, " "), "answers; schema, bases and the service account's rights are right")
		return true
	}
	reached := true
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, account.ErrUnavailable.Error()) {
			reached = false
			e.unchecked("directory", "", line)
			continue
		}
		e.wrong("directory", "", line)
	}
	return reached
}

// lag writes a marker and waits until every server shows it; by the way the
// directory's clock is seen.
func (e *examination) lag(ctx context.Context, store *ldapstore.Store) {
	seen, at, err := store.Lag(ctx, rand.Text(), lagTime)
	if err != nil {
		e.unchecked("replica", "", err.Error())
		return
	}
	for _, s := range seen {
		switch {
		case s.Err != nil && errors.Is(s.Err, account.ErrUnavailable):
			e.unchecked("replica", s.URI, s.Err.Error())
		case s.Err != nil:
			e.wrong("replica", s.URI, s.Err.Error()+": a revoked app password goes on working there")
		case s.After > lagFine:
			e.warn("replica", s.URI, fmt.Sprintf("shows a change %.1f s late", s.After.Seconds()))
		default:
			e.ok("replica", s.URI, "shows changes at once")
		}
	}
	if at.IsZero() {
		e.unchecked("clock", "directory", "the directory does not tell when an entry was changed")
		return
	}
	e.clock("the directory", at.Sub(e.Now()))
}

// clock compares a clock with ours.
func (e *examination) clock(whose string, off time.Duration) {
	if off.Abs() > clockFine {
		e.wrong("clock", whose, fmt.Sprintf("the clocks of this host and of %s differ by %d s: codes of authenticators are refused, tickets are late or early", whose, int(off.Abs().Seconds())))
		return
	}
	e.ok("clock", whose, "goes as this host's clock does")
}

// httpClock reads the Date of an answer (RFC 9110 section 6.6.1).
func (e *examination) httpClock(whose string, res *http.Response, asked time.Time) {
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		e.clock(whose, at.Sub(asked))
	}
}

// anonymous: the site's entry holds key-check values on every site, so that an empty
// answer says something.
func (e *examination) anonymous(ctx context.Context, store *ldapstore.Store) {
	found, err := store.ExposedToAll(ctx)
	switch {
	case err != nil:
		e.unchecked("acl-anonymous", "", err.Error())
	case len(found) > 0:
		e.wrong("acl-anonymous", "", "anybody, without logging in, can "+strings.Join(found, ", "))
	default:
		e.ok("acl-anonymous", "", "who does not log in to the directory finds nothing of Postern's")
	}
}

// indexes asks OpenLDAP's own configuration, which root may read on the directory's
// host, and perhaps the administrator who makes the canary.
func (e *examination) indexes(ctx context.Context, store *ldapstore.Store) {
	missing, err := store.MissingIndexes(ctx, ldapstore.External)
	if err != nil && e.Canary != nil && e.Canary.Admin != nil {
		missing, err = store.MissingIndexes(ctx, e.Canary.Admin)
	}
	switch {
	case err != nil && os.Geteuid() != 0:
		e.unchecked("index", "", "only root on the directory's host sees its configuration")
	case err != nil:
		e.unchecked("index", "", "the directory does not show its configuration to root here (it is another host's, or not OpenLDAP)")
	case len(missing) > 0:
		e.warn("index", strings.Join(missing, ", "), "there is no index for equality: logins become slow with many accounts")
	default:
		e.ok("index", "", "what Postern searches by is indexed")
	}
}
