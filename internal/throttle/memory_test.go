package throttle_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/throttle"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func newClock() *clock                { return &clock{time.Unix(1_800_000_000, 0)} }
func (c *clock) now() time.Time       { return c.t }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }
func addr(s string) netip.Addr        { return netip.MustParseAddr(s) }
func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{203, byte(n >> 16), byte(n >> 8), byte(n)})
}
func from(a netip.Addr, secret uint32) login.Try {
	return login.Try{Account: "id-alice", Name: "alice@example.test", Client: a, Secret: secret}
}

var (
	ctx  = context.Background()
	home = addr("198.51.100.7")
)

// outcome is what became of one whole login with a main password.
type outcome struct {
	refused string // by which limit
	wait    time.Duration
}

// attempt plays the part of the gate for a main password.
func attempt(th login.Throttle, t login.Try, right bool) (o outcome) {
	a := th.Prefix(ctx, t)
	if a.Refuse {
		return outcome{refused: a.Limit}
	}
	b := th.Account(ctx, t)
	if b.Refuse {
		return outcome{refused: b.Limit}
	}
	if right {
		th.Right(ctx, t)
	} else {
		th.Wrong(ctx, t, true)
	}
	return outcome{wait: max(a.Wait, b.Wait)}
}

// app plays the part of the gate for an app password.
func app(th login.Throttle, t login.Try, right bool) (o outcome) {
	a := th.Prefix(ctx, t)
	switch {
	case a.Refuse:
		return outcome{refused: a.Limit}
	case right:
		th.Right(ctx, t)
	default:
		th.Wrong(ctx, t, false)
	}
	return outcome{wait: a.Wait}
}

func (o outcome) String() string {
	if o.refused != "" {
		return "refused: " + o.refused
	}
	return o.wait.String()
}

