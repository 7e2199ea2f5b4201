package throttle_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/account"
	"postern/internal/login"
	"postern/internal/throttle"
)

var update = flag.Bool("update", false, "simulate the largest botnet too, and write simulation.md")

// attack is one row of the simulation: bots know the limits, never repeat a
// secret, go on as soon as they may and ask again when they were refused.
type attack struct {
	bots, accounts int
	poll           int // seconds until a refused bot tries again

	most int // guesses in the day that must not be exceeded
}

// result is what it came to.
type result struct {
	attack
	guesses int // that were checked
	reached int // accounts that were guessed at
	worst   int // guesses at the account with most of them

	owner   int   // logins of the owner from known addresses that did not go through at once
	abroad  []int // minutes until the owner is in from an address never seen, one a half hour
	refused int   // of those, how many never got in within the half hour
}

const day = 24 * 60 * 60

func (a attack) run() result {
	c := newClock()
	m := throttle.New(throttle.Default(), c.now)
	rng := rand.New(rand.NewPCG(uint64(a.bots), uint64(a.accounts)))
	res := result{attack: a}
	per := make([]int, a.accounts)
	due := make([][]int32, day) // bots by the second of their next try
	for b := range a.bots {
		at := rng.IntN(60)
		due[at] = append(due[at], int32(b))
	}
	m.Right(ctx, target(0, home, 1))
	secret := uint32(1000)
	for now := range day {
		for _, b := range due[now] {
			secret++
			who := rng.IntN(a.accounts)
			o := attempt(m, target(who, address(int(b)), secret), false)
			next := now + 1 + int(o.wait/time.Second)
			if o.refused == "" {
				per[who]++
			} else {
				next = now + a.poll
			}
			if next < day {
				due[next] = append(due[next], b)
			}
		}
		if now%60 == 30 {
			res.live(m, now/60)
		}
		due[now] = nil
		c.pass(time.Second)
	}
	res.count(per)
	return res
}

// target is a try at the n-th account.
func target(n int, client netip.Addr, secret uint32) login.Try {
	return login.Try{Account: account.ID(fmt.Sprint("id", n)), Client: client, Secret: secret}
}

// live is a minute of the owner's: a phone at home, and a journey with a new address
// each half hour, where the main password is tried once a minute.
func (r *result) live(m login.Throttle, minute int) {
	if o := attempt(m, target(0, home, 1), true); o != (outcome{}) {
		r.owner++
	}
	since := minute % 30
	leg := minute / 30
	switch {
	case len(r.abroad)+r.refused > leg: // in already
	case attempt(m, target(0, address(1<<20+leg), 1), true).refused == "":
		r.abroad = append(r.abroad, since)
	case since == 29:
		r.refused++
	}
}

func (r *result) count(per []int) {
	for _, n := range per {
		r.guesses += n
		r.worst = max(r.worst, n)
		if n > 0 {
			r.reached++
		}
	}
	slices.Sort(r.abroad)
}

func (r *result) row() string {
	median := "never"
	if i := 24; i < len(r.abroad) {
		median = fmt.Sprintf("%d min", r.abroad[i])
	}
	return fmt.Sprintf("| %d | %d | %d | %.1f | %d | %d | %s | %d of 48 |",
		r.bots, r.accounts, r.guesses, float64(r.guesses)/float64(r.accounts), r.worst, r.owner, median, r.refused)
}

const tableHead = `| addresses | accounts | guesses | per account | most at one | owner held up, known address | owner in, new address (median) | new address, not within 30 min |
|---|---|---|---|---|---|---|---|
`

// What a botnet achieves in a day with the default settings, and what the owner of
// an account under attack sees of it.
func TestSimulation(t *testing.T) {
	var table strings.Builder
	table.WriteString(tableHead)
	attacks := []attack{
		{bots: 50, accounts: 1, poll: 60, most: 200},
		{bots: 5000, accounts: 1, poll: 300, most: 200},
		{bots: 50, accounts: 10_000, poll: 60, most: 15_000},
		{bots: 500, accounts: 1000, poll: 300, most: 150_000}, // the next one in small
		{bots: 5000, accounts: 10_000, poll: 300, most: 1_500_000},
	}
	switch {
	case testing.Short():
		attacks = attacks[:2]
	case !*update:
		attacks = attacks[:4] // the last takes minutes under the race detector
	}
	for _, a := range attacks {
		r := a.run()
		table.WriteString(r.row() + "\n")
		if r.guesses > a.most {
			t.Errorf("%d addresses, %d accounts: %d guesses, at most %d are allowed", a.bots, a.accounts, r.guesses, a.most)
		}
		if r.worst > 200 {
			t.Errorf("%d addresses, %d accounts: %d guesses at one account", a.bots, a.accounts, r.worst)
		}
		if r.owner != 0 {
			t.Errorf("%d addresses, %d accounts: the owner's known address was held up %d times", a.bots, a.accounts, r.owner)
		}
		if a.bots == 50 && r.refused > 12 {
			t.Errorf("%d addresses keep the owner out: %d of 48 journeys", a.bots, r.refused)
		}
	}
	t.Log("\n" + table.String())
	if *update {
		if err := os.WriteFile("simulation.md", []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
