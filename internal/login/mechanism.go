package login

import (
	"slices"
	"strings"
)

// withPassword are mechanisms that prove nothing but the knowledge of a password,
// however they carry it, but for SCRAM's many names.
var withPassword = []string{
	"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "APOP", "NTLM", "LANMAN", "RPA", "OTP", "SKEY", "SRP",
}

// WeakMechanism says why a SASL mechanism, by its name in capitals, cannot stand in for
// a second factor; empty if it may be declared.
func WeakMechanism(mech string) string {
	switch {
	case slices.Contains(withPassword, mech) || strings.HasPrefix(mech, "SCRAM-"):
		return "there is a password behind it, and whoever knows it would get in without the second factor"
	case mech == "ANONYMOUS" || mech == "DOVECOT-TOKEN":
		return "it does not check who somebody is"
	}
	return ""
}
