package ldapstore

import (
	"encoding/binary"

	"github.com/go-ldap/ldap/v3"
)

// The three operations of every login are sent as bytes, and wait for their answer on
// the wire: the library makes a tree of packets of each request, and hands it and its
// answers through four goroutines, which together cost more than the operation itself
// (docs/performance.md). They are the library's in all else: the same arguments, the
// same errors. What answers with controls is the library's own.

// Search is the library's, but the entries have their values as bytes only.
func (c *conn) Search(req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	if c.wire == nil || req.SizeLimit == 0 || req.TypesOnly || len(req.Controls) > 0 {
		return c.Conn.Search(req)
	}
	filter, err := ldap.CompileFilter(req.Filter)
	if err != nil {
		return nil, err
	}
	done, err := c.wire.do(tagSearchDone, req.SizeLimit, func(r *request) {
		defer r.end(r.begin(tagSearch))
		r.text(tagString, req.BaseDN)
		r.number(tagEnumerated, req.Scope)
		r.number(tagEnumerated, req.DerefAliases)
		r.number(tagInteger, req.SizeLimit)
		r.number(tagInteger, req.TimeLimit)
		r.text(tagBoolean, "\x00") // values, too
		r.bytes = append(r.bytes, filter.Bytes()...)
		defer r.end(r.begin(tagSequence))
		for _, a := range req.Attributes {
			r.text(tagString, a)
		}
	})
	return &ldap.SearchResult{Entries: done}, err
}

// Bind is the library's.
func (c *conn) Bind(dn, password string) error {
	if c.wire == nil || dn == "" || password == "" {
		return c.Conn.Bind(dn, password)
	}
	_, err := c.wire.do(tagBound, 0, func(r *request) {
		defer r.end(r.begin(tagBind))
		r.number(tagInteger, 3)
		r.text(tagString, dn)
		r.text(tagSimple, password)
	})
	return err
}

// Modify is the library's.
func (c *conn) Modify(req *ldap.ModifyRequest) error {
	if c.wire == nil {
		return c.Conn.Modify(req)
	}
	_, err := c.wire.do(tagModified, 0, func(r *request) {
		r.modify(req)
		r.controls(req.Controls)
	})
	return err
}

func (r *request) modify(req *ldap.ModifyRequest) {
	defer r.end(r.begin(tagModify))
	r.text(tagString, req.DN)
	defer r.end(r.begin(tagSequence))
	for _, change := range req.Changes {
		r.change(change)
	}
}

func (r *request) controls(list []ldap.Control) {
	if len(list) == 0 {
		return
	}
	defer r.end(r.begin(tagControls))
	for _, c := range list {
		r.bytes = append(r.bytes, c.Encode().Bytes()...)
	}
}

func (r *request) change(c ldap.Change) {
	defer r.end(r.begin(tagSequence))
	r.number(tagEnumerated, int(c.Operation))
	defer r.end(r.begin(tagSequence))
	r.text(tagString, c.Modification.Type)
	defer r.end(r.begin(tagSet))
	for _, v := range c.Modification.Vals {
		r.text(tagString, v)
	}
}

// do sends an operation and waits for the answer that ends it. Whatever is not the
// server's own answer is an error that no answer has, so the connection is given up.
func (w *wire) do(answer byte, limit int, operation func(*request)) ([]*ldap.Entry, error) {
	c, err := w.start(answer, limit)
	if err != nil {
		return nil, err
	}
	r := request{make([]byte, 0, 1<<10)}
	whole := r.begin(tagSequence)
	r.number(tagInteger, int(c.id))
	operation(&r)
	r.end(whole)
	if _, err := w.Write(r.bytes); err != nil {
		return nil, err
	}
	err = <-c.over
	return c.entries, err
}

// request is a message in the making: what has parts is begun and ended, with a length
// of four bytes, as the parts come in between.
type request struct{ bytes []byte }

func (r *request) begin(tag byte) int {
	r.bytes = append(r.bytes, tag, 0x84, 0, 0, 0, 0)
	return len(r.bytes)
}

func (r *request) end(begun int) {
	binary.BigEndian.PutUint32(r.bytes[begun-4:], uint32(len(r.bytes)-begun)) //nolint:gosec // requests are short
}

func (r *request) text(tag byte, s string) {
	if len(s) < 0x80 {
		r.bytes = append(append(r.bytes, tag, byte(len(s))), s...)
		return
	}
	begun := r.begin(tag)
	r.bytes = append(r.bytes, s...)
	r.end(begun)
}

// number adds one that is not below 0.
func (r *request) number(tag byte, n int) {
	size := 1
	for n>>(8*size-1) != 0 {
		size++
	}
	r.bytes = append(r.bytes, tag, byte(size))
	for size--; size >= 0; size-- {
		r.bytes = append(r.bytes, byte(n>>(8*size)))
	}
}
