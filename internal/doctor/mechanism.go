package doctor

import (
	"context"
	"slices"
	"strings"

	"postern/internal/login"
)

// mechanisms: only PLAIN and LOGIN show Postern the password. Others with a password
// behind them go past it to whichever passdb knows one (ATTACKS 38).
func (e *examination) mechanisms(context.Context) {
	if e.dovecot == nil {
		return
	}
	list := e.dovecot.passdbs()
	fine := true
	for _, m := range strings.Fields(strings.ToUpper(e.dovecot.get("auth_mechanisms", "plain"))) {
		switch {
		case m == "PLAIN" || m == "LOGIN":
		case login.WeakMechanism(m) != "":
			fine = false
			e.wrong("mechanism-weak", m, m+": "+login.WeakMechanism(m))
		case !e.mechanismDeclared(list, m):
			fine = false
			e.warn("mechanism-declared", m, "no passdb declares it: with the auth policy, users with two-factor login are refused; without it, they are let in by "+m+" alone")
		}
	}
	if fine {
		e.ok("mechanism-weak", "auth_mechanisms", "no mechanism goes past Postern")
	}
}

func (e *examination) mechanismDeclared(list []passdb, mech string) bool {
	if (mech == "OAUTHBEARER" || mech == "XOAUTH2") && e.oauthDeclared() {
		return true
	}
	return slices.ContainsFunc(list, func(p passdb) bool {
		return p.declared() && (len(p.mechs()) == 0 || slices.Contains(p.mechs(), mech))
	})
}
