package e2e

import (
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/effect"
	"postern/internal/login"
	"postern/internal/mailtest"
)

// The attributes of an account's records.
const (
	stateAttr = "posternState"
	totpAttr  = "posternTotp"
	appAttr   = "posternAppPassword"
	classAttr = "objectClass"
)

// damage is what somebody who may write the directory does to an enrolled account,
// whose first state, without a factor, he has kept. neighbour has no factor.
var damage = map[string]func(w *world, user, neighbour string, first []byte){
	"state deleted":        func(w *world, user, _ string, _ []byte) { w.put(user, stateAttr) },
	"factor deleted":       func(w *world, user, _ string, _ []byte) { w.put(user, totpAttr) },
	"app password deleted": func(w *world, user, _ string, _ []byte) { w.put(user, appAttr) },
	"all but app deleted":  func(w *world, user, _ string, _ []byte) { w.put(user, stateAttr); w.put(user, totpAttr) },
	"state of before":      func(w *world, user, _ string, first []byte) { w.put(user, stateAttr, first) },
	"state before, no factor": func(w *world, user, _ string, first []byte) {
		w.put(user, totpAttr)
		w.put(user, appAttr)
		w.put(user, stateAttr, first)
	},
	"neighbour's state": func(w *world, user, neighbour string, _ []byte) {
		w.put(user, stateAttr, w.values(neighbour, stateAttr)...)
	},
	"neighbour's everything": func(w *world, user, neighbour string, _ []byte) {
		w.put(user, totpAttr)
		w.put(user, appAttr, w.values(neighbour, appAttr)...)
		w.put(user, stateAttr, w.values(neighbour, stateAttr)...)
	},
	"neighbour's app password added": func(w *world, user, neighbour string, _ []byte) {
		w.put(user, appAttr, append(w.values(user, appAttr), w.values(neighbour, appAttr)...)...)
	},
	"state edited": func(w *world, user, _ string, _ []byte) {
		w.put(user, stateAttr, flipped(w.values(user, stateAttr)[0]))
	},
	"state cut":        func(w *world, user, _ string, _ []byte) { w.put(user, stateAttr, w.values(user, stateAttr)[0][:20]) },
	"state is rubbish": func(w *world, user, _ string, _ []byte) { w.put(user, stateAttr, []byte("enrolled=false")) },
	"factor edited":    func(w *world, user, _ string, _ []byte) { w.put(user, totpAttr, flipped(w.values(user, totpAttr)[0])) },
	"factor doubled": func(w *world, user, _ string, _ []byte) {
		v := w.values(user, totpAttr)[0]
		w.put(user, totpAttr, v, flipped(v))
	},
}

// genuine is the damage that leaves an app password whose own record and state are
// what Postern wrote: it goes on.
var genuine = []string{"factor doubled", "factor deleted", "state of before", "neighbour's app password added"}

// intact is the damage that changes no more than a sealed value which nobody reads:
// the main password stays refused, but there is nothing to notice.
var intact = []string{"factor edited"}

// TestAttack20_Damage: 2FA cannot be taken away by taking, editing or copying
// values (ATTACKS 20 to 22), and it is noticed.
func TestAttack20_Damage(t *testing.T) {
	t.Parallel()
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shared(t, doors[1])
			user, neighbour := w.user("main password"), w.user("main password")
			app := reveal(w.app(user).Password)
			w.app(neighbour)
			first := w.values(user, stateAttr)[0]
			w.twoFactor(user)
			w.wantDenied(user, "main password", login.AppPasswordRequired)
			began := w.now()
			do(w, user, neighbour, first)
			w.wantDenied(user, "main password", login.AppPasswordRequired)
			if slices.Contains(intact, name) {
				return
			}
			if e := w.last(began, user, effect.Damage); e.Outcome != "alarm" {
				t.Errorf("no alarm: %+v", e)
			}
			if v := w.ask(user, app); (v.word == "granted") != slices.Contains(genuine, name) {
				t.Errorf("app password: %q", v.line)
			}
		})
	}
}

// TestAttack21_CopiedAppPassword: a record that was copied to another account, or
// edited, opens nothing there.
func TestAttack21_CopiedAppPassword(t *testing.T) {
	t.Parallel()
	w := shared(t, doors[1])
	victim, thief := w.user("main password"), w.user("main password")
	app := reveal(w.app(thief).Password)
	w.app(victim)
	w.put(victim, appAttr, append(w.values(victim, appAttr), w.values(thief, appAttr)...)...)
	w.wantDenied(victim, app, login.Damaged)
	edited := w.user("main password")
	app = reveal(w.app(edited).Password)
	w.put(edited, appAttr, flipped(w.values(edited, appAttr)[0]))
	w.wantDenied(edited, app, login.Damaged)
}

// TestAttack22_RubbishIsNoEmptyAccount: what cannot be read never means "without a
// factor", not even for somebody who never had one.
func TestAttack22_RubbishIsNoEmptyAccount(t *testing.T) {
	t.Parallel()
	for name, value := range map[string][]byte{"blank": []byte(" "), "zero": {0}, "version 255": {255, 1, 2, 3}, "long": make([]byte, 4096)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shared(t, doors[1])
			user := w.user("main password")
			w.put(user, classAttr, []byte("inetOrgPerson"), []byte("posternAccount"))
			w.put(user, stateAttr, value)
			w.wantDenied(user, "main password", login.AppPasswordRequired)
		})
	}
}

// TestAttack23_AdministrativeLock: ppolicy's administrative lock stops app
// passwords; shadowExpire is in the matrix.
func TestAttack23_AdministrativeLock(t *testing.T) {
	t.Parallel()
	w := shared(t, doors[1])
	user := w.user("main password")
	app := reveal(w.app(user).Password)
	if v := w.ask(user, app); v.word != "granted" {
		t.Fatalf("before: %q", v.line)
	}
	w.put(user, "pwdAccountLockedTime", []byte("000001010000Z"))
	w.wantDenied(user, app, login.AccountDisabled)
	w.wantDenied(user, "main password", login.AccountDisabled)
	w.put(user, "pwdAccountLockedTime")
	if v := w.ask(user, app); v.word != "granted" {
		t.Errorf("after: %q", v.line)
	}
}

// wantDenied asks /verify and complains about anything but this refusal.
func (w *world) wantDenied(user, password string, want login.Reason) {
	w.t.Helper()
	began := w.now()
	if v := w.ask(user, password); v.word != "denied" {
		w.t.Errorf("%q, want denied", v.line)
	}
	w.wantReason(began, user, want)
}

// values are an attribute's values.
func (w *world) values(user, attr string) [][]byte {
	w.t.Helper()
	all, err := w.Slapd.Dump(user)
	must(w.t, err)
	if len(all[attr]) == 0 {
		w.t.Fatalf("%s has no %s", user, attr)
	}
	return all[attr]
}

// put replaces an attribute's values as the directory's root, whom no rule stops,
// over a connection of its own: Site's is for one test at a time.
func (w *world) put(user, attr string, values ...[]byte) {
	w.t.Helper()
	c, err := w.Slapd.Dial(mailtest.RootDN, mailtest.Password)
	must(w.t, err)
	defer func() { _ = c.Close() }()
	req := ldap.NewModifyRequest(mailtest.UserDN(user), nil)
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = string(v)
	}
	req.Replace(attr, text)
	must(w.t, c.Modify(req))
}

// flipped is a copy with the last byte changed.
func flipped(b []byte) []byte {
	c := slices.Clone(b)
	c[len(c)-1] ^= 1
	return c
}
