package mailtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// sourceRoot is the directory of the clone: the nearest one above the working
// directory whose go.mod is Postern's. Tests and the demo run inside the clone.
func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module postern\n") {
			return dir, nil
		}
		if dir == "/" {
			return "", errors.New("mailtest: not inside Postern's source tree")
		}
	}
}

// contrib reads a file below contrib/ and replaces what the pairs say, old and
// new in turn. An old text that does not occur is an error: the file has changed
// and the replacement would silently do nothing.
func contrib(name string, pairs ...string) (string, error) {
	root, err := sourceRoot()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(root, "contrib", name))
	if err != nil {
		return "", err
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(b), pairs[i]) {
			return "", fmt.Errorf("mailtest: contrib/%s does not contain %q", name, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(b)), nil
}

// makeDir makes a new directory pt-XXXX below parent. Unlike os.MkdirTemp it
// lets the servers' own users in; secret files inside have modes of their own.
func makeDir(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "pt-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// writeFiles writes files, named by their path below dir, and their directories.
func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// portDir holds one lock file for each port in use by a test process, so that
// test binaries running at the same time do not choose the same.
const portDir = "/tmp/pt-ports"

// ports hands out loopback ports and keeps them until release.
type ports struct{ locks []*os.File }

// take reserves a free TCP port. It lies below the range from which the kernel
// takes the ports of outgoing connections, which could otherwise be given away
// while a server restarts.
func (p *ports) take() (int, error) {
	if err := os.MkdirAll(portDir, 0o777); err != nil {
		return 0, err
	}
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		if f := lockPort(port); f != nil {
			p.locks = append(p.locks, f)
			return port, nil
		}
	}
	return 0, errors.New("mailtest: no free port")
}

// takeAll fills the given variables with a port each.
func (p *ports) takeAll(into ...*int) error {
	for _, v := range into {
		port, err := p.take()
		if err != nil {
			return err
		}
		*v = port
	}
	return nil
}

// release gives all ports back.
func (p *ports) release() {
	for _, f := range p.locks {
		_ = f.Close()
	}
	p.locks = nil
}

// lockPort returns the port's locked file, or nil if it is taken.
func lockPort(port int) *os.File {
	f, err := os.OpenFile(filepath.Join(portDir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && listenable(port) {
		return f
	}
	_ = f.Close()
	return nil
}

// listenable reports whether nobody listens on the port.
func listenable(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// loopback is the address of a local port.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// answers reports as an error whether nothing accepts connections at an address.
func answers(network, address string) error {
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	return c.Close()
}
