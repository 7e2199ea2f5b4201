// Package mailclient speaks the login part of the five mail protocols: IMAP,
// POP3, ManageSieve, Dovecot's submission and Postfix's SMTP. Tests and the demo
// use it to log in as any mail program would, by every mechanism that carries a
// password, and to show the dialogue.
//
// It is no mail client: it knows nothing about mail. What it knows exactly is how
// each protocol says "no" and "not now", which Postern must keep apart.
package mailclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
)

// Service is a protocol to log in by.
type Service string

// The services. Submission and SMTP speak the same protocol, to Dovecot and to
// Postfix.
const (
	IMAP       Service = "imap"
	POP3       Service = "pop3"
	Sieve      Service = "sieve"
	Submission Service = "submission"
	SMTP       Service = "smtp"
)

// Services are all of them.
var Services = []Service{IMAP, POP3, Sieve, Submission, SMTP}

// Mech is a way to hand a name and a password over.
type Mech string

// PLAIN and LOGIN are SASL mechanisms, which every service has. Native is the
// protocol's own older way: LOGIN of IMAP, USER and PASS of POP3.
const (
	MechPlain  Mech = "PLAIN"
	MechLogin  Mech = "LOGIN"
	MechNative Mech = "native"
)

// Mechs are the ways that a service has.
func (s Service) Mechs() []Mech {
	if s == IMAP || s == POP3 {
		return []Mech{MechPlain, MechLogin, MechNative}
	}
	return []Mech{MechPlain, MechLogin}
}

// Target is a server.
type Target struct {
	Service Service
	Addr    string      // host:port
	TLS     *tls.Config // not nil: TLS from the first byte
	From    string      // the address to connect from, "" for any
}

// Outcome is what a server said to a login.
type Outcome int

// The outcomes.
const (
	Refused   Outcome = iota // for good: the password is taken for wrong
	Temporary                // "try again later"
	OK
)

func (o Outcome) String() string { return [...]string{"refused", "temporary", "ok"}[o] }

// Result is the end of a login.
type Result struct {
	Outcome Outcome
	Text    string // the server's last line
	// Dialogue is all that was said, "S: " and "C: " before each line, with *** for
	// secrets.
	Dialogue []string
	// Conn is still open, whatever the outcome; the caller closes it.
	Conn *Conn
}

// Login logs in. An error means that the dialogue broke off, or could not begin;
// the result then holds the dialogue so far and no connection.
func Login(ctx context.Context, t Target, m Mech, user, password string) (Result, error) {
	c, err := Dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	var r Result
	switch m {
	case MechPlain:
		r, err = c.Authenticate(ctx, sasl.NewPlainClient("", user, password))
	case MechLogin:
		r, err = c.Authenticate(ctx, sasl.NewLoginClient(user, password))
	default:
		r, err = c.Native(ctx, user, password)
	}
	if err != nil {
		_ = c.Close()
		r.Conn = nil
	}
	return r, err
}

// Conn is a connection to a server, before or after the login.
type Conn struct {
	net.Conn
	in       *bufio.Reader
	dialect  dialect
	dialogue []string
	offered  []string // mechanisms that the greeting offers, if it does
}

// dialect is what differs between the protocols.
type dialect interface {
	// greet reads the greeting.
	greet(c *Conn) error
	// begin starts a SASL mechanism; ir is its initial response, nil for none.
	begin(c *Conn, mech string, ir []byte) error
	// respond answers a challenge.
	respond(c *Conn, response []byte) error
	// reply reads the next challenge or the end.
	reply(c *Conn) (reply, error)
	// native logs in by the protocol's own commands.
	native(c *Conn, user, password string) (reply, error)
	// mechanisms asks which SASL mechanisms are offered.
	mechanisms(c *Conn) ([]string, error)
	// logout says good-bye.
	logout(c *Conn) error
}

// reply is one answer of a server: a challenge in base64, or the end.
type reply struct {
	challenge bool
	outcome   Outcome
	text      string
}

