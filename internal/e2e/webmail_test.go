package e2e

import (
	"context"
	"errors"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/login"
	"postern/internal/mailclient"
	"postern/internal/seal"
	"postern/internal/session"
)

// elsewhere is an address that is not webmail's: see door.options.
const elsewhere = "127.0.0.77"

// visit is a session of webmail, made as the webhook makes one but without it: tests
// may change every part before it begins, and get tickets that no webhook would give.
type visit struct {
	w       *world
	account *account.Account

	record account.Record
	body   session.Session
	ticket session.Ticket
}

// visit begins a session of a user, after what the changes made of it.
func (w *world) visit(user string, changes ...func(*visit)) *visit {
	w.t.Helper()
	a := w.account(user)
	now := time.Now()
	v := &visit{
		w: w, account: a,
		record: account.Record{Kind: account.KindSession, ID: account.NewID(), Created: now, Expires: now.Add(time.Hour),
			Used: account.Use{At: now, Service: login.Webmail}},
		body: session.Session{Epoch: a.Epoch(), Client: "roundcube", Strong: a.TwoFactor(), Via: "main"},
	}
	v.ticket = session.Ticket{Session: v.record.ID, Epoch: a.Epoch(), Expires: now.Add(10 * time.Minute),
		Services: []account.Service{account.IMAP, account.SMTP, account.Sieve}}
	for _, change := range changes {
		change(v)
	}
	body, err := account.Encode(v.body)
	must(w.t, err)
	v.record.Body = body
	v.apply(func(*account.Account) account.Edit { return account.Edit{Now: &v.record} })
	return v
}

// account is a user's account as the write server has it.
func (w *world) account(user string) *account.Account {
	w.t.Helper()
	a, err := w.desk.Store.Find(w.t.Context(), user)
	must(w.t, err)
	a, err = w.desk.Store.Read(w.t.Context(), a)
	must(w.t, err)
	return a
}

// apply makes an edit, again when somebody else was faster.
func (v *visit) apply(edit func(*account.Account) account.Edit) {
	v.w.t.Helper()
	ctx, cancel := context.WithTimeout(v.w.t.Context(), patience)
	defer cancel()
	for {
		a, err := v.w.desk.Store.Read(ctx, v.account)
		must(v.w.t, err)
		err = v.w.desk.Store.Apply(ctx, a, edit(a))
		if !errors.Is(err, account.ErrConflict) {
			must(v.w.t, err)
			return
		}
	}
}

// remove takes the session's record away, as the next write does some time after its end.
func (v *visit) remove() {
	v.w.t.Helper()
	v.apply(func(a *account.Account) account.Edit {
		was, err := a.Record(account.KindSession, v.record.ID)
		must(v.w.t, err)
		return account.Edit{Was: &was}
	})
}

// text is the ticket, signed with the site's key.
func (v *visit) text() string { return v.signed(v.w.tickets(), v.account.ID) }

// signed is the ticket, signed by anybody for any account.
func (v *visit) signed(by *seal.Ring, id account.ID) string {
	v.w.t.Helper()
	text, err := v.ticket.Issue(by, id)
	must(v.w.t, err)
	return reveal(text)
}

// tickets has the site's ticket keys.
func (w *world) tickets() *seal.Ring {
	w.t.Helper()
	cfg, err := app.Load(w.Path)
	must(w.t, err)
	ring, err := cfg.OpenRing(account.RoleTicket)
	must(w.t, err)
	return ring
}

// strangers are ticket keys of nobody.
func (w *world) strangers() *seal.Ring {
	w.t.Helper()
	file, _, err := seal.NewFile(account.RoleTicket)
	must(w.t, err)
	ring, err := seal.NewRing(map[string][]byte{account.RoleTicket: file})
	must(w.t, err)
	return ring
}

// tryFrom logs in from another address of this host.
func (w *world) tryFrom(addr string, s mailclient.Service, user, password string) mailclient.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	target := w.target(s)
	target.From = addr
	r, err := mailclient.Login(ctx, target, mailclient.MechPlain, user, password)
	must(w.t, err)
	_ = r.Conn.Close()
	return r
}
