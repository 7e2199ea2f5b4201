package ldapstore

import (
	"strconv"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
)

// changeRules say how attributes tell when the password was last changed, by name
// in lower case. All others hold a GeneralizedTime, as pwdChangedTime does
// (draft-behera-ldap-password-policy-10 section 5.3.2), pwdUpdateTime of 389-ds and
// krbLastPwdChange of Kerberos. 0, where the number has that meaning, demands a
// change at the next login: help desks set it with a password of their own.
var changeRules = map[string]func(value string) (time.Time, bool){
	"shadowlastchange": lastChangeDay,   // RFC 2307; shadow(5)
	"pwdlastset":       windowsLastSet,  // Active Directory
	"sambapwdlastset":  lastChangeClock, // Samba's own schema, in Unix seconds
}

// passwordChanged reads when the password was last changed, as the last moment of
// what the attribute tells: zero if it is not there, account.Sometime if it says that
// there was a change but not when, or cannot be read.
func passwordChanged(e *ldap.Entry, attribute string) time.Time {
	read := changeRules[strings.ToLower(attribute)]
	if read == nil {
		read = generalizedSecond
	}
	var last time.Time
	for _, v := range values(e, attribute) {
		t, ok := read(string(v))
		if !ok {
			return account.Sometime()
		}
		if t.After(last) {
			last = t
		}
	}
	return last
}

// lastOf is the last moment of the span that begins at t.
func lastOf(t time.Time, span time.Duration) time.Time {
	return t.Add(span - time.Microsecond).UTC()
}

// generalizedSecond: slapd writes whole seconds.
func generalizedSecond(v string) (time.Time, bool) {
	t, err := ber.ParseGeneralizedTime([]byte(v))
	return lastOf(t.Truncate(time.Second), time.Second), err == nil
}

const day = 24 * time.Hour

// lastChangeDay counts days since 1970.
func lastChangeDay(v string) (time.Time, bool) {
	n, err := strconv.ParseInt(v, 10, 32)
	return lastOf(time.Unix(n*int64(day/time.Second), 0), day), err == nil && n > 0
}

// windowsLastSet counts intervals of 100 ns since 1601 ([MS-ADA3], pwdLastSet).
func windowsLastSet(v string) (time.Time, bool) {
	const epoch = 11644473600 // seconds from 1601 to 1970
	n, err := strconv.ParseInt(v, 10, 64)
	return time.Unix(n/1e7-epoch, n%1e7*100).UTC(), err == nil && n > 0
}

func lastChangeClock(v string) (time.Time, bool) {
	n, err := strconv.ParseInt(v, 10, 40)
	return lastOf(time.Unix(n, 0), time.Second), err == nil && n > 0
}
