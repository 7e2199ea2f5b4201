package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
)

// listeners returns the sockets that systemd passed in, or else makes those of the
// configuration. Sockets held by systemd outlive a restart: no login fails during it.
func (s *server) listeners() ([]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("%w: sockets from systemd: %w", errRuntime, err)
	}
	var list []net.Listener
	for _, l := range passed {
		if l != nil {
			list = append(list, s.limited(l))
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	p := s.cfg.Policyserver
	if p.Socket == "" && p.Listen == "" {
		return nil, errors.New("policyserver.socket and policyserver.listen are both empty: nobody could ask")
	}
	if p.Socket != "" {
		l, err := listenUnix(p.Socket)
		if err != nil {
			return nil, fmt.Errorf("policyserver.socket: %w", err)
		}
		list = append(list, s.limited(l))
	}
	if p.Listen != "" {
		l, err := net.Listen("tcp", p.Listen)
		if err != nil {
			return nil, fmt.Errorf("%w: policyserver.listen: %w", errRuntime, err)
		}
		list = append(list, s.limited(l))
	}
	return list, nil
}

func (s *server) limited(l net.Listener) net.Listener {
	return &listener{Listener: l, slots: make(chan struct{}, s.cfg.Policyserver.MaxConns)}
}

// listenUnix makes the socket. A socket file that a killed daemon left behind is
// replaced, one that somebody answers on is not. Everybody may connect; whose
// process asks is decided by the kernel's word on the peer (allowedPeer).
func listenUnix(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%w: another policyserver answers on %s", errRuntime, path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		_ = os.Remove(path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // see above
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// peerUIDs resolves socket_users. A name that does not exist here is left out,
// because the default names users of several distributions; all missing is an error.
func peerUIDs(names []string) (map[uint32]bool, error) {
	uids := map[uint32]bool{uint32(os.Getuid()): true} //nolint:gosec // uids are 32 bits
	found := len(names) == 0
	for _, name := range names {
		id := name
		if u, err := user.Lookup(name); err == nil {
			id = u.Uid
		}
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			continue
		}
		found = true
		uids[uint32(n)] = true
	}
	if !found {
		return nil, fmt.Errorf("policyserver.socket_users: there is no user %q; name those that Dovecot's auth processes run as", names)
	}
	return uids, nil
}
