package ldapstore

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// wire is the network connection below the library. It catches the entries that a
// search returns, before the library makes a tree of packets of each: ten
// allocations for every value, and an account may have a hundred values
// (docs/performance.md). All else is left to the library: requests, message ids,
// results, and whatever is malformed.
type wire struct {
	net.Conn
	in   *bufio.Reader
	left []byte // of the message that the library is reading

	mu      sync.Mutex
	want    int // entries to be caught; what comes beyond is the library's
	entries []*ldap.Entry
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, in: bufio.NewReaderSize(c, 8<<10)} }

// Search is the library's, but the entries have their values as bytes only.
func (c *conn) Search(req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	if c.wire == nil || req.SizeLimit == 0 {
		return c.Conn.Search(req)
	}
	c.wire.expect(req.SizeLimit)
	res, err := c.Conn.Search(req)
	caught := c.wire.expect(0)
	if res == nil {
		return nil, err
	}
	res.Entries = append(caught, res.Entries...)
	if err == nil && len(res.Entries) > req.SizeLimit {
		err = ldap.ErrSizeLimitExceeded
	}
	return res, err
}

// expect returns what was caught, and begins to catch up to n entries.
func (w *wire) expect(n int) []*ldap.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	caught := w.entries
	w.want, w.entries = n, nil
	return caught
}

// Read is called by the library's reader, and by nobody else.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.left) == 0 {
		m, err := w.message()
		if err != nil {
			return 0, err
		}
		if !w.catch(m) {
			w.left = m
		}
	}
	n := copy(p, w.left)
	w.left = w.left[n:]
	return n, nil
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
		return nil, errors.New("what the directory sends is not LDAP")
	}
	m := make([]byte, head+size)
	_, err = io.ReadFull(w.in, m)
	return m, err
}

// Tags of RFC 4511 section 4, all in one byte.
const (
	tagInteger  = 0x02
	tagString   = 0x04
	tagSequence = 0x30
	tagSet      = 0x31
	tagEntry    = 0x64
)

// catch keeps the entry of a message, if one is expected and it is one.
func (w *wire) catch(message []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) >= w.want {
		return false
	}
	var bad bool
	all := elements{message, &bad}
	m := all.next(tagSequence)
	m.next(tagInteger) // the id: there is one operation at a time
	op := m.next(tagEntry)
	e := &ldap.Entry{DN: string(op.next(tagString).rest)}
	for list := op.next(tagSequence); len(list.rest) > 0; {
		attribute := list.next(tagSequence)
		a := &ldap.EntryAttribute{Name: string(attribute.next(tagString).rest)}
		for values := attribute.next(tagSet); len(values.rest) > 0; {
			a.ByteValues = append(a.ByteValues, values.next(tagString).rest)
		}
		e.Attributes = append(e.Attributes, a)
	}
	if !bad {
		w.entries = append(w.entries, e)
	}
	return !bad
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
