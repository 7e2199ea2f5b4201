package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postern/internal/account"
)

// Server is the mail server that mails are handed to.
type Server struct {
	// URL is smtp://host[:25], smtps://host[:465], lmtp://host[:24] or lmtp:///path of a
	// unix socket.
	URL      string
	StartTLS bool // with smtp://; refused means that nothing is sent
	TLS      *tls.Config
	User     string
	Password account.Secret
}

// sendTime bounds the handing over of one mail.
const sendTime = time.Minute

// Parse reports what is wrong with a URL.
func (s *Server) Parse() (network, address string, err error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", errors.New("must be like smtp://127.0.0.1:25, smtps://mail.example.test:465, lmtp://127.0.0.1:24 or lmtp:///run/dovecot/lmtp")
	}
	port := map[string]string{"smtp": "25", "smtps": "465", "lmtp": "24"}[u.Scheme]
	switch {
	case port == "":
		return "", "", fmt.Errorf("%q is none of smtp, smtps and lmtp", u.Scheme)
	case u.Scheme == "lmtp" && u.Host == "" && strings.HasPrefix(u.Path, "/") && len(u.Path) > 1:
		return "unix", u.Path, nil
	case u.Hostname() == "" || strings.Trim(u.Path, "/") != "":
		return "", "", errors.New("names no host")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return "tcp", net.JoinHostPort(u.Hostname(), port), nil
}

// host is the name that a certificate must have.
func (s *Server) host() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// refusal is an answer of the server that is about this mail, not about the server.
type refusal struct{ error }

// permanent reports whether the server says that it never will take it.
func (r refusal) permanent() bool {
	var answer *smtp.SMTPError
	return errors.As(r.error, &answer) && answer.Code/100 == 5
}

func (r refusal) Unwrap() error { return r.error }

// Send hands a mail over. An error that is a refusal is about this mail; every other
// one, about the server.
func (s *Server) Send(ctx context.Context, e *Envelope, to string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", s.URL, err)
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := s.deliver(c, e, to); err != nil {
		return err
	}
	_ = c.Quit() // it has the mail already
	return nil
}

func (s *Server) connect(ctx context.Context) (*smtp.Client, error) {
	network, address, err := s.Parse()
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS != nil {
		trust = s.TLS.Clone()
	}
	trust.ServerName = s.host()
	var c *smtp.Client
	switch {
	case strings.HasPrefix(s.URL, "lmtp:"):
		c = smtp.NewClientLMTP(conn)
	case strings.HasPrefix(s.URL, "smtps:"):
		c = smtp.NewClient(tls.Client(conn, trust))
	case s.StartTLS:
		if c, err = smtp.NewClientStartTLS(conn, trust); err != nil {
			_ = conn.Close()
			return nil, err
		}
	default:
		c = smtp.NewClient(conn)
	}
	c.CommandTimeout, c.SubmissionTimeout = sendTime/2, sendTime
	return c, s.greet(c)
}

func (s *Server) greet(c *smtp.Client) error {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	if err = c.Hello(name); err == nil && s.User != "" {
		err = c.Auth(sasl.NewPlainClient("", s.User, string(s.Password.Reveal())))
	}
	if err != nil {
		_ = c.Close()
	}
	return err
}

func (s *Server) deliver(c *smtp.Client, e *Envelope, to string) error {
	o := &smtp.MailOptions{UTF8: strings.ContainsFunc(e.From+to, func(r rune) bool { return r > '~' })} // RFC 6531
	if err := c.Mail(e.From, o); err != nil {
		return fmt.Errorf("%s: from %s: %w", s.URL, e.From, err)
	}
	if err := c.Rcpt(to, nil); err != nil {
		return answered(err)
	}
	w, err := c.Data()
	if err != nil {
		return answered(err)
	}
	if _, err := w.Write(e.Data); err != nil {
		return err
	}
	return answered(w.Close())
}

// answered tells an answer of the server from a connection that broke.
func answered(err error) error {
	var answer *smtp.SMTPError
	if errors.As(err, &answer) {
		return refusal{err}
	}
	return err
}
