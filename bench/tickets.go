package main

import (
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/login"
	"postern/internal/mailtest"
	"postern/internal/seal"
	visits "postern/internal/session"
	"postern/ldapstore"
)

// ticketLife is longer than any measurement takes.
const ticketLife = 8 * time.Hour

// makeTickets begins a session of webmail for each account of the larger site that
// logs in, as the webhook does, and keeps its ticket.
func (w *world) makeTickets(string) error {
	cfg, err := app.Load(w.big.Path)
	if err != nil {
		return err
	}
	store, ring, err := cfg.OpenStore(account.RoleDoor, account.RoleTicket)
	if err != nil {
		return err
	}
	defer store.Close()
	for i := range accounts {
		user := mailtest.BulkUser(i)
		if w.tickets[user], err = w.ticket(store, ring, user); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) ticket(store *ldapstore.Store, ring *seal.Ring, user string) (string, error) {
	found, err := store.Find(w.ctx, user)
	if err != nil {
		return "", err
	}
	a, err := store.Read(w.ctx, found)
	if err != nil {
		return "", err
	}
	body, err := account.Encode(visits.Session{Epoch: a.Epoch(), Client: "bench", Via: "main"})
	if err != nil {
		return "", err
	}
	now := time.Now()
	r := account.Record{Kind: account.KindSession, ID: account.NewID(), Created: now, Expires: now.Add(ticketLife),
		Used: account.Use{At: now, Service: login.Webmail}, Body: body}
	if err := store.Apply(w.ctx, a, account.Edit{Now: &r}); err != nil {
		return "", err
	}
	t := visits.Ticket{Session: r.ID, Epoch: a.Epoch(), Expires: r.Expires, Services: []account.Service{account.IMAP}}
	text, err := t.Issue(ring, a.ID)
	return string(text.Reveal()), err
}

// ticketOf is an account of the larger site with its ticket.
func (w *world) ticketOf(number int) (user, password string) {
	user = mailtest.BulkUser(number % accounts)
	return user, w.tickets[user]
}