func expect(t *testing.T, what string, got outcome, want string) {
	t.Helper()
	if got.String() != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestPrefixIsFreeThenWaitsThenRefused(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for i := range 40 {
		// Each try at another account: a sprayer.
		try := login.Try{Account: account.ID(fmt.Sprint("id", i)), Name: fmt.Sprint("u", i), Client: home, Secret: 7}
		want := "0s"
		switch {
		case i >= 30:
			want = "refused: prefix"
		case i >= 10:
			want = min(time.Second<<(i-10), 8*time.Second).String()
		}
		expect(t, fmt.Sprintf("try %d", i+1), attempt(m, try, false), want)
		c.pass(time.Second)
	}
	other := login.Try{Account: "id0", Name: "u0", Client: addr("198.51.100.8"), Secret: 8}
	expect(t, "the address beside", attempt(m, other, true), "0s")
	c.pass(4 * time.Hour) // two half-lives: 7.5 left
	expect(t, "later", attempt(m, from(home, 1), false), "0s")
}

func TestIPv6IsCountedBy64And48(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	spray := func(i int, client string) outcome {
		return attempt(m, login.Try{Account: account.ID(fmt.Sprint("id", i)), Client: addr(client), Secret: uint32(i)}, false)
	}
	for i := range 30 { // one host with many addresses
		spray(i, fmt.Sprintf("2001:db8:1:1::%x", i+1))
	}
	expect(t, "another address of the /64", spray(100, "2001:db8:1:1:ffff::1"), "refused: prefix")
	expect(t, "another /64 of the /48", spray(101, "2001:db8:1:2::1"), "1s") // 30 are free for a /48
	for i := range 80 {                                                      // one site with many /64
		spray(200+i, fmt.Sprintf("2001:db8:1:%x::1", 1000+i))
	}
	expect(t, "a fresh /64 of the /48", spray(300, "2001:db8:1:f::1"), "refused: prefix")
	expect(t, "another /48", spray(301, "2001:db8:2:f::1"), "0s")
}

func TestMappedAndZonedAddressesAreTheSame(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for i := range 30 {
		m.Wrong(ctx, login.Try{Name: fmt.Sprint(i), Client: home, Secret: 1}, false)
		m.Wrong(ctx, login.Try{Name: fmt.Sprint(i), Client: addr("fe80::1%eth0"), Secret: 2}, false)
	}
	for _, a := range []string{"::ffff:198.51.100.7", "fe80::2%eth1"} {
		if got := m.Prefix(ctx, login.Try{Client: addr(a)}); !got.Refuse {
			t.Errorf("%s: %+v", a, got)
		}
	}
}

func TestAccountWaitsThenRefusesStrangers(t *testing.T) {
	c := newClock()
	s := throttle.Default()
	s.BindCap = 100
	m := throttle.New(s, c.now)
	for i := range 20 {
		want := "0s"
		switch {
		case i >= 6:
			want = "2s"
		case i >= 5:
			want = "1s"
		}
		expect(t, fmt.Sprintf("guess %d", i+1), attempt(m, from(address(i/4), uint32(i+1)), false), want)
	}
	expect(t, "an address that guessed", attempt(m, from(address(0), 99), false), "refused: account")
	expect(t, "a fresh address", attempt(m, from(home, 100), true), "2s")
	for i := range 10 {
		attempt(m, from(address(1000+i), uint32(1000+i)), false)
	}
	expect(t, "a fresh address, later", attempt(m, from(addr("192.0.2.1"), 101), true), "refused: account")
	expect(t, "an app password", app(m, from(addr("192.0.2.1"), 102), true), "0s")
	expect(t, "known-good by the app password", attempt(m, from(addr("192.0.2.1"), 103), true), "0s")
}

func TestAttack07_SuccessDoesNotResetTheAccount(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	guesses := 0
	for i := range 24 * 60 {
		if attempt(m, from(address(i%50), uint32(i+1)), false).refused == "" {
			guesses++
		}
		expect(t, "the owner", attempt(m, from(home, 5), true), "0s")
		c.pass(time.Minute)
		if i == 0 && guesses == 0 {
			t.Fatal("no guess at all")
		}
	}
	if guesses > 200 {
		t.Errorf("%d guesses in a day beside the owner's logins", guesses)
	}
}

func TestKnownGoodIsBounded(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	attempt(m, from(home, 1), true)
	guesses := 0
	for i := range 24 * 60 { // a thief behind the owner's NAT
		if attempt(m, from(home, uint32(i+2)), false).refused == "" {
			guesses++
		}
		c.pass(time.Minute)
	}
	if guesses < 20 || guesses > 110 {
		t.Errorf("%d guesses in a day from a known-good address", guesses)
	}
	if o := attempt(m, login.Try{Account: "id-bob", Client: home, Secret: 1}, true); o.refused != "" || o.wait > time.Second {
		t.Errorf("a newcomer behind the same address: %v", o)
	}
}

func TestKnownGoodEndsAndIsRenewed(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	attempt(m, from(home, 1), true)
	close := func() { // the address, by spraying
		for i := range 40 {
			m.Wrong(ctx, login.Try{Name: fmt.Sprint(c.t.Unix(), i), Client: home, Secret: 1}, false)
		}
	}
	c.pass(29 * 24 * time.Hour)
	close()
	expect(t, "after 29 days", attempt(m, from(home, 1), true), "0s")
	byName := login.Try{Name: "alice@example.test", Client: home}
	if a := m.Prefix(ctx, byName); a.Refuse {
		t.Errorf("by name: %+v", a)
	}
	c.pass(29 * 24 * time.Hour)
	close()
	expect(t, "29 days after that", attempt(m, from(home, 1), true), "0s")
	c.pass(31 * 24 * time.Hour)
	close()
	expect(t, "31 days after that", attempt(m, from(home, 1), true), "refused: prefix")
}

// Where only the name is known yet, the name's own pair is bounded like the
// account's: it counts what was tried for the account by that name.
func TestKnownGoodNameIsBounded(t *testing.T) {
	testKnownGoodName(t, throttle.New(throttle.Default(), newClock().now))
}

func testKnownGoodName(t *testing.T, th login.Throttle) {
	t.Helper()
	th.Right(ctx, from(home, 1))
	for i := range 40 { // somebody closes the address
		th.Wrong(ctx, login.Try{Name: fmt.Sprint("x", i), Client: home, Secret: 1}, false)
	}
	byName := login.Try{Name: "alice@example.test", Client: home}
	if a := th.Prefix(ctx, byName); a.Refuse {
		t.Errorf("before: %+v", a)
	}
	for i := range 20 {
		th.Wrong(ctx, from(home, uint32(i+2)), false)
	}
	if a := th.Prefix(ctx, byName); !a.Refuse {
		t.Errorf("after: %+v", a)
	}
}

// Mistakes of a known-good user are not held against the neighbours.
func TestKnownGoodMistakesStayTheirOwn(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for user := range 10 {
		try := login.Try{Account: account.ID(fmt.Sprint(user)), Client: home, Secret: 1}
		attempt(m, try, true)
		for i := range 5 {
			try.Secret = uint32(i + 2)
			attempt(m, try, false)
			c.pass(11 * time.Minute)
		}
	}
	expect(t, "a new colleague", attempt(m, from(home, 1), true), "0s")
}

func TestBindCap(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	attempt(m, from(home, 1), true)
	for i := range 3 {
		expect(t, "stranger", attempt(m, from(address(i), uint32(i+2)), false), "0s")
	}
	expect(t, "stranger", attempt(m, from(address(9), 9), false), "refused: binds")
	expect(t, "known-good, wrong", attempt(m, from(home, 10), false), "0s")
	expect(t, "known-good, after the cap", attempt(m, from(home, 11), true), "refused: binds")
	c.pass(9 * time.Minute)
	expect(t, "nine minutes later", attempt(m, from(home, 1), true), "refused: binds")
	c.pass(time.Minute)
	expect(t, "ten minutes later", attempt(m, from(home, 1), true), "0s")
}

// The cap holds for tries that all ask before any has an outcome.
func TestBindCapHoldsForTriesAtOnce(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	let := 0
	for i := range 100 {
		if !m.Account(ctx, from(address(i), uint32(i+1))).Refuse {
			let++
		}
	}
	if let != 3 {
		t.Errorf("%d binds at once", let)
	}
	c.pass(10 * time.Second) // none had an outcome: the directory was away
	expect(t, "afterwards", attempt(m, from(home, 200), true), "0s")
}

func TestConnectionsOfOneClientAtOnce(t *testing.T) {
	m := throttle.New(throttle.Default(), newClock().now)
	for range 10 {
		if a := m.Account(ctx, from(home, 1)); a.Refuse {
			t.Fatalf("%+v", a)
		}
	}
}

func TestRepeatedSecretCostsNoBind(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	binds := 0
	for range 100 { // 100 minutes: nine windows and a bit
		if attempt(m, from(home, 5), false).refused == "" {
			binds++
		}
		c.pass(time.Minute)
	}
	if binds > 20 {
		t.Errorf("%d binds with the same wrong password in 100 minutes", binds)
	}
	expect(t, "another device", attempt(m, from(address(1), 6), true), "0s")
}

// Somebody types a password, is refused, sets it by a reset, and types it again.
func TestSecretThatBecomesRight(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	attempt(m, from(home, 5), false)
	c.pass(time.Minute)
	for range 20 {
		expect(t, "after the reset", attempt(m, from(home, 5), true), "0s")
	}
}

func TestSiteOnlyWaits(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	longest := time.Duration(0)
	for i := range 20_000 {
		o := attempt(m, login.Try{Account: account.ID(fmt.Sprint(i)), Client: address(i), Secret: 1}, false)
		if o.refused != "" {
			t.Fatalf("try %d: %v", i, o)
		}
		if i == 499 && o.wait != 0 || i == 500 && o.wait != 100*time.Millisecond {
			t.Errorf("try %d: %v", i, o)
		}
		longest = max(longest, o.wait)
	}
	if longest != 1500*time.Millisecond {
		t.Errorf("the longest wait is %v", longest)
	}
}

func TestLists(t *testing.T) {
	s := throttle.Default()
	s.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:1:1::/64")}
	s.DenyNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25"), netip.MustParsePrefix("2001:db8:bad::/48")}
	m := throttle.New(s, newClock().now)
	for i := range 50 {
		try := login.Try{Account: account.ID(fmt.Sprint(i)), Client: addr("192.0.2.1"), Secret: 1}
		expect(t, "allowed", attempt(m, try, false), "0s")
	}
	m.Right(ctx, from(addr("192.0.2.200"), 1))
	for _, a := range []string{"192.0.2.200", "::ffff:192.0.2.200", "2001:db8:bad::1"} {
		expect(t, a, app(m, from(addr(a), 1), true), "refused: denied")
	}
	for i := range 200 { // an allowed /64 does not close the /48 around it
		m.Wrong(ctx, login.Try{Account: account.ID(fmt.Sprint(i)), Client: addr("2001:db8:1:1::1"), Secret: 1}, false)
	}
	expect(t, "beside an allowed network", app(m, from(addr("2001:db8:1:2::1"), 1), true), "0s")
	expect(t, "no address", app(m, login.Try{Name: "x"}, true), "0s")
}

func TestAttack39_AliasesShareCounters(t *testing.T) {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	for i, name := range []string{"alice@example.test", "a.smith@example.test", "alice@xn--exmple-cua.test"} {
		try := login.Try{Account: "id-alice", Name: name, Client: address(i), Secret: uint32(i + 1)}
		expect(t, name, attempt(m, try, false), "0s")
	}
	fresh := login.Try{Account: "id-alice", Name: "another@alias.test", Client: address(9), Secret: 9}
	expect(t, "a fourth alias", attempt(m, fresh, false), "refused: binds")
	fresh = login.Try{Account: "id-bob", Name: "alice@example.test", Client: address(9), Secret: 9}
	expect(t, "another account by that name", attempt(m, fresh, false), "0s")
}

// Without an account the name counts, so that unknown names look like known ones.
func TestUnknownNamesLikeKnownOnes(t *testing.T) {
	m := throttle.New(throttle.Default(), newClock().now)
	for i := range 6 {
		known := from(address(2*i), uint32(i+1))
		unknown := login.Try{Name: "nobody@example.test", Client: address(2*i + 1), Secret: uint32(i + 1)}
		if a, b := attempt(m, known, false), attempt(m, unknown, false); a != b {
			t.Errorf("try %d: known %v, unknown %v", i, a, b)
		}
	}
}

// A flood of fresh names and addresses does not push out known-good pairs.
func TestFloodForgetsTheRightOnes(t *testing.T) {
	c := newClock()
	s := throttle.Default()
	s.MaxKeys = 20_000
	m := throttle.New(s, c.now)
	const users = 1000
	user := func(i int) login.Try {
		return login.Try{Account: account.ID(fmt.Sprint("user", i)), Client: address(i), Secret: 1}
	}
	for i := range users {
		m.Right(ctx, user(i))
		for j := range 40 { // their addresses and accounts are under attack
			m.Wrong(ctx, login.Try{Account: user(i).Account, Client: address(1<<20 + j), Secret: uint32(j + 2)}, j < 3)
			m.Wrong(ctx, login.Try{Name: fmt.Sprint("x", i, j), Client: address(i), Secret: 1}, false)
		}
	}
	for i := range 200_000 {
		m.Wrong(ctx, login.Try{Name: fmt.Sprint("flood", i), Client: address(1<<21 + i), Secret: 1}, false)
	}
	lost := 0
	for i := range users {
		if attempt(m, user(i), true) != (outcome{}) {
			lost++
		}
	}
	if lost > users/100 {
		t.Errorf("%d of %d known-good pairs were forgotten", lost, users)
	}
}
