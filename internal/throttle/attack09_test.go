package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/throttle"
)

// ATTACKS 9: a phone retries an old password every minute for two days. Its
// address is never refused nor slowed, and neighbours log in at full speed: some
// who always do, some for the first time.
func TestAttack09_PhoneWithAnOldPassword(t *testing.T) {
	for name, main := range map[string]bool{"main password": true, "app password": false} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/known-good=%v", name, known), func(t *testing.T) {
				c := newClock()
				m := throttle.New(throttle.Default(), c.now)
				if known {
					m.Right(ctx, from(home, 1))
				}
				for i := range 2 * 24 * 60 {
					phone(t, m, main)
					neighbours(t, m, i)
					c.pass(time.Minute)
				}
			})
		}
	}
}

func phone(t *testing.T, m login.Throttle, main bool) {
	t.Helper()
	try := from(home, 5)
	if a := m.Prefix(ctx, try); a != (login.Advice{}) {
		t.Fatalf("the phone's address: %+v", a)
	}
	if main {
		switch a := m.Account(ctx, try); {
		case a.Refuse && a.Limit == throttle.LimitRepeat:
			return // not asked again; the phone hears "wrong" as before
		case a != (login.Advice{}):
			t.Fatalf("the phone: %+v", a)
		}
	}
	m.Wrong(ctx, try, main)
}

func neighbours(t *testing.T, m login.Throttle, minute int) {
	t.Helper()
	for _, who := range []string{"id-bob", fmt.Sprint("id-new", minute)} {
		try := login.Try{Account: account.ID(who), Name: who, Client: home, Secret: 77}
		if o := attempt(m, try, true); o != (outcome{}) {
			t.Fatalf("%s in minute %d: %v", who, minute, o)
		}
	}
	if o := attempt(m, from(home, 78), true); o != (outcome{}) {
		t.Fatalf("the owner's new password in minute %d: %v", minute, o)
	}
}

// The same holds while strangers guess at the account's app passwords and push over
// what the account remembers.
func TestAttack09_WhileStrangersGuess(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for i := range 24 * 60 {
		phone(t, m, false)
		for j := range 10 {
			m.Wrong(ctx, from(address(10*i+j), uint32(1000+10*i+j)), false)
		}
		neighbours(t, m, i)
		c.pass(time.Minute)
	}
}

// Five devices with an old password each.
func TestAttack09_SeveralDevices(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for i := range 24 * 60 {
		for device := range 4 {
			m.Wrong(ctx, from(home, uint32(100+device)), false)
		}
		neighbours(t, m, i)
		c.pass(time.Minute)
	}
}

// A phone on the road retries an old password from one address after another.
func TestAttack09_RoamingPhone(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for i := range 24 * 60 {
		m.Wrong(ctx, from(address(i/10), 5), i%2 == 0)
		c.pass(time.Minute)
	}
	c.pass(10 * time.Minute) // for the binds
	expect(t, "the owner at a new address", attempt(m, from(address(9999), 6), true), "0s")
	for i := range 4 { // the account's score is 1 at most
		m.Wrong(ctx, from(address(9000+i), uint32(100+i)), false)
	}
	expect(t, "and at the last one", attempt(m, from(address(143), 6), true), "0s")
}
