package mailclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"strings"
)

// ErrNoTLS says that the server does not offer TLS on this connection.
var ErrNoTLS = errors.New("the server offers no STARTTLS")

// StartTLS changes to TLS, by each protocol's own command (RFC 8314 section 4 names
// them), and greets anew where the protocol wants that. Errors: ErrNoTLS, after which
// the connection is as it was.
func (c *Conn) StartTLS(ctx context.Context, cfg *tls.Config) error {
	defer c.bound(ctx)()
	if err := c.askTLS(); err != nil {
		return err
	}
	secured := tls.Client(c.Conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	c.Conn, c.in, c.offered = secured, bufio.NewReader(secured), nil
	switch d := c.dialect.(type) {
	case sieve: // sends its capabilities again (RFC 5804 section 2.2)
		return d.greet(c)
	case smtp:
		return d.hello(c)
	}
	return nil
}

// askTLS sends the command and reads the answer to it.
func (c *Conn) askTLS() error {
	command, yes := "STARTTLS", "OK"
	var err error
	switch d := c.dialect.(type) {
	case *imap:
		err = d.send(c, command, command)
		yes = d.tag() + " OK"
	case pop3:
		command, yes = "STLS", "+OK"
		err = c.write(command, command)
	case sieve:
		err = c.write(command, command)
	default:
		yes = "220"
		err = c.write(command, command)
	}
	if err != nil {
		return err
	}
	for {
		line, err := c.read()
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, yes):
			return nil
		case strings.HasPrefix(line, "* "): // IMAP's untagged lines
		default:
			return ErrNoTLS
		}
	}
}
