package effect

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
)

// AddressPrivacy says how much of an address is written down.
type AddressPrivacy string

// The settings of privacy.address: the whole address, its prefix (/24, IPv6 /48),
// or nothing.
const (
	AddressFull   AddressPrivacy = "full"
	AddressPrefix AddressPrivacy = "prefix"
	AddressNone   AddressPrivacy = "none"
)

// Apply returns the address as the setting allows it to be written.
func (p AddressPrivacy) Apply(a netip.Addr) netip.Addr {
	if !a.IsValid() || p == AddressNone {
		return netip.Addr{}
	}
	a = a.Unmap()
	if p != AddressPrefix {
		return a
	}
	bits := 24
	if a.Is6() {
		bits = 48
	}
	prefix, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return prefix.Addr()
}

// Audit writes events as JSON lines to a file or to standard error (which
// systemd hands to the journal).
type Audit struct {
	path    string // "" is standard error
	privacy AddressPrivacy

	mu     sync.Mutex
	out    io.Writer
	file   *os.File
	failed func(error)
}

// OpenAudit opens the audit log for appending; path "" means standard error.
// failed is told when a line could not be written, which must be noticed but
// must not stop mail.
func OpenAudit(path string, privacy AddressPrivacy, failed func(error)) (*Audit, error) {
	a := &Audit{path: path, privacy: privacy, out: os.Stderr, failed: failed}
	return a, a.Reopen()
}

// Reopen opens the file again, after it was rotated.
func (a *Audit) Reopen() error {
	if a.path == "" {
		return nil
	}
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // readable by the administrators' group, as logs are
	if err != nil {
		return fmt.Errorf("audit.file: %w", err)
	}
	a.mu.Lock()
	old := a.file
	a.file, a.out = f, f
	a.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Record writes one line.
func (a *Audit) Record(e Event) {
	e.Client, e.Peer = a.privacy.Apply(e.Client), a.privacy.Apply(e.Peer)
	line, err := json.Marshal(e.cleaned())
	if err == nil {
		a.mu.Lock()
		_, err = a.out.Write(append(line, '\n')) // one write: lines of several programs do not mix
		a.mu.Unlock()
	}
	if err != nil {
		a.failed(err)
	}
}

// Close closes the file.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

// Fanout records to several recorders in order.
type Fanout []Recorder

// Record hands e to each.
func (f Fanout) Record(e Event) {
	for _, r := range f {
		r.Record(e)
	}
}
