package main

import (
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RFC 2869 knows nothing else
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"postern/plugin"
)

// client asks RADIUS servers.
type client struct {
	servers []string
	secret  []byte
	timeout time.Duration
	name    string
}

// question is one Access-Request.
type question struct {
	user, password string
	state          []byte // of the Access-Challenge that it answers
}

const (
	maxPassword = 128 // bytes (RFC 2865, section 5.2)
	tries       = 2   // for one server
)

// ask asks the servers one after the other until one answers. Errors wrap
// plugin.ErrUnavailable: none did.
func (c *client) ask(ctx context.Context, q question) (*radius.Packet, error) {
	if len(q.password) > maxPassword || len(q.user) > 253 {
		return nil, plugin.ErrForm
	}
	var errs []error
	for _, server := range c.servers {
		reply, err := c.askOne(ctx, server, q)
		if err == nil {
			return reply, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", server, err))
	}
	return nil, fmt.Errorf("%w: %w", plugin.ErrUnavailable, errors.Join(errs...))
}

func (c *client) askOne(ctx context.Context, server string, q question) (*radius.Packet, error) {
	request, err := c.request(q)
	if err != nil {
		return nil, err
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	for range tries { // the same packet: the server knows it again (RFC 5080, section 2.2.2)
		if _, err = connection.Write(request); err != nil {
			return nil, err
		}
		deadline := time.Now().Add(c.timeout)
		if limit, ok := ctx.Deadline(); ok && limit.Before(deadline) {
			deadline = limit
		}
		var reply *radius.Packet
		if reply, err = c.wait(connection, request, deadline); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			return reply, err
		}
	}
	return nil, err
}

// request is the packet, with its Message-Authenticator first, where forgers can put
// nothing before it.
func (c *client) request(q question) ([]byte, error) {
	p := radius.New(radius.CodeAccessRequest, c.secret)
	errs := []error{
		rfc2869.MessageAuthenticator_Set(p, make([]byte, md5.Size)),
		rfc2865.UserName_SetString(p, q.user),
		rfc2865.UserPassword_SetString(p, q.password),
		rfc2865.NASIdentifier_SetString(p, c.name),
	}
	if q.state != nil {
		errs = append(errs, rfc2865.State_Set(p, q.state))
	}
	raw, err := p.Encode()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	at := authenticatorAt(raw)
	if at < 0 {
		return nil, errors.New("no Message-Authenticator")
	}
	copy(raw[at:], c.mac(raw))
	return raw, nil
}

// wait reads until a reply comes that is the server's. Others are as if nothing had come.
func (c *client) wait(connection net.Conn, request []byte, deadline time.Time) (*radius.Packet, error) {
	if err := connection.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	for {
		buffer := make([]byte, radius.MaxPacketLength)
		n, err := connection.Read(buffer)
		if err != nil {
			return nil, err
		}
		if p := c.authentic(buffer[:n], request); p != nil {
			return p, nil
		}
	}
}

// authentic is the reply, if both its authenticators are right; nil otherwise.
func (c *client) authentic(raw, request []byte) *radius.Packet {
	p, err := radius.Parse(raw, c.secret)
	if err != nil || raw[1] != request[1] || !radius.IsAuthenticResponse(raw, request, c.secret) {
		return nil
	}
	raw = raw[:int(raw[2])<<8|int(raw[3])]
	at := authenticatorAt(raw)
	if at < 0 {
		return nil
	}
	signed := append([]byte(nil), raw...)
	copy(signed[4:20], request[4:20]) // RFC 2869, section 5.14: with the request's authenticator
	clear(signed[at : at+md5.Size])
	if !hmac.Equal(c.mac(signed), raw[at:at+md5.Size]) {
		return nil
	}
	return p
}

func (c *client) mac(packet []byte) []byte {
	h := hmac.New(md5.New, c.secret)
	h.Write(packet)
	return h.Sum(nil)
}

// authenticatorAt is where the value of the one Message-Authenticator begins; -1: there
// is none, or more than one.
func authenticatorAt(raw []byte) int {
	found := -1
	for at := 20; at+2 <= len(raw); at += int(raw[at+1]) {
		length := int(raw[at+1])
		if length < 2 || at+length > len(raw) {
			return -1
		}
		if raw[at] == byte(rfc2869.MessageAuthenticator_Type) {
			if found >= 0 || length != 2+md5.Size {
				return -1
			}
			found = at + 2
		}
	}
	return found
}
