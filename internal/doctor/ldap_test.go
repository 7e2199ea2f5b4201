package doctor_test

import (
	"github.com/go-ldap/ldap/v3"

	"postern/internal/mailtest"
)

func searchAll(filter string) *ldap.SearchRequest {
	return &ldap.SearchRequest{BaseDN: mailtest.Base, Scope: ldap.ScopeWholeSubtree, Filter: filter, Attributes: []string{"*"}}
}
