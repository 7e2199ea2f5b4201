// Package login makes every sign-in decision. Doors (checkpassword, the Lua
// passdb, HTTP) translate what they see into an Attempt and a Decision back into
// what their side understands; nothing is decided in them.
//
// A decision is one of three outcomes. Granted: let in. Denied, with a Reason of
// a closed set: the credential must not get in. Unavailable: it could not be
// checked, which is never access and never "wrong password".
//
// What is presented is recognised by its shape (package factor), and each shape
// is checked one way only: an app password against its own sealed record, the main
// password by the directory. A main password never opens mail for an account with
// a second factor.
package login

import (
	"net/netip"
	"time"

	"postern/internal/account"
	"postern/internal/policy"
)

// Reason says why an attempt was denied or could not be checked. Users never see
// it, and doors do not tell it apart: it is for the audit log and metrics.
type Reason string

// The closed set of reasons.
const (
	// Denied: what was presented cannot be right.
	BadName       Reason = "bad_name"       // empty, too long, control characters, not UTF-8
	EmptyPassword Reason = "empty_password" // would be an anonymous bind
	Impersonation Reason = "impersonation"  // a master user or an authorization identity

	Throttled Reason = "throttled" // too many wrong tries: not even checked

	// Denied: about the account.
	UnknownUser     Reason = "unknown_user"
	AmbiguousUser   Reason = "ambiguous_user"
	AccountDisabled Reason = "account_disabled"
	BindLocked      Reason = "bind_locked" // locked by wrong binds; app passwords go on
	Damaged         Reason = "damaged"     // stored records do not match: an alarm

	// Denied: about the main password.
	WrongPassword       Reason = "wrong_password"
	AppPasswordRequired Reason = "app_password_required" // right, but 2FA is on: no attack
	Elsewhere           Reason = "elsewhere"             // the site's own passdb decides (login.main_password = "next")
	AppPasswordOnly     Reason = "app_password_only"     // by DAV, where nobody's main password is even looked at

	// Denied: about an app password.
	NearMiss              Reason = "near_miss" // an app password copied badly; never sent to the directory
	AppPasswordUnknown    Reason = "app_password_unknown"
	AppPasswordWrong      Reason = "app_password_wrong"
	AppPasswordRevoked    Reason = "app_password_revoked"
	AppPasswordExpired    Reason = "app_password_expired"
	WrongService          Reason = "wrong_service"
	WrongNetwork          Reason = "wrong_network"
	AppPasswordsForbidden Reason = "app_passwords_forbidden" // by policy

	// Denied: about a ticket, besides WrongService and WrongNetwork.
	BadTicket     Reason = "bad_ticket"     // forged, or another account's
	TicketExpired Reason = "ticket_expired" // webmail did not renew it
	SessionEnded  Reason = "session_ended"
	SessionWeak   Reason = "session_weak" // begun without a second factor, which is needed by now

	// Observed goes with Granted: the main password of an account with 2FA, let in
	// because its domain is being observed (E10).
	Observed Reason = "observed"
	// Bypassed goes with Granted, too: the main password, or a webmail session begun with
	// it, of an account that an administrator's bypass is open for (A17).
	Bypassed Reason = "bypass"
	// KnownDevice goes with Granted, too: the main password of an account with 2FA, for some
	// days after that was switched on, from where it was used before (E13).
	KnownDevice Reason = "known_device"

	// Unavailable.
	DirectoryDown    Reason = "directory_unavailable"
	Busy             Reason = "busy" // too many binds at once
	PolicyUnreadable Reason = "policy_unreadable"
	BadField         Reason = "bad_field"          // an attribute that Dovecot cannot be given
	PassdbDown       Reason = "passdb_unavailable" // Dovecot could not check a main password
	Unproven         Reason = "unproven"           // PrivateService, but not asked by Postern
	NoTicketKey      Reason = "no_ticket_key"      // ticket.pub is missing or old: forged or not, nobody can say
)

// Attempt is one login as a door saw it.
type Attempt struct {
	User     string // as typed, or as the door's own normalisation left it
	Password account.Secret
	Service  account.Service
	Client   netip.Addr // where the user is
	Peer     netip.Addr // who connected, where that differs (webmail, proxy)
	Agent    string     // the client's own name
	Session  string     // Dovecot's session id
	Mech     string     // SASL mechanism
	Master   string     // a master user who wants in as User
	Door     string
}

// Decision is the answer to an Attempt.
type Decision struct {
	account.Outcome
	Reason     Reason
	Account    *account.Account // nil unless exactly one entry was found
	Credential string           // "main", "app:ID", "session:ID": what was presented, where that is known
	CredID     string           // with Granted: see Gate.ProveCredential
	Limit      string           // with reason Throttled: which one
	name       string           // of a revoked app password
	Policy     policy.Effective
}

// Settings are the site's choices that a Gate needs.
type Settings struct {
	// MainElsewhere leaves main passwords of accounts without 2FA to the site's
	// own passdb: the decision is Denied with Reason Elsewhere.
	MainElsewhere bool
	// UnknownElsewhere does the same for names that no entry answers to.
	UnknownElsewhere bool
	// Deadline bounds one decision, directory included.
	Deadline time.Duration
	// DenialTime is the grain of a denial's duration: every denial takes a whole
	// multiple of it, so that an unknown name and a wrong password look alike.
	DenialTime time.Duration
	// MaxBinds is how many main passwords are checked at once.
	MaxBinds int
	// HashNonce is Dovecot's auth_policy_hash_nonce; empty: refusals are not
	// remembered, so mail programs are not told why.
	HashNonce account.Secret
	// HelpURL is where users make app passwords; it stands in the text of refusals.
	HelpURL string
	// ReturnUser: the door tells Dovecot the account's own name, which Dovecot's
	// second question then carries.
	ReturnUser bool
	// Masters are the master users that may impersonate, and from where.
	Masters map[string][]netip.Prefix
	// WebmailNetworks are where tickets may come from.
	WebmailNetworks []netip.Prefix
	// Observe lists domains in which nothing is refused yet, only recorded.
	Observe map[string]Period
}

// Period is a span of time, From included, Until not.
type Period struct{ From, Until time.Time }

// Observed reports whether nothing is refused yet in a domain.
func (s *Settings) Observed(domain string, now time.Time) bool { return s.observed(domain, now) }

// observed reports whether the domain is being observed now.
func (s *Settings) observed(domain string, now time.Time) bool {
	p, ok := s.Observe[domain]
	return ok && !now.Before(p.From) && now.Before(p.Until)
}

// masterAllowed reports whether a master user may ask from peer or client.
func (s *Settings) masterAllowed(name string, addrs ...netip.Addr) bool {
	for _, network := range s.Masters[name] {
		for _, a := range addrs {
			if a.IsValid() && network.Contains(a.Unmap()) {
				return true
			}
		}
	}
	return false
}