// Dial connects and reads the greeting.
func Dial(ctx context.Context, t Target) (*Conn, error) {
	var d net.Dialer
	if t.From != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(t.From)}
	}
	raw, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	if t.TLS != nil {
		raw = tls.Client(raw, t.TLS)
	}
	c := &Conn{Conn: raw, in: bufio.NewReader(raw), dialect: dialectOf(t.Service)}
	defer c.bound(ctx)()
	if err := c.dialect.greet(c); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s at %s: %w", t.Service, t.Addr, err)
	}
	return c, nil
}

func dialectOf(s Service) dialect {
	switch s {
	case IMAP:
		return &imap{}
	case POP3:
		return pop3{}
	case Sieve:
		return sieve{}
	default:
		return smtp{}
	}
}

// bound ends reading and writing with ctx, until its result is called.
func (c *Conn) bound(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// Authenticate logs in by a SASL mechanism of any kind.
func (c *Conn) Authenticate(ctx context.Context, s sasl.Client) (Result, error) {
	defer c.bound(ctx)()
	r, err := c.exchange(s)
	return c.result(r, err)
}

// exchange is the SASL dialogue (RFC 4422 section 3). LOGIN is never given its
// first response early: no mail program does.
func (c *Conn) exchange(s sasl.Client) (reply, error) {
	mech, ir, err := s.Start()
	if err != nil {
		return reply{}, err
	}
	held := mech == sasl.Login
	first := ir
	if held {
		first = nil
	}
	if err := c.dialect.begin(c, mech, first); err != nil {
		return reply{}, err
	}
	for {
		r, err := c.dialect.reply(c)
		if err != nil || !r.challenge {
			return r, err
		}
		response := ir
		if !held {
			if response, err = next(s, r.text); err != nil {
				return reply{}, err
			}
		}
		held = false
		if err := c.dialect.respond(c, response); err != nil {
			return reply{}, err
		}
	}
}

// next hands a challenge to the mechanism.
func next(s sasl.Client, challenge string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(challenge)
	if err != nil {
		return nil, err
	}
	return s.Next(b)
}

// ErrNoNative is for services which know SASL only.
var ErrNoNative = errors.New("the protocol has no login command of its own")

// Plain logs in by PLAIN (RFC 4616).
func (c *Conn) Plain(ctx context.Context, user, password string) (Result, error) {
	return c.Authenticate(ctx, sasl.NewPlainClient("", user, password))
}

// Native logs in by the protocol's own commands.
func (c *Conn) Native(ctx context.Context, user, password string) (Result, error) {
	defer c.bound(ctx)()
	r, err := c.dialect.native(c, user, password)
	return c.result(r, err)
}

func (c *Conn) result(r reply, err error) (Result, error) {
	return Result{Outcome: r.outcome, Text: r.text, Dialogue: c.dialogue, Conn: c}, err
}

// Mechanisms asks which SASL mechanisms the server offers.
func (c *Conn) Mechanisms(ctx context.Context) ([]string, error) {
	defer c.bound(ctx)()
	return c.dialect.mechanisms(c)
}

// Logout says good-bye, without waiting for the answer, and closes.
func (c *Conn) Logout() error { return errors.Join(c.dialect.logout(c), c.Close()) }

// ReadLine waits for the server's next line.
func (c *Conn) ReadLine(ctx context.Context) (string, error) {
	defer c.bound(ctx)()
	return c.read()
}

// read reads a line without its end.
func (c *Conn) read() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the connection broke off: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	c.dialogue = append(c.dialogue, "S: "+line)
	return line, nil
}

// write sends a line, which appears in the dialogue as shown.
func (c *Conn) write(line, shown string) error {
	c.dialogue = append(c.dialogue, "C: "+shown)
	_, err := c.Write([]byte(line + "\r\n"))
	return err
}

// hidden stands for a secret in the dialogue.
const hidden = "***"

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// initial is an initial response behind a space; an empty one is "=" (RFC 4954
// section 4, RFC 4959, RFC 5034).
func initial(ir []byte) (line, shown string) {
	switch {
	case ir == nil:
		return "", ""
	case len(ir) == 0:
		return " =", " ="
	}
	return " " + encode(ir), " " + hidden
}
