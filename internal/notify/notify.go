// Package notify tells the owners of accounts by mail what happened to them: that
// two-step login went on or off, that somebody made an app password, that an
// administrator reset it all.
//
// It takes the events of packages login and desk as a Recorder does, and puts those
// that concern an owner (effect.TopicOf) into a spool, each a Letter in a small file;
// no login and no change waits for more. A Deliverer in a daemon works through the
// spool: what happened to one account at about the same time becomes one mail, in the
// owner's language and with the domain's brand, which is handed to the site's mail
// server and tried again until that takes it.
//
// A mail never holds a code, a password, a token, or a link that logs in. Letters have
// no field for any; and what others choose (names of devices and programs) comes into a
// mail as one short line of harmless characters.
package notify

import (
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/spool"
)

// Letter is one thing to be told.
type Letter struct {
	ID      string       `json:"-"` // name of its file, without the suffix
	Topic   effect.Topic `json:"topic"`
	Time    time.Time    `json:"time"`
	Account account.ID   `json:"account"`
	User    string       `json:"user"` // canonical name
	Domain  string       `json:"domain,omitempty"`
	// Credential is what it is about, "app:ID"; Name what the owner calls it.
	Credential string    `json:"credential,omitempty"`
	Name       string    `json:"name,omitempty"`
	Address    string    `json:"address,omitempty"` // as the site's privacy settings let it be written
	Client     string    `json:"client,omitempty"`  // browser or mail program, in words
	By         string    `json:"by,omitempty"`      // who, if not the owner
	Left       int       `json:"left,omitempty"`    // backup codes
	Kept       []string  `json:"kept,omitempty"`    // names of app passwords that go on
	Until      time.Time `json:"until,omitzero"`    // of a bypass
	At         time.Time `json:"at,omitzero"`       // when it happened, if that is not Time

	// Told are the addresses that have the mail already, where another failed.
	Told []string `json:"told,omitempty"`
}

// mailed are the topics that mails tell of, the gravest first: of several that come
// together, the first gives the subject.
var mailed = []effect.Topic{
	effect.TopicReset, effect.TopicTwoFactorOff, effect.TopicBypass, effect.TopicCodeShown, effect.TopicMethodDisabled,
	effect.TopicPasskeyCopied, effect.TopicAppRevokedTried, effect.TopicAllRevoked, effect.TopicTwoFactorOn,
	effect.TopicWrongFactor, effect.TopicEnrolToken, effect.TopicPasswordChanged, effect.TopicMethodRemoved,
	effect.TopicMethodAdded, effect.TopicPasswordless, effect.TopicBackupUsed, effect.TopicBackupNew,
	effect.TopicAppRenewed, effect.TopicAppCreated, effect.TopicAppRevoked, effect.TopicAppUnused, effect.TopicAppExpired, effect.TopicDeviceTrusted, effect.TopicNewSignIn, effect.TopicBypassEnded,
}

// Topics lists the topics that mails tell of.
func Topics() []effect.Topic { return append([]effect.Topic(nil), mailed...) }

// Spool is a directory of Letters (package spool).
type Spool struct{ *spool.Dir }

// OpenSpool opens the directory, and makes it if need be. After an error the spool can
// be used, and fails.
func OpenSpool(dir string) (*Spool, error) {
	d, err := spool.Open(dir, "mail.spool")
	return &Spool{d}, err
}

// List returns all Letters, the oldest first. A file that is none is set aside as .bad
// and reported in the error, beside the list.
func (s *Spool) List() ([]*Letter, error) {
	var list []*Letter
	err := s.Each(func(id string, b []byte) bool {
		l := &Letter{ID: id}
		if json.Unmarshal(b, l) != nil || l.Account == "" || l.Time.IsZero() || gravity(l.Topic) < 0 {
			return false
		}
		list = append(list, l)
		return true
	})
	return list, err
}

