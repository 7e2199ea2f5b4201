package throttle

import "math"

// pair is what one account (or name) and one prefix have in common.
type pair struct {
	counter
	Good uint32    // known-good until then, 0 if it never was
	Seen [4]uint32 // wrong secrets, the latest first
}

// repeat remembers a wrong secret and reports whether it was known. The account
// remembers too, but strangers can push its memory over, and not this one.
func (p *pair) repeat(secret uint32) bool {
	if secret == 0 {
		return false
	}
	i := 0
	for i < len(p.Seen)-1 && p.Seen[i] != secret {
		i++
	}
	known := p.Seen[i] == secret
	copy(p.Seen[1:i+1], p.Seen[:i])
	p.Seen[0] = secret
	return known
}

// praise makes the pair known-good.
func (p *pair) praise(now uint32, r *rules) {
	p.Good = uint32(min(uint64(now)+uint64(r.goodFor), math.MaxUint32))
}

// good reports whether the pair passes the limits of others. A date too far ahead
// comes from a clock that was wrong.
func (p *pair) good(now uint32, r *rules) bool {
	left := elapsed(p.Good, now)
	return left > 0 && left <= int64(r.goodFor)+clockSlack &&
		math.Round(p.value(now, r.pairHalf)) < r.goodTries
}

// clean reports whether the prefix has not guessed at the account lately.
func (p *pair) clean(now uint32, r *rules) bool { return p.value(now, r.pairHalf) < 0.5 }
