package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// listener bounds the connections at once and notes who is at the other end of
// each. (x/net/netutil.LimitListener bounds them too, but hides the socket that
// the peer's credentials are read from.)
type listener struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a free slot first: more connections wait in the kernel.
func (l *listener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &conn{Conn: c, peer: peerOf(c), release: sync.OnceFunc(func() { <-l.slots })}, nil
}

type conn struct {
	net.Conn
	peer    peer
	release func()
}

func (c *conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// peer is who is at the other end of a connection.
type peer struct {
	local bool   // on a unix socket
	uid   uint32 // of the process there
	err   error  // the kernel did not say
}

// peerOf asks the kernel for the peer's credentials (SO_PEERCRED, unix(7)).
func peerOf(c net.Conn) peer {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return peer{}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return peer{local: true, err: err}
	}
	var cred *unix.Ucred
	ctrl := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) //nolint:gosec // fds are small
	})
	if err = errors.Join(ctrl, err); err != nil {
		return peer{local: true, err: err}
	}
	return peer{local: true, uid: cred.Uid}
}

type peerKey struct{}

// withPeer hands the peer to the handlers (http.Server.ConnContext).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, peerKey{}, own.peer)
	}
	return ctx
}
