package main

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/account"
	"postern/internal/admin"
	"postern/internal/desk"
	"postern/internal/login"
	"postern/internal/policy"
	"postern/internal/web"
)

const perPage = 50 // mailboxes; as many handles fit into an address, too

// adminList shows the mailboxes of a domain.
func (t *turn) adminList() {
	if c := t.looking(); c != nil {
		t.list(c, http.StatusOK, nil)
	}
}

// asked for are mailboxes by the query of the address.
type wanted struct {
	domain, text string
	state        web.AdminState
	page         int
}

func (t *turn) wanted() wanted {
	q := t.r.URL.Query()
	w := wanted{domain: policy.DomainName(q.Get(web.FieldDomain)), text: strings.TrimSpace(q.Get(web.FieldQuery)), state: web.AdminState(q.Get(web.FieldState))}
	w.page, _ = strconv.Atoi(q.Get(web.FieldPage)) // 0: the first
	w.page = min(max(w.page, 1), 1_000_000)
	return w
}

// ofOne is the domain of who has only one.
func (w wanted) ofOne(may *admin.Authority) wanted {
	if w.domain == "" && !may.All && len(may.Domains) == 1 {
		w.domain = may.Domains[0]
	}
	return w
}

// address is that of a page of the list.
func (w wanted) address(t *turn, page int, more ...string) string {
	q := slices.Clone(more)
	for name, v := range map[string]string{web.FieldDomain: w.domain, web.FieldQuery: w.text, web.FieldState: string(w.state)} {
		if v != "" {
			q = append(q, name, v)
		}
	}
	if page > 1 {
		q = append(q, web.FieldPage, strconv.Itoa(page))
	}
	return t.path(web.PathAdmin, q...)
}

// list shows the list that the address asks for.
func (t *turn) list(c *console, status int, p *web.Problem) {
	w := t.wanted().ofOne(&c.may)
	t.token = formToken{}
	found, boxes, err := t.mailboxes(c, w)
	if err != nil {
		t.refuse(c, err)
		return
	}
	page := &web.AdminList{Admin: t.adminOf(c, w.domain, nil, p), Query: w.text, Filter: w.state, Found: found.Found,
		Total: found.Counts.Accounts, With: found.Counts.TwoFactor[desk.TwoFactorOn], MustEnrol: found.Counts.TwoFactor[desk.TwoFactorMustEnrol],
		Main: found.Counts.Main, Page: w.page, Pages: max(1, (found.Found+perPage-1)/perPage), Rows: t.adminRows(found.Accounts, boxes),
		Ticked: t.r.URL.Query().Get(web.FieldAll) == web.Yes}
	page.Address = func(n int) string { return w.address(t, n) }
	if page.Tick = w.address(t, w.page); !page.Ticked {
		page.Tick = w.address(t, w.page, web.FieldAll, web.Yes)
	}
	page.Notice, page.Self = t.notice(), w.address(t, w.page)
	if c.may.All {
		page.Domains = t.domains(w.domain, boxes)
	}
	t.show(status, page)
}

// mailboxes finds what is wanted.
func (t *turn) mailboxes(c *console, w wanted) (desk.Page, *listing, error) {
	boxes := t.listing()
	q := desk.Query{Domain: w.domain, Text: w.text, TwoFactor: string(w.state), GraceOver: w.state == web.StateRequired,
		Offset: (w.page - 1) * perPage, Limit: perPage}
	found, err := t.s.desk.List(t.r.Context(), c.actor(t), boxes, q)
	return found, boxes, err
}

// listing remembers the accounts that a listing goes through: what a row shows besides its
// summary is worked out for the rows of one page only.
type listing struct {
	boxes   desk.Mailboxes
	by      map[account.ID]*account.Account
	domains map[string]bool
}

func (t *turn) listing() *listing {
	return &listing{boxes: t.s.Store, by: make(map[account.ID]*account.Account), domains: make(map[string]bool)}
}

// Mailboxes implements desk.Mailboxes.
func (l *listing) Mailboxes(ctx context.Context, domain string, f func(*account.Account) error) error {
	return l.boxes.Mailboxes(ctx, domain, func(a *account.Account) error {
		l.by[a.ID] = a
		l.domains[policy.DomainName(a.Domain)] = true
		return f(a)
	})
}

// domains are those to choose from for who has all: that of the list, those in it, and
// those that have a policy.
func (t *turn) domains(looked string, boxes *listing) []string {
	all := maps.Clone(boxes.domains)
	all[looked] = true
	if list, err := t.s.policies().List(t.r.Context()); err == nil { // else there are fewer to choose from
		for _, l := range list {
			if l.Level.Kind == policy.LevelDomain {
				all[l.Level.Name] = true
			}
		}
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

func (t *turn) adminRows(list []desk.Summary, boxes *listing) []web.AdminRow {
	rows := make([]web.AdminRow, 0, len(list))
	for i := range list {
		s, a := &list[i], boxes.by[list[i].ID]
		row := web.AdminRow{Handle: handle(s.ID), Name: s.Name, AdminStanding: t.standing(a, s), Apps: s.AppPasswords, Seen: lastSeen(a),
			Methods: web.AdminMethods{Authenticators: s.Authenticators, Passkeys: s.Passkeys, Plugins: s.PluginFactors, Codes: s.BackupCodes}}
		for _, u := range s.MainUses {
			if u.At.After(row.Main) {
				row.Main = u.At
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// standing is how an account stands.
func (t *turn) standing(a *account.Account, s *desk.Summary) web.AdminStanding {
	now := t.s.now()
	st := web.AdminStanding{State: web.AdminState(s.TwoFactor), Disabled: a.Status == account.Disabled, Locked: a.Status == account.BindLocked, Class: s.Class}
	if end := login.GraceEnds(a, s.Policy, now); s.TwoFactor == desk.TwoFactorRequired && now.Before(end) {
		st.State, st.Until = web.StateGrace, end
	}
	if b := a.State.Bypass; b.Open(now) {
		st.Bypass = b.Until
	}
	return st
}

// lastSeen is the last sign-in at webmail that the records of an account tell of.
func lastSeen(a *account.Account) time.Time {
	var last time.Time
	records, _ := a.Records(account.KindSession) // what cannot be read tells nothing
	for i := range records {
		for _, at := range []time.Time{records[i].Created, records[i].Used.At} {
			if at.After(last) {
				last = at
			}
		}
	}
	return last
}

var handles32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// handle is a short name of an account, by its key: addresses of pages have many, and
// none is of a person.
func handle(id account.ID) string {
	sum := sha256.Sum256([]byte(id))
	return handles32.EncodeToString(sum[:10])
}
