package throttle

// slots is how many secrets an account remembers: a record with its key is then one
// cache line of 64 bytes.
const slots = 5

// flightTime is after how many seconds a bind without an outcome counts as never
// made. Decisions end sooner.
const flightTime = 10

// slot is a secret tried for an account.
type slot struct {
	Secret uint32
	Flight uint32 // when its bind was reserved, 0: none is in flight
}

// guard is what is counted for one account: its score, and the binds that the
// directory has seen fail. Slots are ordered, the latest first.
type guard struct {
	counter
	Last  uint32 // when a bind failed last
	Binds uint8  // binds failed since a whole window passed without one
	Wrong uint8  // bit i: the secret of slot i is wrong
	_     [2]byte
	Slots [slots]slot
}

// verdict is what reserve says about a bind.
type verdict uint8

const (
	bindFree   verdict = iota
	bindCapped         // the cap is reached
	bindRepeat         // the secret is known to be wrong
)

// reserve asks for a bind with secret, and holds its place under the cap until mark,
// forget, or flightTime. allowed is the cap for this client.
//
// The same secret in flight already is let through: a mail client opens several
// connections at once. A secret known to be wrong is bound again only while half of
// the cap is unused, so that a phone with an old password leaves the rest to others,
// but somebody who has just set that password gets in.
func (g *guard) reserve(secret uint32, allowed int, now uint32, r *rules) verdict {
	g.settle(now, r)
	used := int(g.Binds) + g.flights()
	i := g.find(secret)
	switch {
	case i >= 0 && g.Slots[i].Flight != 0:
		return bindFree
	case i >= 0 && used >= r.bindCap/2:
		return bindRepeat
	case used >= allowed:
		return bindCapped
	case secret == 0:
		return bindFree
	}
	if i < 0 {
		if i = g.victim(); g.Slots[i].Flight != 0 {
			return bindCapped // more at once than anybody has devices
		}
		g.put(i, secret)
	}
	g.Slots[i].Flight = now
	g.touch(i)
	return bindFree
}

// mark remembers a wrong secret, counts the bind if there was one, and reports
// whether the secret was known to be wrong.
func (g *guard) mark(secret uint32, bound bool, now uint32, r *rules) bool {
	g.settle(now, r)
	if bound {
		g.Last = now
		if g.Binds < 255 {
			g.Binds++
		}
	}
	if secret == 0 {
		return false
	}
	i := g.find(secret)
	if i < 0 {
		i = g.victim()
		g.put(i, secret)
	}
	known := g.Wrong&(1<<i) != 0
	g.Wrong |= 1 << i
	g.Slots[i].Flight = 0
	g.touch(i)
	return known
}

// forget takes back what is known about a secret that turned out to be right.
// The score stays: a thief must not clean it by the owner's login (ATTACKS 7).
func (g *guard) forget(secret uint32) {
	if i := g.find(secret); i >= 0 {
		g.drop(i)
	}
}

// settle forgets binds after a window without one, and reservations whose outcome
// never came: unavailable is not wrong.
func (g *guard) settle(now uint32, r *rules) {
	if past(now, g.Last, r.bindWindow) {
		g.Binds = 0
	}
	for i := 0; i < slots; i++ {
		if f := g.Slots[i].Flight; f != 0 && past(now, f, flightTime) {
			g.Slots[i].Flight = 0
			if g.Wrong&(1<<i) == 0 {
				g.drop(i)
				i--
			}
		}
	}
}

// past reports whether a span has passed since then, or then lies impossibly ahead.
func past(now, then uint32, span int64) bool {
	d := elapsed(now, then)
	return d >= span || d < -clockSlack
}

func (g *guard) flights() (n int) {
	for _, s := range g.Slots {
		if s.Flight != 0 {
			n++
		}
	}
	return n
}

// find returns a secret's slot, or -1.
func (g *guard) find(secret uint32) int {
	if secret != 0 {
		for i, s := range g.Slots {
			if s.Secret == secret {
				return i
			}
		}
	}
	return -1
}

// victim is the slot to use for a new secret: the oldest without a bind in flight.
func (g *guard) victim() int {
	for i := slots - 1; i >= 0; i-- {
		if g.Slots[i].Flight == 0 {
			return i
		}
	}
	return slots - 1
}

func (g *guard) put(i int, secret uint32) {
	g.Slots[i] = slot{Secret: secret}
	g.Wrong &^= 1 << i
}

// touch moves slot i to the front.
func (g *guard) touch(i int) {
	s := g.Slots[i]
	copy(g.Slots[1:i+1], g.Slots[:i])
	g.Slots[0] = s
	moved := uint8(1)<<(i+1) - 1 // bits 0 to i
	bits := g.Wrong & moved
	g.Wrong = g.Wrong&^moved | bits<<1&moved | bits>>i
}

// drop empties slot i and closes the gap.
func (g *guard) drop(i int) {
	copy(g.Slots[i:], g.Slots[i+1:])
	g.Slots[slots-1] = slot{}
	below := uint8(1)<<i - 1
	g.Wrong = g.Wrong&below | g.Wrong>>1&^below
}
