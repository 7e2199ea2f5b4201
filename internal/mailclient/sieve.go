package mailclient

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// sieve is ManageSieve, RFC 5804.
type sieve struct{}

func (sieve) greet(c *Conn) error {
	for {
		line, err := c.read()
		if err != nil || strings.HasPrefix(line, "OK") {
			return err
		}
		if strings.HasPrefix(line, "BYE") || strings.HasPrefix(line, "NO") {
			return errors.New(line)
		}
		if mechs, ok := strings.CutPrefix(line, `"SASL" "`); ok {
			c.offered = strings.Fields(strings.Trim(mechs, `"`))
		}
	}
}

func (sieve) begin(c *Conn, mech string, ir []byte) error {
	line := fmt.Sprintf("AUTHENTICATE %q", mech)
	if ir == nil {
		return c.write(line, line)
	}
	return c.write(line+" "+sieveString(encode(ir)), line+` "`+hidden+`"`)
}

func (sieve) respond(c *Conn, response []byte) error {
	return c.write(sieveString(encode(response)), `"`+hidden+`"`)
}

// sieveString quotes base64; a quoted string has room for 1024 bytes (RFC 5804
// section 1.2).
func sieveString(s string) string {
	if len(s) <= 1024 {
		return `"` + s + `"`
	}
	return fmt.Sprintf("{%d+}\r\n%s", len(s), s)
}

// reply takes a line that is a string for a challenge.
func (sieve) reply(c *Conn) (reply, error) {
	line, err := c.read()
	if err != nil {
		return reply{}, err
	}
	switch {
	case strings.HasPrefix(line, `"`):
		return reply{challenge: true, text: strings.Trim(line, `"`)}, nil
	case strings.HasPrefix(line, "{"):
		text, err := c.literal(line)
		return reply{challenge: true, text: text}, err
	case strings.HasPrefix(line, "BYE"):
		return reply{text: line}, errors.New(line)
	}
	return reply{outcome: sieveOutcome(line), text: line}, nil
}

// literal reads a string that was announced by its length.
func (c *Conn) literal(line string) (string, error) {
	n, err := strconv.Atoi(strings.Trim(line, "{+}"))
	if err != nil || n < 0 || n > 1<<16 {
		return "", fmt.Errorf("bad literal %q", line)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.in, b); err != nil {
		return "", err
	}
	c.dialogue = append(c.dialogue, "S: "+string(b))
	_, err = c.in.ReadString('\n') // what is left of the line
	return string(b), err
}

// sieveOutcome reads an answer; TRYLATER is RFC 5804 section 1.3.
func sieveOutcome(line string) Outcome {
	switch {
	case strings.HasPrefix(line, "OK"):
		return OK
	case strings.HasPrefix(line, "NO (TRYLATER)"):
		return Temporary
	}
	return Refused
}

func (sieve) native(*Conn, string, string) (reply, error) { return reply{}, ErrNoNative }

func (sieve) mechanisms(c *Conn) ([]string, error) { return c.offered, nil }

func (sieve) logout(c *Conn) error { return c.write("LOGOUT", "LOGOUT") }
