package ldapstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// cooldown is how long a read server that failed is passed over.
const cooldown = 5 * time.Second

// server is one directory server with its two pools.
type server struct {
	uri     string
	service *pool // logged in as the service account
	users   *pool // not logged in: for checking passwords

	// downUntil is when the server is to be tried again, in Unix nanoseconds; 0
	// while it works.
	downUntil atomic.Int64
}

func newServer(uri string, cfg *Config, base *tls.Config) (*server, error) {
	ep, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	d := dialer{endpoint: ep, tlsConfig: base.Clone(), startTLS: cfg.StartTLS}
	d.tlsConfig.ServerName = ep.host
	service := d
	service.login = cfg.login
	return &server{
		uri:     uri,
		service: newPool(cfg.PoolSize, serviceIdle, &service),
		users:   newPool(cfg.PoolSize, bindIdle, &d),
	}, nil
}

// login identifies the service on a new connection.
func (c *Config) login(lc *ldap.Conn) error {
	if c.SASLExternal {
		return lc.ExternalBind()
	}
	return lc.Bind(c.BindDN, string(c.BindPassword.Reveal()))
}

func (s *server) close() {
	s.service.close()
	s.users.close()
}

// ready reports whether the server should be asked. Of those who come after the
// cooldown one goes first, the others keep away until it has succeeded.
func (s *server) ready(now time.Time) bool {
	until := s.downUntil.Load()
	if until == 0 {
		return true
	}
	return now.UnixNano() >= until && s.downUntil.CompareAndSwap(until, now.Add(cooldown).UnixNano())
}

// note remembers how the last operation went.
func (s *server) note(err error) {
	if down(err) {
		s.downUntil.Store(time.Now().Add(cooldown).UnixNano())
	} else if s.downUntil.Load() != 0 {
		s.downUntil.Store(0)
	}
}

// candidates lists the read servers to ask, in order. If none seems to work, all
// are asked: waiting for a cooldown would prolong an outage.
func (s *Store) candidates() []*server {
	if len(s.reads) == 1 {
		return s.reads
	}
	now := time.Now()
	list := make([]*server, 0, len(s.reads))
	for _, srv := range s.reads {
		if srv.ready(now) {
			list = append(list, srv)
		}
	}
	if len(list) == 0 {
		return s.reads
	}
	return list
}

// read runs op on the first read server that answers. op may run several times.
// The error is op's own from the last server, wrapped in account.ErrUnavailable:
// op itself must return LDAP errors only, and nil for every usable answer.
func (s *Store) read(ctx context.Context, op func(*conn) error) error {
	var errs []error
	list := s.candidates()
	for i, srv := range list {
		if ctx.Err() != nil {
			break
		}
		err := srv.service.do(ctx, s.deadline(ctx, len(list)-i), true, op)
		srv.note(err)
		if err == nil {
			return nil
		}
		errs = append(errs, srv.explain(err))
	}
	if len(errs) == 0 {
		return unavailable(ctx.Err())
	}
	return errors.Join(errs...)
}

// readWriter runs op on the write server.
func (s *Store) readWriter(ctx context.Context, op func(*conn) error) error {
	if ctx.Err() != nil {
		return unavailable(ctx.Err())
	}
	err := s.writer.service.do(ctx, s.deadline(ctx, 1), true, op)
	return s.writer.explain(err)
}

// write runs op, a change, on the write server, at most once. The error is op's
// own for an answer of the server; everything else wraps account.ErrUnavailable,
// and then the change may or may not have been made.
func (s *Store) write(ctx context.Context, op func(*conn) error) error {
	if ctx.Err() != nil {
		return unavailable(ctx.Err())
	}
	err := s.writer.service.do(ctx, s.deadline(ctx, 1), false, op)
	if err == nil || answered(err) && !errors.Is(err, account.ErrUnavailable) {
		return err
	}
	return s.writer.explain(err)
}

// explain makes any failure of a server unavailable, with its name.
func (s *server) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, account.ErrUnavailable):
		return err
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		return fmt.Errorf("%s refers to another server, which Postern does not follow: %w: %w", s.uri, account.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w: %w", s.uri, account.ErrUnavailable, err)
	}
}
