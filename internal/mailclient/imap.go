package mailclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// imap is RFC 3501 with SASL-IR (RFC 4959) and LITERAL+ (RFC 7888).
type imap struct{ tags int }

func (d *imap) greet(c *Conn) error {
	line, err := c.read()
	if err == nil && !strings.HasPrefix(line, "* OK") {
		err = errors.New(line)
	}
	return err
}

// tag is the tag of the last command.
func (d *imap) tag() string { return fmt.Sprintf("a%d", d.tags) }

// send sends a command under a new tag.
func (d *imap) send(c *Conn, line, shown string) error {
	d.tags++
	return c.write(d.tag()+" "+line, d.tag()+" "+shown)
}

func (d *imap) begin(c *Conn, mech string, ir []byte) error {
	line, shown := initial(ir)
	return d.send(c, "AUTHENTICATE "+mech+line, "AUTHENTICATE "+mech+shown)
}

func (d *imap) respond(c *Conn, response []byte) error { return c.write(encode(response), hidden) }

// reply skips untagged lines, among them the ALERT before a refusal.
func (d *imap) reply(c *Conn) (reply, error) {
	for {
		line, err := c.read()
		if err != nil {
			return reply{}, err
		}
		if text, ok := strings.CutPrefix(line, "+ "); ok {
			return reply{challenge: true, text: text}, nil
		}
		if text, ok := strings.CutPrefix(line, d.tag()+" "); ok {
			return reply{outcome: imapOutcome(text), text: line}, nil
		}
		if strings.HasPrefix(line, "* BYE") {
			return reply{text: line}, errors.New(line)
		}
	}
}

// imapOutcome reads a tagged answer. UNAVAILABLE is RFC 5530 section 3.
func imapOutcome(text string) Outcome {
	switch {
	case strings.HasPrefix(text, "OK"):
		return OK
	case strings.HasPrefix(text, "NO [UNAVAILABLE]"):
		return Temporary
	}
	return Refused
}

func (d *imap) native(c *Conn, user, password string) (reply, error) {
	if err := d.send(c, "LOGIN "+astring(user)+" "+astring(password), "LOGIN "+user+" "+hidden); err != nil {
		return reply{}, err
	}
	return d.reply(c)
}

// astring quotes a string, or makes it a literal if it has bytes that must not be
// quoted.
func astring(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Sprintf("{%d+}\r\n%s", len(s), s)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (d *imap) mechanisms(c *Conn) ([]string, error) {
	if err := d.send(c, "CAPABILITY", "CAPABILITY"); err != nil {
		return nil, err
	}
	before := len(c.dialogue)
	if _, err := d.reply(c); err != nil {
		return nil, err
	}
	var list []string
	for _, line := range c.dialogue[before:] {
		for word := range strings.FieldsSeq(line) {
			if mech, ok := strings.CutPrefix(word, "AUTH="); ok {
				list = append(list, mech)
			}
		}
	}
	return list, nil
}

func (d *imap) logout(c *Conn) error { return d.send(c, "LOGOUT", "LOGOUT") }

// Command sends an IMAP command and returns the lines of its answer, the tagged
// one last. For IDLE that is the continuation, and ReadLine sees what follows.
func (c *Conn) Command(ctx context.Context, line string) ([]string, error) {
	d, ok := c.dialect.(*imap)
	if !ok {
		return nil, errors.New("mailclient: Command is for IMAP")
	}
	defer c.bound(ctx)()
	if err := d.send(c, line, line); err != nil {
		return nil, err
	}
	before := len(c.dialogue)
	_, err := d.reply(c)
	var lines []string
	for _, said := range c.dialogue[before:] {
		lines = append(lines, strings.TrimPrefix(said, "S: "))
	}
	return lines, err
}
