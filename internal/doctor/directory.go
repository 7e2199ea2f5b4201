package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"postern/internal/account"
	"postern/internal/seal"
	"postern/ldapstore"
)

const (
	directoryTime = 40 * time.Second
	// lagTime is how long a replica may take; lagFine is when nobody notices.
	lagTime = 10 * time.Second
	lagFine = 2 * time.Second
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
	e.diagnose(ctx, store)
	e.registeredKeys(ctx, store, ring)
	e.lag(ctx, store)
	e.kernelClock(syscall.Adjtimex)
	e.anonymous(ctx, store)
	e.indexes(ctx, store)
}

// registeredKeys: a host with other keys than the site's can read nothing.
func (e *examination) registeredKeys(ctx context.Context, store *ldapstore.Store, ring *seal.Ring) {
	known, err := store.KeyChecks(ctx)
	if err != nil {
		e.unchecked("key-check", "", err.Error())
		return
	}
	e.keyChecks = ldapstore.WithoutMarkers(known)
	if err := ring.Check(known); err != nil {
		e.wrong("key-check", e.Config.Keys.Directory, err.Error())
	} else {
		e.ok("key-check", e.Config.Keys.Directory, "the keys are those of this site")
	}
	if ring.CanVerify() && !ring.KnowsTickets(known) {
		e.wrong("ticket-pub", e.Config.PublicKeyPath(), "is not of this site's ticket key: webmail's tickets are refused here")
	}
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

// diagnose is what the daemons' -check finds.
func (e *examination) diagnose(ctx context.Context, store *ldapstore.Store) {
	err := store.Diagnose(ctx)
	if err == nil {
		e.ok("directory", strings.Join(e.Config.Directory.ReadURIs, " "), "answers; schema, bases and the service account's rights are right")
		return
	}
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, account.ErrUnavailable.Error()) {
			e.unchecked("directory", "", line)
			continue
		}
		e.wrong("directory", "", line)
	}
}

// lag writes a marker and waits until every server shows it; by the way the
// directory's clock is seen.
func (e *examination) lag(ctx context.Context, store *ldapstore.Store) {
	lags, err := store.Lag(ctx, e.Now, rand.Text(), lagTime)
	if err != nil {
		e.unchecked("replica", "", err.Error())
		return
	}
	for _, s := range lags.Seen {
		e.lagOf(s)
	}
	if lags.Changed.IsZero() {
		e.unchecked("clock", "the directory", "it does not tell when an entry was changed (modifyTimestamp)")
		return
	}
	e.clock("the directory", lags.Changed.Sub(lags.Asked))
}

func (e *examination) lagOf(s ldapstore.Seen) {
	switch {
	case s.Err != nil && errors.Is(s.Err, account.ErrUnavailable):
		e.unchecked("replica", s.URI, s.Err.Error())
	case s.Err != nil:
		e.wrong("replica", s.URI, fmt.Sprintf("%s within %d s: a revoked app password goes on working there", s.Err, int(lagTime.Seconds())))
	case s.After > lagFine:
		e.warn("replica", s.URI, fmt.Sprintf("shows a change %.1f s late", s.After.Seconds()))
	default:
		e.ok("replica", s.URI, "shows changes at once")
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
		e.unchecked("index", "", "the directory does not show its configuration (cn=config) to whom doctor logs in as: it is another host's, or not OpenLDAP")
	case len(missing) > 0:
		e.add(Finding{ID: "index", Status: Warning, Subject: strings.Join(missing, ", "), Remedy: "load contrib/slapd/postern-index.ldif",
			Text: "there is no index for equality: logins become slow with many accounts"})
	default:
		e.ok("index", "", "what Postern searches by is indexed")
	}
}
