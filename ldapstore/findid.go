package ldapstore

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// FindID is Find by the account's key instead of a name: for a passkey that signs in
// alone. The id attribute should have an index for equality. Errors: account.ErrUnknown,
// account.ErrAmbiguous, account.ErrUnavailable, account.ErrDamaged.
func (s *Store) FindID(ctx context.Context, id account.ID) (*account.Account, error) {
	if id == "" || len(id) > maxID {
		return nil, account.ErrUnknown
	}
	req := &ldap.SearchRequest{
		BaseDN: s.cfg.Base, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2, EnforceSizeLimit: true,
		Filter: "(" + s.cfg.IDAttribute + "=" + escapeID(s.cfg.IDAttribute, id) + ")", Attributes: s.wanted,
	}
	a, err := s.found(ctx, req, s.read)
	if err == nil && a.ID != id {
		return nil, account.ErrUnknown // the directory's matching is looser than ours
	}
	return a, err
}

// escapeID is the key as a filter's value: binary ones byte by byte.
func escapeID(attribute string, id account.ID) string {
	raw, err := hex.DecodeString(string(id))
	if !binaryKey(attribute) || err != nil {
		return ldap.EscapeFilter(string(id))
	}
	var b strings.Builder
	for _, c := range raw {
		b.WriteString(`\` + hex.EncodeToString([]byte{c}))
	}
	return b.String()
}
