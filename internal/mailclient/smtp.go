package mailclient

import (
	"errors"
	"strings"
)

// smtp is RFC 5321 with AUTH (RFC 4954).
type smtp struct{}

func (d smtp) greet(c *Conn) error {
	if code, line, err := d.answer(c); err != nil || code != "220" {
		return errors.Join(err, errors.New(line))
	}
	return d.hello(c)
}

// hello introduces us, which is to be done again after STARTTLS.
func (d smtp) hello(c *Conn) error {
	if err := c.write("EHLO client.example.test", "EHLO client.example.test"); err != nil {
		return err
	}
	before := len(c.dialogue)
	if code, line, err := d.answer(c); err != nil || code != "250" {
		return errors.Join(err, errors.New(line))
	}
	for _, line := range c.dialogue[before:] {
		if mechs, ok := strings.CutPrefix(line[len("S: 250-"):], "AUTH "); ok {
			c.offered = strings.Fields(mechs)
		}
	}
	return nil
}

// answer reads an answer to its last line, which has no dash behind the code.
func (smtp) answer(c *Conn) (code, line string, err error) {
	for {
		if line, err = c.read(); err != nil {
			return "", line, err
		}
		if len(line) < 4 {
			return "", line, errors.New("bad answer " + line)
		}
		if line[3] != '-' {
			return line[:3], line, nil
		}
	}
}

func (smtp) begin(c *Conn, mech string, ir []byte) error {
	line, shown := initial(ir)
	return c.write("AUTH "+mech+line, "AUTH "+mech+shown)
}

func (smtp) respond(c *Conn, response []byte) error { return c.write(encode(response), hidden) }

func (d smtp) reply(c *Conn) (reply, error) {
	code, line, err := d.answer(c)
	if err == nil && code == "334" {
		return reply{challenge: true, text: line[4:]}, nil
	}
	return reply{outcome: smtpOutcome(code), text: line}, err
}

// smtpOutcome reads a code (RFC 5321 section 4.2.1).
func smtpOutcome(code string) Outcome {
	switch {
	case code == "235":
		return OK
	case strings.HasPrefix(code, "4"):
		return Temporary
	}
	return Refused
}

func (smtp) native(*Conn, string, string) (reply, error) { return reply{}, ErrNoNative }

func (smtp) mechanisms(c *Conn) ([]string, error) { return c.offered, nil }

func (smtp) logout(c *Conn) error { return c.write("QUIT", "QUIT") }
