package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"postern/internal/mailtest"
)

// policySession is a connection on which a Dovecot asks its auth policy, with as
// little work on this side as possible. The bodies are Dovecot 2.3's
// (internal/authpolicy/testdata).
type policySession struct {
	conn          net.Conn
	in            *bufio.Reader
	command, head string
}

// policyLogins numbers the logins that are asked about: each is a new one.
var policyLogins atomic.Int64

// openPolicy connects to the server of a URL.
func openPolicy(server, key, command string) (session, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("POST /?command=%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: dovecot/auth-policy-client\r\n"+
		"Connection: Keep-Alive\r\nContent-Type: application/json\r\nX-API-Key: %s\r\n", command, u.Host, key)
	return &policySession{conn: conn, in: bufio.NewReader(conn), command: command, head: head}, nil
}

func (s *policySession) close() { _ = s.conn.Close() }

func (s *policySession) login(account int) error {
	n := policyLogins.Add(1)
	body := fmt.Sprintf(`{"device_id":"","login":"%s","protocol":"imap","pwhash":"7e414763","remote":"192.0.2.%d",`+
		`"real_remote":"192.0.2.1","session_id":"b%d","mech":"PLAIN","master":"","cred_id":"","tls":false`,
		mailtest.BulkUser(account%accounts), n%256, n)
	if s.command == "report" {
		body += `,"success":true,"policy_reject":false`
	}
	if err := s.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.conn, "%sContent-Length: %d\r\n\r\n%s}", s.head, len(body)+1, body); err != nil {
		return err
	}
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", s.command, res.Status)
	}
	return err
}
