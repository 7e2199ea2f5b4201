package ldapstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// This file and the other examine*.go are for posternctl doctor: what Diagnose cannot
// know from the service account's own rights.

// Seen is when a read server showed a change.
type Seen struct {
	URI   string
	After time.Duration // of the write; meaningless with Err
	Err   error         // not within the time, or the server cannot be asked
}

// Lags is what one change told.
type Lags struct {
	Seen []Seen // of each read server, in their order
	// Changed is when the write server made the change by its own clock, in whole
	// seconds; zero if it does not say. Asked is when it was asked to, by ours.
	Changed, Asked time.Time
}

// markerPrefix begins a value that is there for as long as Lag takes. No key-check
// value looks like it.
const markerPrefix = "doctor "

const (
	lagPoll = 50 * time.Millisecond
	// markerLife is longer than any run takes: older markers are those of killed runs.
	markerLife = 10 * time.Minute
)

// Lag writes a marker into the site's entry, waits until each read server shows it,
// and removes it, with those that killed runs have left. now is this host's clock.
// Errors: as RegisterKeyChecks.
func (s *Store) Lag(ctx context.Context, now func() time.Time, marker string, wait time.Duration) (lags Lags, err error) {
	lags.Asked = now()
	marker = markerPrefix + lags.Asked.UTC().Format(time.RFC3339) + " " + marker
	began := time.Now()
	if err := s.RegisterKeyChecks(ctx, []string{marker}); err != nil {
		return lags, err
	}
	defer func() { err = errors.Join(err, s.removeMarkers(context.WithoutCancel(ctx), marker, lags.Asked)) }()
	written := time.Now()
	// What writing took is nobody's lag, and no difference of clocks.
	lags.Asked = lags.Asked.Add(written.Sub(began))
	lags.Changed, _ = s.changedAt(ctx)
	waiting, cancel := context.WithDeadline(ctx, written.Add(wait))
	defer cancel()
	lags.Seen = make([]Seen, len(s.reads))
	var all sync.WaitGroup
	for i, srv := range s.reads {
		all.Go(func() { lags.Seen[i] = s.await(waiting, srv, marker, written) })
	}
	all.Wait()
	return lags, nil
}

// await asks a server until it shows the marker.
func (s *Store) await(ctx context.Context, srv *server, marker string, written time.Time) Seen {
	for {
		var list []string
		err := srv.service.do(ctx, s.deadline(ctx, 1), true, func(c *conn) (err error) {
			list, err = s.keyChecks(c)
			return err
		})
		switch {
		case err != nil && ctx.Err() == nil:
			return Seen{URI: srv.uri, Err: srv.explain(err)}
		case err == nil && slices.Contains(list, marker):
			return Seen{URI: srv.uri, After: time.Since(written)}
		}
		select {
		case <-time.After(lagPoll):
		case <-ctx.Done():
			return Seen{URI: srv.uri, Err: errors.New("does not show a change")}
		}
	}
}

// removeMarkers removes one's own marker, and those that are too old for any run to wait
// for, or bear no time.
func (s *Store) removeMarkers(ctx context.Context, own string, now time.Time) error {
	var known []string
	err := s.readWriter(ctx, func(c *conn) (err error) {
		known, err = s.keyChecks(c)
		return err
	})
	if err != nil {
		return err
	}
	return s.RemoveKeyChecks(ctx, slices.DeleteFunc(known, func(v string) bool {
		text, is := strings.CutPrefix(v, markerPrefix)
		stamp, _, _ := strings.Cut(text, " ")
		at, err := time.Parse(time.RFC3339, stamp)
		return !is || v != own && err == nil && now.Sub(at).Abs() < markerLife
	}))
}

// generalizedTime is what directories write (RFC 4517 section 3.3.13), for time.Parse.
const generalizedTime = "20060102150405Z"

// WithoutMarkers are the key-check values of the site, sorted, without the markers of Lag.
func WithoutMarkers(known []string) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, v := range known {
			if !strings.HasPrefix(v, markerPrefix) && !yield(v) {
				return
			}
		}
	})
}

// changedAt is modifyTimestamp of the site's entry (RFC 4512 section 3.4.2).
func (s *Store) changedAt(ctx context.Context) (at time.Time, err error) {
	err = s.readWriter(ctx, func(c *conn) error {
		e, err := baseSearch(c, s.siteDN(), "modifyTimestamp")
		if err != nil || e == nil {
			return err
		}
		at, _ = time.Parse(generalizedTime, value(e, "modifyTimestamp"))
		return nil
	})
	return at, err
}

// as runs f on a connection of its own to a server, for as long as ctx has.
func (s *Store) as(ctx context.Context, srv *server, login Login, f func(*ldap.Conn) error) error {
	c, err := srv.users.dial(ctx, s.deadline(ctx, 1))
	if err != nil {
		return err
	}
	defer c.discard()
	if login != nil {
		if err := login(c.Conn); ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return account.ErrWrong
		} else if err != nil {
			return srv.explain(err)
		}
	}
	// What nobody else has an index for takes its time.
	if end, ok := ctx.Deadline(); ok {
		if err := c.raw.SetDeadline(end); err != nil {
			return srv.explain(err)
		}
	}
	return f(c.Conn)
}

// Login identifies somebody on a new connection.
type Login func(*ldap.Conn) error

// External logs in by SASL EXTERNAL, as the system's user on ldapi://.
func External(c *ldap.Conn) error { return c.ExternalBind() }

// Simple logs in by a password.
func Simple(dn string, password account.Secret) Login {
	return func(c *ldap.Conn) error {
		if password.Empty() {
			return account.ErrWrong // would be anonymous
		}
		return c.Bind(dn, string(password.Reveal()))
	}
}

// ErrNotShown: the directory does not show its configuration to whoever asked.
var ErrNotShown = errors.New("the directory does not show its configuration")

// MissingIndexes lists attributes that Postern searches by and OpenLDAP has no index of,
// by its configuration (cn=config), which login must be allowed to read. Errors:
// ErrNotShown, account.ErrUnavailable.
func (s *Store) MissingIndexes(ctx context.Context, login Login) ([]string, error) {
	var missing []string
	err := s.as(ctx, s.writer, login, func(c *ldap.Conn) error {
		res, err := c.Search(&ldap.SearchRequest{BaseDN: "cn=config", Scope: ldap.ScopeWholeSubtree,
			Filter: "(olcSuffix=*)", Attributes: []string{"olcSuffix", "olcDbIndex"}})
		if err != nil || len(res.Entries) == 0 {
			return ErrNotShown
		}
		missing = s.lacking(res.Entries)
		return nil
	})
	return missing, err
}

// lacking compares the indexes of the database that holds base with what searches need.
func (s *Store) lacking(databases []*ldap.Entry) []string {
	indexed := map[string]bool{}
	for _, e := range databases {
		if !strings.HasSuffix(strings.ToLower(s.cfg.Base), strings.ToLower(value(e, "olcSuffix"))) {
			continue
		}
		for _, v := range values(e, "olcDbIndex") {
			names, kinds, _ := strings.Cut(string(v), " ")
			for name := range strings.SplitSeq(names, ",") {
				indexed[strings.ToLower(name)] = kinds == "" || strings.Contains(kinds, "eq")
			}
		}
	}
	need := []string{"objectClass", s.cfg.IDAttribute, s.cfg.LoginAttribute}
	if s.cfg.Layout == LayoutSubtree {
		need = append(need, "posternHolderOf")
	}
	return slices.DeleteFunc(need, func(name string) bool { return indexed[strings.ToLower(name)] })
}
