package ldapstore

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// Dump is what a backup holds of Postern's.
type Dump struct {
	KeyChecks []string
	Entries   int // of any kind
}

// ReadLDIF reads a dump with its operational attributes (slapcat, db2ldif; RFC 2849),
// and calls f for every account that has records, opened with this store's keys. It
// asks no server. What is no LDIF is an error; so is f's.
func (s *Store) ReadLDIF(r io.Reader, f func(*account.Account) error) (Dump, error) {
	var d Dump
	lines := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		e, more, err := nextEntry(lines)
		if err != nil {
			return d, fmt.Errorf("entry %d: %w", n, err)
		}
		if e != nil {
			d.Entries++
			if hasClass(e, classSite) {
				for _, v := range values(e, keyCheck) {
					d.KeyChecks = append(d.KeyChecks, string(v))
				}
			}
			if err := s.dumped(e, f); err != nil {
				return d, err
			}
		}
		if !more {
			return d, nil
		}
	}
}

// dumped hands on an entry that has records.
func (s *Store) dumped(e *ldap.Entry, f func(*account.Account) error) error {
	var a *account.Account
	switch {
	case s.cfg.Layout == LayoutSubtree && hasClass(e, classHolder):
		a = &account.Account{ID: account.ID(value(e, "posternHolderOf")), Holder: e.DN, Name: e.DN}
	case s.cfg.Layout == LayoutEntry && hasClass(e, classAccount):
		id, err := s.key(e)
		if err != nil {
			return fmt.Errorf("%s: %w (a dump needs the operational attributes: slapcat writes them)", e.DN, err)
		}
		a = &account.Account{ID: id, DN: e.DN, Holder: e.DN, Name: e.DN}
		if name, err := s.loginName(e); err == nil {
			a.Name = name
		}
	default:
		return nil
	}
	a.HasHolder = true
	a.Attach(sealed(e), s.ring)
	return f(a)
}

// nextEntry reads up to the next empty line; nil if there was nothing but comments.
func nextEntry(r *bufio.Reader) (e *ldap.Entry, more bool, err error) {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, " ") && len(lines) > 0: // a folded line
			lines[len(lines)-1] += line[1:]
		case line != "":
			lines = append(lines, line)
		}
		if err == io.EOF || err == nil && line == "" && len(lines) > 0 { //nolint:errorlint // ReadString returns it bare
			e, parseErr := entryOf(lines)
			return e, err == nil, parseErr
		}
		if err != nil {
			return nil, false, err
		}
	}
}

func entryOf(lines []string) (*ldap.Entry, error) {
	attributes := map[string][]string{}
	dn := ""
	for _, line := range lines {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "version:") {
			continue
		}
		name, v, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%.40q is no line of LDIF", line)
		}
		if encoded, is := strings.CutPrefix(v, ":"); is {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			v = string(raw)
		} else {
			v = strings.TrimPrefix(v, " ")
		}
		if strings.EqualFold(name, "dn") {
			dn = v
			continue
		}
		attributes[name] = append(attributes[name], v)
	}
	if dn == "" {
		return nil, nil //nolint:nilnil // comments only
	}
	return ldap.NewEntry(dn, attributes), nil
}
