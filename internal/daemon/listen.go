package daemon

import (
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// Listen says where a daemon listens, as the section of its configuration has it.
type Listen struct {
	Section        string // of the configuration, for messages
	Socket, Listen string // unix socket and TCP address; empty: none
	MaxConns       int    // on each listener
}

// Listeners returns the sockets that systemd passed in, or else makes those of the
// configuration. Sockets held by systemd outlive a restart: no login fails during it.
func (c Listen) Listeners() ([]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("%w: sockets from systemd: %w", ErrRuntime, err)
	}
	var list []net.Listener
	for _, l := range passed {
		if l != nil {
			list = append(list, Limit(l, c.MaxConns))
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	if c.Socket == "" && c.Listen == "" {
		return nil, fmt.Errorf("%s.socket and %[1]s.listen are both empty: nobody could ask", c.Section)
	}
	if c.Socket != "" {
		l, err := listenUnix(c.Section, c.Socket)
		if err != nil {
			return nil, fmt.Errorf("%s.socket: %w", c.Section, err)
		}
		list = append(list, Limit(l, c.MaxConns))
	}
	if c.Listen != "" {
		l, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return nil, fmt.Errorf("%w: %s.listen: %w", ErrRuntime, c.Section, err)
		}
		list = append(list, Limit(l, c.MaxConns))
	}
	return list, nil
}

// listenUnix makes the socket. A socket file that a killed daemon left behind is
// replaced, one that somebody answers on is not. Everybody may connect: who may ask
// is decided for each request.
func listenUnix(daemon, path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%w: another %s answers on %s", ErrRuntime, daemon, path)
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
