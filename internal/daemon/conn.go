package daemon

import (
	"context"
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Limit bounds the connections at once and notes who is at the other end of each.
// (x/net/netutil.LimitListener bounds them too, but hides the socket that the
// peer's credentials are read from.)
func Limit(l net.Listener, connections int) net.Listener {
	return &listener{Listener: l, slots: make(chan struct{}, connections)}
}

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
	peer    Peer
	release func()
}

func (c *conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// Peer is who is at the other end of a connection.
type Peer struct {
	Local bool   // on a unix socket
	UID   uint32 // of the process there
	Err   error  // the kernel did not say
}

// peerOf asks the kernel for the peer's credentials (SO_PEERCRED, unix(7)).
func peerOf(c net.Conn) Peer {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{Local: true, Err: err}
	}
	var cred *unix.Ucred
	ctrl := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) //nolint:gosec // fds are small
	})
	if err = errors.Join(ctrl, err); err != nil {
		return Peer{Local: true, Err: err}
	}
	return Peer{Local: true, UID: cred.Uid}
}

type peerKey struct{}

// withPeer hands the peer to the handlers (http.Server.ConnContext). TLS wraps what
// Limit returned.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, peerKey{}, own.peer)
	}
	return ctx
}

// PeerOf is who asks, for handlers.
func PeerOf(ctx context.Context) Peer {
	p, _ := ctx.Value(peerKey{}).(Peer)
	return p
}
