package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"postern/internal/mailtest"
)

// rows are all comparisons, in the order of docs/performance.md.
func (w *world) rows() []row {
	var rows []row
	for _, n := range []int{1, 8, 32} {
		rows = append(rows, row{
			name: fmt.Sprintf("checkpassword, c=%d", n), concurrent: n, ours: ourCheck,
			contenders: []contender{w.auth(ourCheck, w.app), w.auth(floorC, w.app), w.auth(askC, w.app), w.auth(floorPy, w.app)},
		})
	}
	for _, n := range []int{1, 8, 32} {
		rows = append(rows, row{
			name: fmt.Sprintf("Lua door, app password, c=%d", n), concurrent: n, ours: ourLua,
			contenders: []contender{w.auth(ourLua, w.app), w.auth(trivialLua, w.app), w.auth(ldapBind, mainPassword), w.auth(ldapArgon, argonPassword)},
		})
	}
	rows = append(rows, row{
		name: "Lua door, main password, c=8", concurrent: 8, ours: ourLua,
		contenders: []contender{w.auth(ourLua, w.mainOnly), w.auth(ldapBind, w.mainOnly)},
	})
	rows = append(rows, row{
		name: "postern.lua alone, c=8", concurrent: 8, ours: ourScript,
		contenders: []contender{w.auth(ourScript, w.app), w.auth(trivialLua, w.app)},
	})
	return slices.Concat(rows, w.imapRows(), w.flatRows(), w.policyRows(), w.webmailRows())
}

// imapRows are whole sessions, from connect to logout.
func (w *world) imapRows() []row {
	return []row{
		{
			name: "IMAP session, checkpassword, c=8", concurrent: 8, ours: ourCheck,
			contenders: []contender{w.imap(ourCheck, w.app), w.imap(floorC, w.app), w.imap(askC, w.app), w.imap(floorPy, w.app)},
		},
		{
			name: "IMAP session, Lua door, c=8", concurrent: 8, ours: ourLua,
			contenders: []contender{w.imap(ourLua, w.app), w.imap(trivialLua, w.app), w.imap(ldapBind, mainPassword)},
		},
		{
			name: "IMAP session, auth policy, c=1", concurrent: 1, ours: ourPolicy,
			contenders: []contender{w.imap(ourPolicy, w.app), w.imap(ourLua, w.app)},
		},
		{
			name: "IMAP session, auth policy, c=8", concurrent: 8, ours: ourPolicy,
			contenders: []contender{w.imap(ourPolicy, w.app), w.imap(ourLua, w.app)},
		},
	}
}

// flatRows compare Postern with itself: the cost must not grow with the directory
// or with the number of an account's app passwords, and be no other for tickets.
func (w *world) flatRows() []row {
	few := w.auth(ourLuaFew, w.smallApp)
	one := w.auth(ourLua, w.app)
	one.name = "1 app password"
	many := w.auth(ourLua, w.manyApps)
	many.name = "50 app passwords"
	ticket := w.auth(ourLua, w.ticketOf)
	ticket.name = "ticket"
	return []row{
		{name: "100,000 users against 1,000, c=8", concurrent: 8, ours: ourLua, contenders: []contender{w.auth(ourLua, w.app), few}},
		{name: "50 app passwords against 1, c=8", concurrent: 8, ours: many.name, contenders: []contender{many, one}},
		{name: "a ticket against an app password, c=8", concurrent: 8, ours: ticket.name, contenders: []contender{ticket, one}},
	}
}

// policyRows are questions of Dovecot's auth policy, over as many connections as a
// busy Dovecot keeps.
func (w *world) policyRows() []row {
	var rows []row
	for _, command := range []string{"allow", "report"} {
		ask := func(name, url, key string) contender {
			return contender{name, func() (session, error) { return openPolicy(url, key, command) }}
		}
		rows = append(rows, row{
			name: "auth policy, " + command + ", c=32", concurrent: 32, ours: "policyserver", unit: "requests/s",
			contenders: []contender{ask("policyserver", w.big.URL(), w.big.Key), ask(trivialPolicy, w.trivialURL, "none")},
		})
	}
	return rows
}

// auth measures a Dovecot's auth service.
func (w *world) auth(name string, creds credentials) contender {
	if w.dovecots[name] == nil {
		return contender{name: name}
	}
	socket := filepath.Join(w.dovecots[name].Dir, "run", "auth-client")
	return contender{name, func() (session, error) { return openAuth(socket, creds) }}
}

// imap measures a Dovecot's IMAP service.
func (w *world) imap(name string, creds credentials) contender {
	if w.dovecots[name] == nil {
		return contender{name: name}
	}
	address := "127.0.0.1:" + strconv.Itoa(w.dovecots[name].IMAP)
	return contender{name, func() (session, error) { return imapSession{address, creds}, nil }}
}

// app is an account of the larger site with its app password.
func (w *world) app(account int) (user, password string) { return w.appOf(w.big, account%accounts) }

func (w *world) smallApp(account int) (user, password string) {
	return w.appOf(w.small, account%accounts)
}

// manyApps is the account with many app passwords.
func (w *world) manyApps(int) (user, password string) { return w.appOf(w.big, accounts) }

func (w *world) appOf(s *mailtest.Site, account int) (user, password string) {
	user = mailtest.BulkUser(account)
	return user, w.apps[appKey(s, user)]
}

// mainOnly are accounts that have no app password, with their main password.
func (w *world) mainOnly(account int) (user, password string) {
	return mailtest.BulkUser(1000 + account%accounts), mailtest.Password
}

func mainPassword(account int) (user, password string) {
	return mailtest.BulkUser(account % accounts), mailtest.Password
}

func argonPassword(int) (user, password string) { return hashed, mailtest.Password }
