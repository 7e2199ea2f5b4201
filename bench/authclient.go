package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// authSession speaks Dovecot's auth-client protocol (doc/auth-protocol.txt, and
// src/lib-auth/auth-client-connection.c), as Dovecot's login processes and
// Postfix do: what is measured is the auth service alone.
type authSession struct {
	conn  net.Conn
	in    *bufio.Reader
	creds credentials
	id    int
}

// credentials are the name and password of the account with a number.
type credentials func(account int) (user, password string)

// authPID numbers the connections: the protocol wants each to name a process id
// that no other has.
var authPID atomic.Int64

// openAuth connects to a Dovecot's auth-client socket.
func openAuth(socket string, creds credentials) (session, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	s := &authSession{conn: conn, in: bufio.NewReader(conn), creds: creds}
	pid := int64(os.Getpid())<<16 + authPID.Add(1)
	if _, err := fmt.Fprintf(conn, "VERSION\t1\t1\nCPID\t%d\n", pid&0x7fffffff); err != nil {
		s.close()
		return nil, err
	}
	for line := ""; line != "DONE"; {
		if line, err = s.line(); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *authSession) close() { _ = s.conn.Close() }

func (s *authSession) line() (string, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	line, err := s.in.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// login is one AUTH request. nologin says that no login process will fetch the
// result, so that Dovecot does not keep it, as with Postfix.
func (s *authSession) login(account int) error {
	user, password := s.creds(account)
	s.id++
	resp := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	_, err := fmt.Fprintf(s.conn, "AUTH\t%d\tPLAIN\tservice=imap\tsecured\tnologin\tsession=b%d\tlip=127.0.0.1\trip=127.0.0.1\tresp=%s\n",
		s.id, s.id, resp)
	if err != nil {
		return err
	}
	line, err := s.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "OK\t"+strconv.Itoa(s.id)+"\t") {
		return fmt.Errorf("%s was refused: %q", user, line)
	}
	return nil
}
