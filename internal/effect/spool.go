package effect

import (
	"encoding/json"
	"time"

	"postern/internal/account"
	"postern/internal/spool"
)

// SessionsEnded is the event of live sessions that a Dovecot was told to end, and
// with Outcome "unavailable" of those that nobody could be told about for a day.
const SessionsEnded Action = "sessions_ended"

// Ending is a duty: mail sessions must end because a change was committed.
type Ending struct {
	ID      string     `json:"-"` // name of its file, without the suffix
	Action  Action     `json:"action"`
	User    string     `json:"user"`
	Domain  string     `json:"domain,omitempty"`
	Account account.ID `json:"account"`
	// Names are those that the account's owner may have logged in by.
	Names []string `json:"names"`
	// Credential is what was ended, "app:ID" or "session:ID"; empty: everything.
	Credential string `json:"credential,omitempty"`
	// Epoch is the account's after the change: how a read server shows that it
	// has it, if there is no Credential to look at. 0: there is nothing to wait for.
	Epoch int64     `json:"epoch,omitempty"`
	Since time.Time `json:"since"` // when the change was committed
	// NotBefore holds the first kick back: until a deadline passes, or while
	// whoever made the change kicks by itself.
	NotBefore time.Time `json:"not_before,omitzero"`

	// Shown is when every read server was first seen to show the change.
	Shown time.Time `json:"shown,omitzero"`
	// Kicked says by host which kick was the last that succeeded.
	Kicked map[string]Stage `json:"kicked,omitempty"`

	over bool // given up
}

// Stage counts the kicks of one Ending at one host.
type Stage int

// The stages. Who reconnects at once through a read server that lags behind gets
// in again, and so does who was being let in while the change was made: hence more
// than one (ATTACKS 40).
const (
	AtOnce     Stage = iota + 1
	AfterShown       // every read server shows the change
	Again            // a minute later
)

// again is how long after Shown the last kick comes.
const again = time.Minute

// stage is the kick that is due at a time.
func (e *Ending) stage(now time.Time) Stage {
	switch {
	case e.Shown.IsZero():
		return AtOnce
	case now.Before(e.Shown.Add(again)):
		return AfterShown
	}
	return Again
}

// Note remembers a kick that succeeded.
func (e *Ending) Note(host string, s Stage) {
	if e.Kicked == nil {
		e.Kicked = make(map[string]Stage)
	}
	e.Kicked[host] = max(s, e.Kicked[host])
}

// endings says which changes end sessions, and whether those of the event's
// credential only. Whoever switches 2FA on ends all: which of the live sessions
// began with the main password is not known of those from before. LoggedOut is not
// among them: webmail closes what it opened, and on Dovecot 2.3 a kick would reach
// the telephones too.
var endings = map[Action]bool{
	TwoFactorOn:        false,
	TwoFactorOff:       false,
	Reset:              false,
	RevokedAll:         false,
	LoggedOutAll:       false,
	AppPasswordRevoked: true,
	AppPasswordStopped: true,
	AccessTightened:    false,
	WebSessionEnded:    true,
	BypassGranted:      false, // when it is over: see Event.Until
	BypassEnded:        false,
	KnownDevicesKept:   false, // when the days are over: see Event.Until
	KnownDevicesEnded:  false,
	RevokedSince:       false,
	Erased:             false,
}

// EndingOf is what an event ends, if anything.
func EndingOf(e Event) (Ending, bool) {
	single, ends := endings[e.Action]
	if !ends || e.Outcome != "done" || e.Account == "" {
		return Ending{}, false
	}
	end := Ending{Action: e.Action, User: e.User, Domain: e.Domain, Account: e.Account, Names: []string{e.User}, Epoch: e.Epoch, Since: e.Time, NotBefore: e.Until}
	if single {
		end.Credential, end.Epoch = e.Credential, 0
	}
	return end, true
}

// Spool is a directory of Endings (package spool).
type Spool struct{ *spool.Dir }

// OpenSpool opens the directory, and makes it if need be. After an error the spool can
// be used, and fails.
func OpenSpool(dir string) (*Spool, error) {
	d, err := spool.Open(dir, "sessions.spool")
	return &Spool{d}, err
}

// Put stores a new Ending, and gives it its ID. Once it returns nil, the Ending
// survives a crash; after an error it has no ID.
func (s *Spool) Put(e *Ending) error {
	id, err := s.Dir.Put(e.Since, e)
	if err == nil {
		e.ID = id
	}
	return err
}

// Save stores an Ending that has changed.
func (s *Spool) Save(e *Ending) error { return s.Dir.Save(e.ID, e) }

// List returns all Endings, the oldest first. A file that is none is set aside as
// .bad and reported in the error, beside the list.
func (s *Spool) List() ([]Ending, error) {
	var list []Ending
	err := s.Each(func(id string, b []byte) bool {
		e := Ending{ID: id}
		if json.Unmarshal(b, &e) != nil || e.Account == "" || e.Since.IsZero() {
			return false
		}
		list = append(list, e)
		return true
	})
	return list, err
}
