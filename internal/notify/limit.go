package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"postern/internal/account"
	"postern/internal/spool"
)

// sent is what was sent to the owner of one account within the day. It is in a file of
// its own, so that neither a restart nor another daemon begins anew.
type sent struct {
	Mails []time.Time          `json:"mails,omitempty"`
	Last  map[string]time.Time `json:"last,omitempty"` // by Letter.throttle's key
}

const day = 24 * time.Hour

// limits remembers what was sent.
type limits struct {
	dir    *spool.Dir
	most   int // mails a day for one account
	pruned time.Time
}

func (l *limits) id(a account.ID) string {
	sum := sha256.Sum256([]byte(a))
	return hex.EncodeToString(sum[:12])
}

// of is what was sent to an account within the day before now.
func (l *limits) of(a account.ID, now time.Time) *sent {
	s := &sent{}
	l.dir.Load(l.id(a), s)
	s.forget(now)
	return s
}

func (s *sent) forget(now time.Time) {
	var mails []time.Time
	for _, at := range s.Mails {
		if now.Sub(at) < day {
			mails = append(mails, at)
		}
	}
	s.Mails = mails
	for key, at := range s.Last {
		if now.Sub(at) >= day {
			delete(s.Last, key)
		}
	}
}

// again reports that the letter's like was sent a moment ago.
func (s *sent) again(l *Letter) bool {
	key, every := l.throttle()
	last, ok := s.Last[key]
	return every > 0 && ok && l.Time.Sub(last) < every
}

// note remembers a mail.
func (l *limits) note(s *sent, letters []*Letter, now time.Time) error {
	s.Mails = append(s.Mails, now)
	for _, letter := range letters {
		if key, every := letter.throttle(); every > 0 {
			if s.Last == nil {
				s.Last = make(map[string]time.Time)
			}
			s.Last[key] = letter.Time
		}
	}
	return l.dir.Save(l.id(letters[0].Account), s)
}

// prune removes once an hour what is over.
func (l *limits) prune(now time.Time) {
	if now.Sub(l.pruned) < time.Hour {
		return
	}
	l.pruned = now
	var over []string
	_ = l.dir.Each(func(id string, b []byte) bool {
		s := &sent{}
		if json.Unmarshal(b, s) != nil {
			return false
		}
		if s.forget(now); len(s.Mails)+len(s.Last) == 0 {
			over = append(over, id)
		}
		return true
	})
	for _, id := range over {
		_ = l.dir.Remove(id)
	}
}
