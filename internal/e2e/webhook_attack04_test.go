package e2e

import (
	"sync"
	"testing"

	"postern/internal/factor"
	"postern/internal/hooktest"
	"postern/internal/mailtest"
)

// clients is how many come at the same moment in the tests of races.
const clients = 24

// race lets all do something at the same moment, each with its number.
func race(do func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(clients)
	for i := range clients {
		done.Go(func() {
			ready.Done()
			<-start
			do(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// raced are many logins with one code, exchanged at the same moment at two daemons.
func (h *hooked) raced(user, method, code string) (granted int, reasons map[string]int) {
	h.t.Helper()
	pages, codes := make([]*pageOf, clients), make([]string, clients)
	for i := range clients {
		pages[i] = h.mustBegin(i%2, user)
		codes[i] = pages[i].mustAnswer(method, code) // the page spends nothing
	}
	var mu sync.Mutex
	reasons = map[string]int{}
	race(func(i int) {
		a, err := h.exchange(i%2, pages[i].transaction, codes[i])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			h.t.Error(err)
		case a.Result == "granted":
			granted++
		default:
			reasons[a.Result+" "+a.Message]++
		}
	})
	return granted, reasons
}

// ATTACKS 4: one code in many logins at two webhooks at the same moment opens one
// session, and all others are told that it was used.
func TestAttack04_OneCodeAtTwoWebhooks(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, app := h.withFactor()
	code := app.next(t)
	granted, others := h.raced(user, "totp", code)
	if granted != 1 || len(others) != 1 || len(h.sessions(user)) != 1 {
		t.Errorf("%d sessions were granted, %d are there; the others: %v", granted, len(h.sessions(user)), others)
	}
	for node := range h.hooks {
		if _, status, err := h.mustBegin(node, user).answer("totp", code); err != nil || status != 422 {
			t.Errorf("webhook %d answers %d to a used code, %v", node, status, err)
		}
	}
	if n := h.failures(user); n != 0 {
		t.Errorf("a used code counts as %d wrong ones", n)
	}
}

// ATTACKS 5: the same for a backup code.
func TestAttack05_OneBackupCodeAtTwoWebhooks(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, _ := h.withFactor()
	codes := h.backupCodes(user)
	granted, others := h.raced(user, "backup", codes[0])
	if granted != 1 || len(others) != 1 || len(h.sessions(user)) != 1 {
		t.Errorf("%d sessions were granted, %d are there; the others: %v", granted, len(h.sessions(user)), others)
	}
	view, err := h.desk.Overview(t.Context(), user)
	if err != nil || view.Backup.Left != 9 {
		t.Errorf("%d codes are left, %v", view.Backup.Left, err)
	}
	if _, status, err := h.mustBegin(1, user).answer("backup", codes[0]); err != nil || status != 422 {
		t.Errorf("status %d, %v", status, err)
	}
	h.mustBegin(1, user).mustAnswer("backup", codes[1])
}

// backupCodes makes a user's backup codes.
func (h *hooked) backupCodes(user string) []string {
	h.t.Helper()
	made, err := factor.NewBackupFactor(2).NewCodes(h.t.Context())
	must(h.t, err)
	_, err = h.desk.NewBackupCodes(h.t.Context(), admin, user, made.Body)
	must(h.t, err)
	var codes []string
	for _, c := range made.Codes {
		codes = append(codes, reveal(c))
	}
	return codes
}

// ATTACKS 3, 4: one login exchanged many times at two webhooks at the same moment is
// one session, and every answer gives it.
func TestAttack03_OneExchangeManyTimes(t *testing.T) {
	mailtest.Long(t)
	h := twoWebhooks(t)
	user, app := h.withFactor()
	p := h.mustBegin(0, user)
	code := p.mustAnswer("totp", app.next(t))
	grants := make([]string, clients)
	race(func(i int) {
		a, err := h.exchange(i%2, p.transaction, code)
		if err != nil || a.Result != "granted" {
			t.Errorf("%s, %v", a.Raw, err)
			return
		}
		grants[i] = a.Grant
	})
	if n := len(h.sessions(user)); n != 1 {
		t.Fatalf("%d sessions", n)
	}
	// One end ends what every answer gave.
	h.call(1, "logout", "ended", hooktest.Fields{"grant": grants[0]})
	for i, g := range grants {
		if a := h.call(i%2, "renew", "denied", hooktest.Fields{"grant": g}); a.Ticket != "" {
			t.Errorf("%s", a.Raw)
		}
	}
	h.wantExchange(0, "denied", p.transaction, code) // and begins nothing anew
}

// wantExchange exchanges and complains about another result.
func (h *hooked) wantExchange(node int, result, transaction, code string) {
	h.t.Helper()
	a, err := h.exchange(node, transaction, code)
	must(h.t, err)
	if a.Result != result || result == "denied" && (a.Ticket != "" || a.Grant != "") {
		h.t.Errorf("exchange: %s, want %s", a.Raw, result)
	}
}
