package account

import (
	"net/netip"
	"slices"
	"time"
)

// Happening is one line of an account's history: what its owner is told about it on
// the Security page.
type Happening struct {
	Topic string     `cbor:"1,keyasint"`           // an effect.Topic
	Unix  int64      `cbor:"2,keyasint"`           // seconds; of the latest, where Count is more than one
	Name  string     `cbor:"3,keyasint,omitempty"` // of the thing
	From  netip.Addr `cbor:"4,keyasint,omitzero"`
	Agent string     `cbor:"5,keyasint,omitempty"` // browser or mail program
	By    string     `cbor:"6,keyasint,omitempty"` // who, if not the owner
	Count uint       `cbor:"7,keyasint,omitempty"` // how often within the hour, 0 for once
}

// At is when it happened.
func (h *Happening) At() time.Time { return time.Unix(h.Unix, 0) }

const (
	// maxHappenings and maxOrdinary bound the history: what happens every day must not
	// drive out what matters.
	maxHappenings = 24
	maxOrdinary   = 8
	// sameFor is how long the same happening from the same place counts as one.
	sameFor = time.Hour
	maxText = 80 // bytes of each text
)

// Happenings is the history, the oldest first. One that cannot be read is empty: no
// decision depends on it.
func (s *State) Happenings() []Happening {
	if len(s.History) == 0 {
		return nil
	}
	var list []Happening
	if Decode(s.History, &list) != nil {
		return nil
	}
	return list
}

// Note adds to the history. ordinary tells which topics are of every day: of those
// only the latest few are kept, and a repetition within the hour is counted rather than
// added.
func (s *State) Note(h Happening, ordinary func(topic string) bool) {
	h.Name, h.Agent, h.By = clipped(h.Name), clipped(h.Agent), clipped(h.By)
	list := s.Happenings()
	if ordinary(h.Topic) {
		same := func(o Happening) bool {
			return o.Topic == h.Topic && o.From == h.From && o.Agent == h.Agent && h.Unix-o.Unix < int64(sameFor/time.Second)
		}
		if i := slices.IndexFunc(list, same); i >= 0 {
			h.Count = max(list[i].Count, 1) + 1
			list = slices.Delete(list, i, i+1)
		}
	}
	list = append(list, h)
	everyday := 0
	for i := len(list) - 1; i >= 0; i-- {
		if !ordinary(list[i].Topic) {
			continue
		}
		if everyday++; everyday > maxOrdinary {
			list = slices.Delete(list, i, i+1)
		}
	}
	list = list[max(0, len(list)-maxHappenings):]
	if b, err := Encode(list); err == nil { // plain fields always encode
		s.History = b
	}
}

// clipped is the beginning of a text, valid UTF-8.
func clipped(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > 0 && s[cut]&0xC0 == 0x80 { // in the middle of a character
		cut--
	}
	return s[:cut]
}

const (
	// maxBrowsers is how many browsers an account is known to use.
	maxBrowsers = 12
	browserHash = 4 // bytes that are kept of each
)

// KnowBrowser makes a browser, by four bytes of a hash, one of those that the account
// is known to use, and reports whether it was one already. The first one of an account
// is no news.
func (s *State) KnowBrowser(hash [browserHash]byte) (known bool) {
	var rest []byte
	first := len(s.Browsers) < len(hash)
	for b := range slices.Chunk(s.Browsers, len(hash)) {
		if string(b) == string(hash[:]) {
			known = true
			continue
		}
		rest = append(rest, b...)
	}
	rest = append(rest, hash[:]...)
	s.Browsers = rest[max(0, len(rest)-maxBrowsers*len(hash)):]
	return known || first
}
