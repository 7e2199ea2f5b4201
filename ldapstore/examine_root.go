package ldapstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// The kinds of directories that setup tells apart.
const (
	OpenLDAP        = "OpenLDAP"
	DS389           = "389 Directory Server"
	ActiveDirectory = "Active Directory"
)

// Root is what a directory says about itself to everybody (RFC 4512 section 5.1).
type Root struct {
	Kind     string   // one of the above, or ""
	Suffixes []string // namingContexts, Postern's and the server's own left out
}

// capabilityAD is LDAP_CAP_ACTIVE_DIRECTORY_OID.
const capabilityAD = "1.2.840.113556.1.4.800"

// ReadRoot asks the server at uri. Nothing is trusted because of it, so certificates
// are looked at, but a server may be asked in the clear.
func ReadRoot(ctx context.Context, uri string, timeout time.Duration) (Root, error) {
	ep, err := parseURI(uri)
	if err != nil {
		return Root{}, err
	}
	boundPackets()
	d := dialer{endpoint: ep, tlsConfig: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: ep.host}}
	c, err := d.dial(ctx, time.Now().Add(timeout))
	if err != nil {
		return Root{}, err
	}
	defer c.discard()
	res, err := c.Search(&ldap.SearchRequest{Scope: ldap.ScopeBaseObject, Filter: anything,
		Attributes: []string{"objectClass", "namingContexts", "vendorName", "supportedCapabilities"}})
	if err != nil {
		return Root{}, fmt.Errorf("%s: %w", uri, err)
	}
	if len(res.Entries) == 0 {
		return Root{}, fmt.Errorf("%s does not say what it is", uri)
	}
	return rootOf(res.Entries[0]), nil
}

func rootOf(e *ldap.Entry) Root {
	var r Root
	for _, v := range values(e, "namingContexts") {
		if s := strings.ToLower(string(v)); !strings.HasPrefix(s, "cn=") && !strings.Contains(s, "dnszones") {
			r.Suffixes = append(r.Suffixes, string(v))
		}
	}
	ad := slices.ContainsFunc(values(e, "supportedCapabilities"), func(v []byte) bool { return string(v) == capabilityAD })
	switch {
	case ad:
		r.Kind = ActiveDirectory
	case strings.Contains(value(e, "vendorName"), "389"):
		r.Kind = DS389
	case hasClass(e, "OpenLDAProotDSE"):
		r.Kind = OpenLDAP
	}
	return r
}
