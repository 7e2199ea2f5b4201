// Package dovecotauth asks a Dovecot on this host whether a password is right, as its
// own login processes and Postfix do: by the auth-client protocol on a unix socket of
// service auth (doc/auth-protocol.txt, and src/auth/auth-client-connection.c of 2.3
// and 2.4). Behind that socket are the site's passdbs, whatever they are.
//
//	→ VERSION 1 2, CPID 4711
//	← VERSION 1 2, MECH PLAIN plaintext, …, DONE
//	→ AUTH 1 PLAIN service=postern-main session=… secured nologin no-penalty resp=BASE64
//	← OK 1 user=alice@example.test
//	← FAIL 2 user=bob@example.test          wrong
//	← FAIL 3 user=carol@example.test code=temp_fail    could not be checked
//
// Words are separated by TAB, and each line is one message. All requests go over one
// connection, each with its number, so a slow check holds up no quick one. The client
// is careful rather than clever: every wait has an end, lines have a longest length,
// and whatever is not clearly an answer to the question is "could not check".
package dovecotauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postern/internal/account"
)

// ErrUnavailable is wrapped by every error that says nothing about the password.
var ErrUnavailable = errors.New("Dovecot cannot be asked for a password") //nolint:staticcheck // ST1005: a name

// Config says where to ask and how.
type Config struct {
	// Socket is the path of a unix listener of Dovecot's service auth.
	Socket string
	// Service is what the requests are for, Dovecot's %{service} or %{protocol}.
	Service string
	// Limit is how many passwords Dovecot checks for us at once, 8 by default. A place
	// is free again when Dovecot has answered, not when nobody waits any more: behind a
	// passdb that hangs, questions must not pile up in Dovecot's auth workers, which
	// other logins need (ATTACKS 41).
	Limit int
	// Life is how long a connection is used, five seconds by default. After a reload
	// Dovecot keeps the old auth process, with the old configuration, while somebody is
	// connected to it (auth_die in src/auth/main.c), and kills it in the end, with
	// whatever it was just asked.
	Life time.Duration
	// Failed hears why Dovecot cannot be asked: once, until it could be or the reason
	// is another. It may be nil.
	Failed func(error)
}

// Client asks. It is safe for concurrent use.
type Client struct {
	cfg  Config
	turn chan struct{} // held by who looks for a connection, or makes one
	conn *conn         // nil, or perhaps not usable any more; guarded by turn

	places chan struct{} // one for each question that Dovecot has

	mu     sync.Mutex
	failed string // what Failed heard last
}

// handshakeTime bounds what needs no password checked: Dovecot is on this host.
const handshakeTime = 2 * time.Second

// New returns a Client. It connects when it is first asked.
func New(c Config) *Client {
	if c.Life <= 0 {
		c.Life = 5 * time.Second
	}
	if c.Limit <= 0 {
		c.Limit = 8
	}
	return &Client{cfg: c, turn: make(chan struct{}, 1), places: make(chan struct{}, c.Limit)}
}

// Close ends the connection; questions under way fail with ErrUnavailable. The Client
// remains usable.
func (c *Client) Close() {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.conn != nil {
		c.conn.end(errClosed)
		c.conn = nil
	}
}

// Ping reports whether Dovecot answers on the socket and takes passwords.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.connection(ctx)
	return unavailable(err)
}

// Authenticate asks whether password is user's. session is handed on to Dovecot's
// passdbs and auth policy. Errors: account.ErrWrong, if Dovecot says so about this
// very user; everything else, also that ctx ended, wraps ErrUnavailable. An empty
// password, and one that SASL PLAIN cannot carry (RFC 4616), is wrong unasked.
func (c *Client) Authenticate(ctx context.Context, user string, password account.Secret, session string) error {
	q := question{service: c.cfg.Service, session: session, user: user, password: password}
	if err := q.check(); err != nil {
		return err
	}
	err := c.ask(ctx, &q)
	if errors.Is(err, account.ErrWrong) {
		c.note(nil)
		return err
	}
	c.note(err)
	return unavailable(err)
}

// ask asks once. A connection that ends before it has taken the question is replaced:
// afterwards a passdb may have counted the try.
func (c *Client) ask(ctx context.Context, q *question) error {
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%d passwords are being checked: %w", cap(c.places), ctx.Err())
	}
	over := sync.OnceFunc(func() { <-c.places })
	for tries := 1; ; tries++ {
		conn, err := c.connection(ctx)
		if err != nil {
			over()
			return err
		}
		a, err := conn.ask(ctx, q, over)
		switch {
		case err == nil:
			return a.verdict(q.user)
		case !errors.Is(err, errUnsent):
			return err
		case tries == 3:
			over()
			return err
		}
	}
}

// connection returns one that can be asked, the only one there is unless it has come
// to its end.
func (c *Client) connection(ctx context.Context) (*conn, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waited for a connection: %w", ctx.Err())
	}
	if c.conn != nil && c.conn.usable() {
		return c.conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	conn, err := dial(ctx, c.cfg.Socket)
	if err != nil {
		return nil, err
	}
	conn.retireAfter(c.cfg.Life)
	c.conn = conn
	return conn, nil
}

// note tells Failed what is new.
func (c *Client) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	news := text != c.failed
	c.failed = text
	c.mu.Unlock()
	if news && err != nil && c.cfg.Failed != nil {
		c.cfg.Failed(err)
	}
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