// gravity is a topic's place in mailed, -1 if it has none.
func gravity(t effect.Topic) int {
	for i, m := range mailed {
		if m == t {
			return i
		}
	}
	return -1
}

// Recorder puts into the spool what owners are to be told. It is safe for concurrent use.
type Recorder struct {
	Spool   *Spool
	Privacy effect.AddressPrivacy
	// NewSignIn: also sign-ins from browsers not seen before.
	NewSignIn bool
	// Failed is told what went wrong: what was recorded has happened all the same.
	Failed func(error)
	// Taken is told of every Letter that was stored; may be nil.
	Taken func(*Letter)

	mu     sync.Mutex
	recent map[string]time.Time // of topics that strangers can make come again and again
}

// Record implements effect.Recorder.
func (r *Recorder) Record(e effect.Event) {
	topic := effect.TopicOf(&e)
	if gravity(topic) < 0 || topic == effect.TopicNewSignIn && !r.NewSignIn {
		return
	}
	l := r.letter(topic, &e)
	if !r.worthIt(l) {
		return
	}
	if _, err := r.Spool.Put(l.Time, l); err != nil {
		r.Failed(err)
		return
	}
	if r.Taken != nil {
		r.Taken(l)
	}
}

func (r *Recorder) letter(topic effect.Topic, e *effect.Event) *Letter {
	l := &Letter{Topic: topic, Time: e.Time, Account: e.Account, User: e.User, Domain: e.Domain, Credential: e.Credential,
		Name: e.Name, Address: addressText(r.Privacy, e.Client), Client: effect.ProgramName(e.Agent), Left: e.Left, Kept: e.Kept, Until: e.Until}
	if !e.ByOwner && !topic.ByItself() {
		l.By = e.Actor
	}
	if topic.ByItself() {
		l.At = e.At
	}
	if topic == effect.TopicPasswordChanged {
		l.At, l.Address, l.Client = e.At, "", "" // whose login it was noticed at says nothing
	}
	return l
}

// addressText is an address as far as it may be written: with "prefix" the network.
func addressText(p effect.AddressPrivacy, a netip.Addr) string {
	written := p.Apply(a)
	switch {
	case !written.IsValid():
		return ""
	case p != effect.AddressPrefix:
		return written.WithZone("").String()
	case written.Is4():
		return written.String() + "/24"
	}
	return written.String() + "/48"
}

// maxRecent bounds what a Recorder remembers; what is lost costs a file in the spool,
// which the Deliverer throws away.
const maxRecent = 1 << 14

// worthIt keeps what can be made to happen a thousand times from being written as often.
func (r *Recorder) worthIt(l *Letter) bool {
	key, every := l.throttle()
	if every == 0 {
		return true
	}
	key = string(l.Account) + " " + key
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.recent[key]; ok && l.Time.Sub(last) < every && !l.Time.Before(last) {
		return false
	}
	if r.recent == nil || len(r.recent) >= maxRecent {
		r.recent = make(map[string]time.Time)
	}
	r.recent[key] = l.Time
	return true
}

// throttle says how often a topic is worth a mail, and per what; 0: always.
func (l *Letter) throttle() (key string, every time.Duration) {
	switch l.Topic {
	case effect.TopicWrongFactor, effect.TopicPasskeyCopied:
		return string(l.Topic), time.Hour
	case effect.TopicAppRevokedTried:
		return string(l.Topic) + " " + l.Credential, 24 * time.Hour
	}
	return "", 0
}

// essential are the topics that go out however many mails there were.
func (l *Letter) essential() bool {
	switch l.Topic {
	case effect.TopicTwoFactorOn, effect.TopicTwoFactorOff, effect.TopicReset, effect.TopicBypass, effect.TopicAllRevoked, effect.TopicCodeShown:
		return true
	}
	return false
}

// kind is the word of the credential's kind: totp, passkey, app.
func (l *Letter) kind() string {
	kind, _, _ := strings.Cut(l.Credential, ":")
	return kind
}
