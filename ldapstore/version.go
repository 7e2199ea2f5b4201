package ldapstore

import (
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// attrVersion is OpenLDAP's number of an entry's last change. Other directories have
// none.
const attrVersion = "entryCSN"

// oidAssertion is the control by which a change is made only if the entry matches a
// filter (RFC 4528). The two are one operation to the server.
const oidAssertion = "1.3.6.1.1.12"

// versioned reports whether the version of the user's entry says that nothing has
// changed: not where the records are elsewhere, and not where a filter decides of the
// status, as it may match by what the entry gets from others.
func (c *Config) versioned() bool { return c.Layout == LayoutEntry && c.StatusFilter == "" }

// assert adds to a change what a.Asserted asks for. The control is critical: a server
// that does not know it changes nothing. Errors: account.ErrConflict without a version.
func assert(a *account.Account, req *ldap.ModifyRequest) error {
	if !a.Asserted {
		return nil
	}
	if a.Version == "" {
		return fmt.Errorf("the version of %s is not known: %w", a.DN, account.ErrConflict)
	}
	filter, err := ldap.CompileFilter("(" + attrVersion + "=" + ldap.EscapeFilter(a.Version) + ")")
	if err != nil {
		return err
	}
	req.Controls = append(req.Controls, ldap.NewControlString(oidAssertion, true, string(filter.Bytes())))
	return nil
}
