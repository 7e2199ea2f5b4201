package ldapstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// wire is the network connection below the library. What every login needs goes over
// it directly (calls.go), and here the answers are told apart: each message of the call
// under way is read here, all others are left to the library, and so is whatever is
// malformed (docs/adr/0008-reading-entries.md).
type wire struct {
	net.Conn
	in   *bufio.Reader
	left []byte // of the message that the library is reading

	mu    sync.Mutex
	call  *call // under way; nil: none
	calls int64
	dead  error // nothing more can be read
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, in: bufio.NewReaderSize(c, 8<<10)} }

// call is one operation and what has been answered to it.
type call struct {
	id      int64
	answer  byte // tag of the message that ends it
	limit   int  // of entries
	entries []*ldap.Entry
	over    chan error // holds the result
}

var errMalformed = errors.New("what the directory sends is not LDAP")

// The library numbers its messages from 1, we from here on: the two never meet.
const firstID = 1 << 30

// start makes a call the one under way.
func (w *wire) start(answer byte, limit int) (*call, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead != nil {
		return nil, w.dead
	}
	w.call = &call{id: firstID | w.calls%firstID, answer: answer, limit: limit, over: make(chan error, 1)}
	w.calls++
	return w.call, nil
}

// Read is called by the library's reader, and by nobody else.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.left) == 0 {
		m, err := w.message()
		if err != nil {
			w.die(err)
			return 0, err
		}
		if !w.take(m) {
			w.left = m
		}
	}
	n := copy(p, w.left)
	w.left = w.left[n:]
	return n, nil
}

func (w *wire) die(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = fmt.Errorf("connection lost: %w", err)
	w.end(w.dead)
}

// end ends the call under way, if there is one.
func (w *wire) end(err error) {
	if w.call != nil {
		w.call.over <- err
		w.call = nil
	}
}

// message reads the next one.
func (w *wire) message() ([]byte, error) {
	b, err := w.in.Peek(2)
	if err == nil && b[1] > 0x80 {
		b, err = w.in.Peek(2 + int(b[1]&0x7f))
	}
	if err != nil {
		return nil, err
	}
	head, size := header(b)
	if head == 0 || size > maxPacket {
		return nil, errMalformed
	}
	m := make([]byte, head+size)
	_, err = io.ReadFull(w.in, m)
	return m, err
}

// Tags of RFC 4511 section 4, all in one byte.
const (
	tagBoolean    = 0x01
	tagInteger    = 0x02
	tagString     = 0x04
	tagEnumerated = 0x0a
	tagSequence   = 0x30
	tagSet        = 0x31

	tagBind       = 0x60
	tagBound      = 0x61
	tagSearch     = 0x63
	tagEntry      = 0x64
	tagSearchDone = 0x65
	tagModify     = 0x66
	tagModified   = 0x67
	tagReference  = 0x73

	tagSimple   = 0x80 // a bind's password
	tagControls = 0xa0
)

// take reports whether the message belongs to the call under way, and reads it then.
func (w *wire) take(message []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var bad bool
	all := elements{message, &bad}
	m := all.next(tagSequence)
	if id := m.number(tagInteger); bad || w.call == nil || id != w.call.id {
		return false
	}
	switch tag := m.tag(); {
	case tag == tagEntry && len(w.call.entries) < w.call.limit:
		w.call.entries = append(w.call.entries, entry(m.next(tagEntry)))
	case tag == tagEntry:
		w.end(ldap.ErrSizeLimitExceeded)
	case tag == tagReference: // to another server, which Postern does not follow
	default:
		result := m.next(w.call.answer)
		err := result.result()
		if bad {
			err = errMalformed
		}
		w.end(err)
	}
	if bad {
		w.end(errMalformed)
	}
	return true
}

// entry reads an entry, with its values as bytes only.
func entry(op elements) *ldap.Entry {
	e := &ldap.Entry{DN: string(op.next(tagString).rest)}
	for list := op.next(tagSequence); len(list.rest) > 0; {
		attribute := list.next(tagSequence)
		a := &ldap.EntryAttribute{Name: string(attribute.next(tagString).rest)}
		for values := attribute.next(tagSet); len(values.rest) > 0; {
			a.ByteValues = append(a.ByteValues, values.next(tagString).rest)
		}
		e.Attributes = append(e.Attributes, a)
	}
	return e
}

// elements is a list of BER elements. bad is set by what was not to come there.
type elements struct {
	rest []byte
	bad  *bool
}

// next cuts off the first element, which must have the tag, and returns what is in it.
func (e *elements) next(tag byte) elements {
	head, size := header(e.rest)
	if head == 0 || e.rest[0] != tag || size > len(e.rest)-head {
		*e.bad, e.rest = true, nil
		return elements{bad: e.bad}
	}
	in := elements{e.rest[head : head+size : head+size], e.bad}
	e.rest = e.rest[head+size:]
	return in
}

// tag is that of the first element, 0 if there is none.
func (e *elements) tag() byte {
	if len(e.rest) == 0 {
		return 0
	}
	return e.rest[0]
}

// number is next for a number, of which LDAP has none below 0.
func (e *elements) number(tag byte) int64 {
	digits := e.next(tag).rest
	if len(digits) == 0 || len(digits) > 4 || digits[0] > 0x7f {
		*e.bad = true
		return 0
	}
	var n int64
	for _, d := range digits {
		n = n<<8 | int64(d)
	}
	return n
}

// result reads an LDAPResult (RFC 4511 section 4.1.9): nil, or the library's error.
func (e *elements) result() error {
	code := e.number(tagEnumerated)
	dn, text := e.next(tagString), e.next(tagString)
	switch {
	case code == ldap.LDAPResultSuccess:
		return nil
	case code >= ldap.ErrorNetwork: // the library's own begin here: would be none of the server's
		*e.bad = true
	}
	return &ldap.Error{ResultCode: uint16(code), MatchedDN: string(dn.rest), Err: errors.New(string(text.rest))} //nolint:gosec // see above
}

// header reads the tag and the length of an element: definite lengths only (RFC
// 4511 section 5.1). head is 0 if it is none.
func header(b []byte) (head, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	if b[1] < 0x80 {
		return 2, int(b[1])
	}
	head = 2 + int(b[1]&0x7f)
	if head == 2 || head > 6 || head > len(b) {
		return 0, 0
	}
	for _, c := range b[2:head] {
		size = size<<8 | int(c)
	}
	return head, size
}
