package login

import (
	"context"
	"net/netip"
	"time"

	"postern/internal/account"
)

// Try is what a limit on guessing is asked about and told of.
type Try struct {
	Account account.ID // "" while no entry is known
	Name    string     // as typed, lower case: counts where there is no account
	Client  netip.Addr // of the user, not of webmail
	// Secret is a fingerprint of what was presented, under a key of this process or
	// site; equal for the same wrong password tried again.
	Secret uint32
}

// Advice is what a limit says.
type Advice struct {
	Refuse bool          // do not even check
	Wait   time.Duration // check, but only after this
	Limit  string        // which limit: prefix, account, site, binds; for log and metrics
}

// Throttle limits guessing (ATTACKS 7 to 9). Implementations must answer within
// milliseconds and never fail: without their store they fall back to less memory.
type Throttle interface {
	// Prefix asks about the client's address before anything else is known. A
	// known-good pair of account (or name) and prefix is not refused.
	Prefix(ctx context.Context, t Try) Advice
	// Account asks about account and site before a main password or a factor is
	// checked. The site's advice is a wait, never a refusal.
	Account(ctx context.Context, t Try) Advice
	// Wrong counts a wrong try. main says that it was a main password or a factor,
	// which alone count for account and site.
	Wrong(ctx context.Context, t Try, main bool)
	// Right makes account and prefix a known-good pair.
	Right(ctx context.Context, t Try)
}
