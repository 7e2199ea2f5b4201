package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// imapSession measures whole IMAP sessions, from connect to logout. It keeps
// nothing open between them.
type imapSession struct {
	address string
	creds   credentials
}

func (s imapSession) close() {}

func (s imapSession) login(account int) error {
	user, password := s.creds(account)
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	if err := command(conn, in, "a AUTHENTICATE PLAIN "+plain); err != nil {
		return fmt.Errorf("%s: %w", user, err)
	}
	if err := command(conn, in, "b LOGOUT"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// command sends one and reads up to its tagged answer.
func command(out io.Writer, in *bufio.Reader, line string) error {
	if _, err := io.WriteString(out, line+"\r\n"); err != nil {
		return err
	}
	tag := line[:2]
	for {
		answer, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(answer, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				return fmt.Errorf("refused: %s", strings.TrimSpace(rest))
			}
			return nil
		}
	}
}
