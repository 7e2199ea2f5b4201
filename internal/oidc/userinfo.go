package oidc

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"postern/internal/factor"
)

// userinfo answers with the claims of the session that the access token is of (OpenID
// Connect Core, section 5.3), as they are now: the ticket is a fresh one.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		noStore(w)
		w.Header().Set("WWW-Authenticate", "Bearer")
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_request", "error_description": "send Authorization: Bearer TOKEN"})
		return
	}
	b, ok := p.openAccess(strings.TrimSpace(token))
	c := p.clients[b.Client]
	if !ok || c == nil {
		fail(w, errBearer)
		return
	}
	live, err := liveOf(p.o.Sessions.Renew(r.Context(), c.ID, b.Grant))
	if errors.Is(err, errGrant) {
		err = errBearer
	}
	if err != nil {
		fail(w, err)
		return
	}
	noStore(w)
	reply(w, http.StatusOK, claimsOf(c, live))
}

// openAccess finds out whose session an access token is of.
func (p *Provider) openAccess(token string) (accessBody, bool) {
	if strings.HasPrefix(token, factor.TicketPrefix) {
		return p.tickets.find(token, p.o.Now())
	}
	var b accessBody
	err := p.open(purposeAccess, token, &b)
	return b, err == nil
}

// tickets remembers whose the tickets are that serve as access tokens: a ticket does
// not say. One that is not remembered (another node made it, or the daemon started
// anew) is an invalid token; its client then refreshes, and has one that is.
type tickets struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]kept
}

type kept struct {
	body  accessBody
	until time.Time
}

const maxTickets = 100_000

func newTickets() *tickets { return &tickets{of: make(map[[sha256.Size]byte]kept)} }

func (t *tickets) keep(ticket string, b accessBody, until, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.of) >= maxTickets {
		for k, was := range t.of {
			if !now.Before(was.until) {
				delete(t.of, k)
			}
		}
	}
	if len(t.of) >= maxTickets {
		clear(t.of) // every client refreshes once
	}
	t.of[sha256.Sum256([]byte(ticket))] = kept{b, until}
}

func (t *tickets) find(ticket string, now time.Time) (accessBody, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.of[sha256.Sum256([]byte(ticket))]
	return k.body, ok && now.Before(k.until)
}
