package throttle

import (
	"math"
	"time"
)

// counter is a score that halves in a half-life. Time is in seconds since 1970,
// which ends in 2106. Fields are exported for encoding/binary.
type counter struct {
	Score float32
	At    uint32 // when Score was right
}

const (
	// maxScore is where a score stops rising; float32 counts exactly up to there.
	maxScore = 1e6
	// clockSlack is how far two nodes' clocks, or one before and after a step, may
	// lie apart before the later time counts as a mistake.
	clockSlack = 3600
)

// value is the score at a time. Time that went back does not change it.
func (c counter) value(now uint32, half float64) float64 {
	if now <= c.At {
		return float64(c.Score)
	}
	return float64(c.Score) * math.Exp2(-float64(now-c.At)/half)
}

// add counts one try. Small steps back leave the time as it is: otherwise two
// nodes with clocks a second apart would decay the score by a second for each try.
func (c *counter) add(now uint32, half float64) {
	c.Score = float32(min(c.value(now, half)+1, maxScore))
	if now > c.At || elapsed(now, c.At) < -clockSlack {
		c.At = now
	}
}

// elapsed is the time from then to now in seconds, negative if then lies ahead.
func elapsed(now, then uint32) int64 { return int64(now) - int64(then) }

// seconds is a time as the records have it. It is never 0, which means "not set".
func seconds(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 1), math.MaxUint32))
}

// limit turns a score into a wait or a refusal.
type limit struct {
	free, refuse float64       // refuse 0: never
	half         float64       // half-life of the score, seconds
	first, most  time.Duration // the first and the longest wait
	step         float64       // tries in which the wait doubles
}

// refuses reports whether tries are refused at a score. Scores are rounded: a
// try a second ago is a whole one.
func (l limit) refuses(score float64) bool {
	return l.refuse > 0 && math.Round(score) >= l.refuse
}

// wait is how long to wait at a score.
func (l limit) wait(score float64) time.Duration {
	over := math.Round(score) - l.free
	if over < 0 {
		return 0
	}
	doublings := math.Floor(over / l.step)
	if doublings > 20 { // a hundred ms are a day by then
		return l.most
	}
	return min(l.first<<int(doublings), l.most)
}
