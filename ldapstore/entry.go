package ldapstore

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/policy"
	"postern/internal/seal"
)

// Object classes of Postern's schema.
const (
	classAccount = "posternAccount"
	classHolder  = "posternHolder"
	classSite    = "posternSite"
)

const maxID = 128

// values are the raw values of an attribute; names of attributes have no case.
func values(e *ldap.Entry, attribute string) [][]byte {
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, attribute) {
			return a.ByteValues
		}
	}
	return nil
}

// value is the first value of an attribute, or "".
func value(e *ldap.Entry, attribute string) string {
	if v := values(e, attribute); len(v) > 0 {
		return string(v[0])
	}
	return ""
}

// hasClass reports whether an entry has an object class.
func hasClass(e *ldap.Entry, class string) bool {
	return slices.ContainsFunc(values(e, "objectClass"), func(v []byte) bool {
		return strings.EqualFold(string(v), class)
	})
}

// identity takes everything that names the account from its entry, and nothing
// from what was typed. Errors wrap account.ErrDamaged.
func (s *Store) identity(e *ldap.Entry) (*account.Account, error) {
	id, err := s.key(e)
	if err != nil {
		return nil, err
	}
	name, err := s.loginName(e)
	if err != nil {
		return nil, err
	}
	_, domain := splitName(name)
	a := &account.Account{ID: id, DN: e.DN, Holder: e.DN, Name: name, Domain: strings.ToLower(domain)}
	if s.cfg.Layout == LayoutSubtree {
		a.Holder = s.holderDN(id)
	}
	if s.cfg.versioned() {
		a.Version = value(e, attrVersion)
	}
	return a, nil
}

// key is the account's key: the id attribute's only value.
func (s *Store) key(e *ldap.Entry) (account.ID, error) {
	v := values(e, s.cfg.IDAttribute)
	if len(v) != 1 || len(v[0]) == 0 {
		return "", fmt.Errorf("%d values of %s, which must have one: %w", len(v), s.cfg.IDAttribute, account.ErrDamaged)
	}
	id := string(v[0])
	if binaryKey(s.cfg.IDAttribute) || !printable(id) {
		id = hex.EncodeToString(v[0])
	}
	if len(id) > maxID {
		return "", fmt.Errorf("%s is longer than %d: %w", s.cfg.IDAttribute, maxID, account.ErrDamaged)
	}
	return account.ID(id), nil
}

// binaryKey names the attributes that are binary even when a value happens to
// look like text.
func binaryKey(attribute string) bool {
	return strings.EqualFold(attribute, "objectGUID") || strings.EqualFold(attribute, "objectSid") ||
		strings.EqualFold(attribute, "GUID")
}

// printable reports whether s can be a value of posternHolderOf as it is.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// keyFilter finds the entry with that key.
func (s *Store) keyFilter(id account.ID) string {
	v := ldap.EscapeFilter(string(id))
	if raw, err := hex.DecodeString(string(id)); err == nil && binaryKey(s.cfg.IDAttribute) {
		v = ldap.EscapeFilter(string(raw))
	}
	return "(" + s.cfg.IDAttribute + "=" + v + ")"
}

// loginName is the login attribute's value. Of several values (aliases) it is the
// first in alphabetical order: it must not depend on which one was typed, and
// servers return values in any order.
func (s *Store) loginName(e *ldap.Entry) (string, error) {
	var names []string
	for _, v := range values(e, s.cfg.LoginAttribute) {
		names = append(names, string(v))
	}
	if len(names) == 0 {
		return "", fmt.Errorf("the entry has no %s: %w", s.cfg.LoginAttribute, account.ErrDamaged)
	}
	name := slices.MinFunc(names, func(a, b string) int {
		if c := strings.Compare(strings.ToLower(a), strings.ToLower(b)); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fmt.Errorf("%s is not usable as a login name: %w", s.cfg.LoginAttribute, account.ErrDamaged)
	}
	return name, nil
}

func (s *Store) holderDN(id account.ID) string {
	return "posternHolderOf=" + ldap.EscapeDN(string(id)) + "," + s.cfg.PosternBase
}

// setFields takes what the configuration wants returned to Dovecot. Whoever
// returns it checks it for characters that its protocol does not allow.
func (s *Store) setFields(a *account.Account, e *ldap.Entry) {
	if len(s.cfg.Fields) == 0 {
		return
	}
	a.Fields = make(map[string]string, len(s.cfg.Fields))
	for field, attribute := range s.cfg.Fields {
		if v := value(e, attribute); v != "" {
			a.Fields[field] = v
		}
	}
}

// setRecords attaches records, class and policy from the holder, and the policies
// of the account's domain and class.
func (s *Store) setRecords(a *account.Account, f *found) {
	a.SwitchedOff = s.switchedOff()
	holder := f.holder
	if s.cfg.Layout == LayoutEntry {
		holder = f.user
	}
	if holder == nil {
		a.Policy = f.site.Layers(a.Domain, "")
		return
	}
	a.HasHolder = s.cfg.Layout == LayoutSubtree || hasClass(holder, classAccount)
	a.Class = value(holder, attrClass)
	a.Policy = f.site.Layers(a.Domain, a.Class)
	if v := values(holder, attrPolicy); len(v) > 0 {
		a.Policy = append(a.Policy, policy.ParseJSON(string(policy.LevelAccount), string(v[0])))
	}
	a.Attach(sealed(holder), s.ring)
}

// sealed collects the values of all kinds. A value whose header cannot be read
// gets no id: State names none such, so it counts as damage.
func sealed(e *ldap.Entry) map[account.Kind][]account.Value {
	all := make(map[account.Kind][]account.Value, len(account.Kinds))
	for _, k := range account.Kinds {
		raw := values(e, k.Attribute())
		if len(raw) == 0 {
			continue
		}
		list := make([]account.Value, len(raw))
		for i, v := range raw {
			id, _ := seal.RecordID(v)
			list[i] = account.Value{ID: id, Stored: v}
		}
		all[k] = list
	}
	return all
}
