// Package throttle limits guessing. It implements login.Throttle in the node's own
// memory (Memory) and on top of that in Redis or Valkey for several nodes (Shared).
//
// Four things are counted, each with a score that rises by one for a wrong try and
// halves in its half-life:
//
//	prefix   the client's address: IPv4 /32, IPv6 /64; and the IPv6 /48 around it
//	account  the directory entry, or the typed name where there is none
//	pair     account and prefix together
//	site     everything
//
// Some tries are free; then a wait doubles with each one; then tries are refused
// without being checked. The site as a whole only waits. What makes this bearable
// for those who are not guessing:
//
//   - The same wrong secret again is not a second guess. It counts once for
//     everything, so a phone with an old password never closes its own address.
//   - Where a login was right, account and prefix are a known-good pair for a month.
//     It passes the limits of prefix, account and site at full speed, as long as a
//     counter of its own lets it, and its mistakes are not held against its
//     neighbours behind the same address.
//   - When an account is under attack, an address that never tried it before is
//     refused later than one that did: a few addresses cannot keep its owner out.
//
// Apart from guessing, binds are capped for each account below the directory's own
// lock-out, which strangers could otherwise trigger. A bind is reserved when Account
// is asked, so a hundred tries at once find no more of them than one after another.
//
// A try that advice refused must not be reported to Wrong: nothing was learned by
// it. Tries whose outcome is neither right nor wrong (directory unavailable, right
// main password of an account with 2FA) are reported to nobody.
//
// The rules are pure functions of records and time: counter.go, pair.go, guard.go,
// rules.go. table.go keeps records within a bounded memory, script.lua is the same
// rules inside Redis; a test holds both to the same answers.
package throttle

// Values of login.Advice.Limit, for log and metrics.
const (
	LimitDenied  = "denied"  // address in throttle.deny_networks
	LimitPrefix  = "prefix"  // address, or the IPv6 network around it
	LimitAccount = "account" // the account is being guessed
	LimitSite    = "site"    // the site is; only ever a wait
	LimitBinds   = "binds"   // no bind left below the directory's lock-out
	LimitRepeat  = "repeat"  // this very secret was wrong just now; it costs no bind again
)
