package main

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"postern/internal/account"
	"postern/internal/app"
	"postern/internal/desk"
	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/session"
	"postern/ldapstore"
)

// present is what explain needs to say what holds now.
type present struct {
	cfg   *app.Config
	store *ldapstore.Store
	dry   *login.DryRun
	err   error // why there is no answer
}

// now opens directory and keys, if a user was named.
func (c *ctl) now(e *explanation) (*present, error) {
	n := &present{cfg: e.cfg}
	if e.user == "" {
		return n, nil
	}
	store, ring, err := e.cfg.OpenStore(account.RoleDoor)
	if err != nil {
		return nil, err
	}
	settings, err := e.cfg.LoginSettings()
	if err != nil {
		store.Close()
		return nil, err
	}
	n.store = store
	n.dry = login.NewDryRun(login.Parts{Store: store, Prover: ring, Tickets: ring, Now: time.Now}, settings)
	c.closers = append(c.closers, store.Close, func() { n.dry.Close(context.Background()) })
	return n, nil
}

// find reads the account.
func (n *present) find(ctx context.Context, e *explanation) error {
	if n.store == nil {
		return nil
	}
	e.account, n.err = n.store.Find(ctx, e.user)
	return n.err
}

// holding is what holds now.
type holding struct {
	summary  desk.Summary
	bypass   *desk.Bypass
	off      bool
	observed time.Time // until when; zero: not
	service  account.Service
	from     netip.Addr
	would    []would
}

// would is what one right credential would get.
type would struct {
	what, name, id string
	scope          string
	used           account.Use
	decision       login.Decision
}

// holds asks about the service and address that were named, or else of the newest
// refusal. nil: no user was named, or there is none.
func (n *present) holds(ctx context.Context, e *explanation, events []effect.Event) *holding {
	a := e.account
	if a == nil {
		return nil
	}
	now := time.Now()
	o := desk.OverviewOf(a, now)
	h := &holding{summary: o.Summary, bypass: o.Bypass, off: a.SwitchedOff, service: e.service, from: e.from}
	if until, ok := n.cfg.Login.Observe[a.Domain]; ok && now.Before(until) {
		h.observed = until
	}
	if len(events) > 0 {
		h.service = cmp.Or(h.service, events[0].Service)
		if !h.from.IsValid() {
			h.from = events[0].Client
		}
	}
	h.service = cmp.Or(h.service, account.IMAP)
	try := login.Attempt{User: e.user, Service: h.service, Client: h.from}
	h.would = append(h.would, would{what: "main password", decision: n.dry.Main(ctx, try)})
	for i := range o.AppPasswords {
		p := &o.AppPasswords[i]
		d, _ := n.dry.App(try, a, p.ID)
		h.would = append(h.would, would{"app password", p.Name, p.ID, "for " + joined(p.Services, "nothing") + " from " + joined(p.Networks, "anywhere"), p.Used, d})
	}
	for i := range o.Sessions {
		s := &o.Sessions[i]
		t := session.Ticket{Session: s.ID, Services: n.cfg.TicketServices()}
		h.would = append(h.would, would{"webmail ticket", s.Client, s.ID, "for " + joined(t.Services, "nothing") + " from webmail", s.Used, n.dry.Ticket(ctx, try, a, t)})
	}
	return h
}

// printExplanation prints both parts.
func (c *ctl) printExplanation(events []effect.Event, h *holding) error {
	all := []object{}
	var lines []string
	for i := range events {
		o, text := refusal(&events[i])
		all, lines = append(all, o), append(lines, text...)
	}
	o := object{"logins": all}
	if h == nil {
		return c.print(o, lines...)
	}
	now, text := h.tell()
	o["now"] = now
	header, rows := h.rows()
	return errors.Join(c.print(o, append(lines, text...)...), c.tableAfter(header, rows))
}

// tableAfter is a table below other lines; JSON has it already.
func (c *ctl) tableAfter(header string, rows [][]string) error {
	if c.json {
		return nil
	}
	return c.table(nil, header, rows)
}

// refusal is one login in JSON and in words.
func refusal(e *effect.Event) (object, []string) {
	text, do := meaning(login.Reason(e.Reason), e.Detail)
	o := object{"time": stamp(e.Time), "action": e.Action, "outcome": e.Outcome, "user": e.User, "service": e.Service,
		"reason": e.Reason, "meaning": text, "to_do": do}
	line := when(e.Time, "") + " " + orUnknown(e.User) + " " + cmp.Or(string(e.Service), "?")
	if e.Client.IsValid() {
		o["address"] = e.Client
		line += " from " + e.Client.String()
	}
	lines := []string{line + ": " + e.Outcome + " " + e.Reason}
	for _, p := range [][3]string{{"client", "client", e.Agent}, {"session", "session", e.Session}, {"credential", "credential", e.Credential},
		{"detail", "detail", e.Detail}, {"", "means", text}, {"", "to do", do}} {
		if p[2] == "" {
			continue
		}
		if p[0] != "" {
			o[p[0]] = p[2]
		}
		lines = append(lines, "  "+p[1]+": "+p[2])
	}
	return o, append(lines, "")
}

// meaning are the words for a reason.
func meaning(r login.Reason, detail string) (text, do string) {
	if r == "" {
		return "Let in.", "Nothing."
	}
	m, ok := r.Meaning()
	if !ok {
		return "This version does not know the reason.", "Use the posternctl of the daemons' version."
	}
	if limit := login.LimitMeaning(limitOf(detail)); limit != "" && r == login.Throttled {
		m.Text += " The limit: " + limit + "."
	}
	return m.Text, m.Do
}
