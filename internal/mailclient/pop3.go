package mailclient

import (
	"errors"
	"strings"
)

// pop3 is RFC 1939 with AUTH (RFC 5034).
type pop3 struct{}

func (pop3) greet(c *Conn) error {
	line, err := c.read()
	if err == nil && !strings.HasPrefix(line, "+OK") {
		err = errors.New(line)
	}
	return err
}

func (pop3) begin(c *Conn, mech string, ir []byte) error {
	line, shown := initial(ir)
	return c.write("AUTH "+mech+line, "AUTH "+mech+shown)
}

func (pop3) respond(c *Conn, response []byte) error { return c.write(encode(response), hidden) }

func (pop3) reply(c *Conn) (reply, error) {
	line, err := c.read()
	if text, ok := strings.CutPrefix(line, "+ "); ok {
		return reply{challenge: true, text: text}, err
	}
	return reply{outcome: pop3Outcome(line), text: line}, err
}

// pop3Outcome reads an answer. SYS/TEMP is RFC 3206.
func pop3Outcome(line string) Outcome {
	switch {
	case strings.HasPrefix(line, "+OK"):
		return OK
	case strings.HasPrefix(line, "-ERR [SYS/TEMP]"):
		return Temporary
	}
	return Refused
}

func (d pop3) native(c *Conn, user, password string) (reply, error) {
	if err := c.write("USER "+user, "USER "+user); err != nil {
		return reply{}, err
	}
	if r, err := d.reply(c); err != nil || r.outcome != OK {
		return r, err
	}
	if err := c.write("PASS "+password, "PASS "+hidden); err != nil {
		return reply{}, err
	}
	return d.reply(c)
}

func (pop3) mechanisms(c *Conn) ([]string, error) {
	if err := c.write("CAPA", "CAPA"); err != nil {
		return nil, err
	}
	var list []string
	for {
		line, err := c.read()
		if err != nil || line == "." || strings.HasPrefix(line, "-ERR") {
			return list, err
		}
		if mechs, ok := strings.CutPrefix(line, "SASL "); ok {
			list = strings.Fields(mechs)
		}
	}
}

func (pop3) logout(c *Conn) error { return c.write("QUIT", "QUIT") }
