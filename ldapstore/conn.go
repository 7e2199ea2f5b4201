package ldapstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// endpoint is a parsed URI.
type endpoint struct {
	uri, network, address string
	host                  string // to be in the server's certificate
	tls                   bool   // from the first byte: ldaps
}

// parseURI reads ldap://, ldaps:// and ldapi:// URIs. In the last the socket's
// path stands percent-encoded in the place of the host.
func parseURI(uri string) (endpoint, error) {
	if path, ok := strings.CutPrefix(uri, "ldapi://"); ok {
		return parseSocket(uri, path)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, fmt.Errorf("%q is not of the form ldap://host, ldaps://host:port or ldapi://%%2Fpath", uri)
	}
	port := u.Port()
	switch u.Scheme {
	case "ldap":
		if port == "" {
			port = ldap.DefaultLdapPort
		}
	case "ldaps":
		if port == "" {
			port = ldap.DefaultLdapsPort
		}
	default:
		return endpoint{}, fmt.Errorf("%q: scheme must be ldap, ldaps or ldapi", uri)
	}
	return endpoint{
		uri: uri, network: "tcp", address: net.JoinHostPort(u.Hostname(), port),
		host: u.Hostname(), tls: u.Scheme == "ldaps",
	}, nil
}

func parseSocket(uri, encoded string) (endpoint, error) {
	path, err := url.PathUnescape(strings.TrimSuffix(encoded, "/"))
	if err != nil {
		return endpoint{}, fmt.Errorf("%q: %w", uri, err)
	}
	if path == "" {
		path = "/run/slapd/ldapi" // where Debian's slapd listens
	}
	if !strings.HasPrefix(path, "/") {
		return endpoint{}, fmt.Errorf("%q must name an absolute path, as in ldapi://%%2Frun%%2Fslapd%%2Fldapi", uri)
	}
	return endpoint{uri: uri, network: "unix", address: path}, nil
}

func (e *endpoint) loopback() bool {
	if e.network == "unix" || e.host == "localhost" {
		return true
	}
	ip := net.ParseIP(e.host)
	return ip != nil && ip.IsLoopback()
}

// conn is a connection to one server. Deadlines are set on raw, below TLS: the
// library's own timeout does not cover writing and handshakes.
type conn struct {
	*ldap.Conn
	raw    net.Conn
	wire   *wire     // nil with StartTLS, where the library changes what is below it
	idleAt time.Time // when it went back into the pool
	reused bool
}

// discard closes the connection without waiting for the peer.
func (c *conn) discard() {
	_ = c.raw.Close()
	_ = c.Conn.Close()
}

// dialer makes connections to one server.
type dialer struct {
	endpoint
	tlsConfig *tls.Config
	startTLS  bool
	login     func(*ldap.Conn) error // nil: none, for users' binds
}

// keepAlive finds dead peers of idle connections within a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// dial connects, protects and logs in before the deadline. Errors wrap
// account.ErrUnavailable and say which step failed.
func (d *dialer) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	nd := net.Dialer{Deadline: deadline, KeepAliveConfig: keepAlive}
	raw, err := nd.DialContext(ctx, d.network, d.address)
	if err != nil {
		return nil, d.fail("connect", err)
	}
	if err := raw.SetDeadline(deadline); err != nil {
		_ = raw.Close()
		return nil, d.fail("connect", err)
	}
	c, err := d.protect(ctx, raw)
	if err != nil {
		_ = raw.Close()
		return nil, d.fail("TLS", err)
	}
	if d.login == nil {
		return c, nil
	}
	if err := d.login(c.Conn); err != nil {
		c.discard()
		return nil, d.loginError(err)
	}
	return c, nil
}

// protect starts TLS where configured. A server that refuses StartTLS leaves a
// usable connection in the clear; the caller closes it.
func (d *dialer) protect(ctx context.Context, raw net.Conn) (*conn, error) {
	if d.tls {
		t := tls.Client(raw, d.tlsConfig)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return startConn(raw, t, true), nil
	}
	if !d.startTLS || d.network != "tcp" {
		return startConn(raw, raw, false), nil
	}
	c := ldap.NewConn(raw, false)
	c.Start()
	if err := c.StartTLS(d.tlsConfig); err != nil {
		_ = raw.Close()
		_ = c.Close()
		return nil, err
	}
	return &conn{Conn: c, raw: raw}, nil
}

// startConn starts the library on a connection: over is raw, or TLS over it.
func startConn(raw, over net.Conn, tls bool) *conn {
	w := newWire(over)
	c := &conn{Conn: ldap.NewConn(w, tls), raw: raw, wire: w}
	c.Start()
	return c
}

func (d *dialer) fail(step string, err error) error {
	return fmt.Errorf("%s: %s: %w: %w", d.uri, step, account.ErrUnavailable, err)
}

// loginError must never look like a user's wrong password.
func (d *dialer) loginError(err error) error {
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return &SetupError{d.uri + " refuses the service account: check directory.bind_dn and its password", err}
	}
	return d.fail("bind of the service account", err)
}
