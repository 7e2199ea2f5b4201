package effect

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"postern/internal/account"
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
	WebSessionEnded:    true,
}

// EndingOf is what an event ends, if anything.
func EndingOf(e Event) (Ending, bool) {
	single, ends := endings[e.Action]
	if !ends || e.Outcome != "done" || e.Account == "" {
		return Ending{}, false
	}
	end := Ending{Action: e.Action, User: e.User, Domain: e.Domain, Account: e.Account, Names: []string{e.User}, Epoch: e.Epoch, Since: e.Time}
	if single {
		end.Credential, end.Epoch = e.Credential, 0
	}
	return end, true
}

// Spool is a directory of Endings, one small file each, which outlive whoever
// wrote them.
type Spool struct{ dir string }

const (
	suffix    = ".json"
	maxEnding = 64 << 10 // bytes of a file
)

// OpenSpool opens the directory, and makes it if need be. One that root makes
// belongs to the owner of the directory above it, under whom the daemon runs.
// After an error the spool can be used, and fails.
func OpenSpool(dir string) (*Spool, error) {
	s := &Spool{dir}
	err := os.MkdirAll(filepath.Dir(dir), 0o755) //nolint:gosec // as /var/lib is; the spool itself is not
	if err == nil {
		err = os.Mkdir(dir, 0o750)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return s, nil
	case err != nil:
		return s, fmt.Errorf("sessions.spool: %w", err)
	}
	return s, ownAs(dir, filepath.Dir(dir))
}

// ownAs gives what root has made to the owner of a directory.
func ownAs(path, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Lchown(path, int(st.Uid), int(st.Gid))
	}
	return nil
}

// Put stores a new Ending, and gives it its ID. Once it returns nil, the Ending
// survives a crash; after an error it has no ID.
func (s *Spool) Put(e *Ending) error {
	e.ID = e.Since.UTC().Format("20060102T150405.000000") + "-" + strings.ToLower(rand.Text()[:8])
	err := s.Save(e)
	if err != nil {
		e.ID = ""
	}
	return err
}

// Writable reports as an error that nothing could be stored.
func (s *Spool) Writable() error {
	part, err := s.writePart(nil)
	if err != nil {
		return fmt.Errorf("sessions.spool: %w; it must belong to the user that policyserver runs as", err)
	}
	return os.Remove(part)
}

// Save stores an Ending that has changed.
func (s *Spool) Save(e *Ending) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	part, err := s.writePart(append(b, '\n'))
	if err == nil {
		err = os.Rename(part, s.path(e.ID))
	}
	if err != nil {
		return fmt.Errorf("sessions.spool: %w", err)
	}
	return s.sync()
}

// writePart writes a file that List does not see yet.
func (s *Spool) writePart(b []byte) (path string, err error) {
	f, err := os.CreateTemp(s.dir, ".part-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(f.Chmod(0o640), ownAs(f.Name(), s.dir)); err != nil {
		return "", err
	}
	if _, err := f.Write(b); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// sync makes a rename durable.
func (s *Spool) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *Spool) path(id string) string { return filepath.Join(s.dir, id+suffix) }

// Remove forgets an Ending.
func (s *Spool) Remove(id string) error {
	if err := os.Remove(s.path(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List returns all Endings, the oldest first. A file that is none is set aside as
// .bad and reported in the error, beside the list.
func (s *Spool) List() ([]Ending, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("sessions.spool: %w", err)
	}
	var (
		list []Ending
		errs []error
	)
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		e, err := s.load(id)
		switch {
		case err == nil:
			list = append(list, e)
		case !errors.Is(err, fs.ErrNotExist): // somebody else was done with it
			errs = append(errs, fmt.Errorf("%s: %w", s.path(id), err))
		}
	}
	slices.SortFunc(list, func(a, b Ending) int { return strings.Compare(a.ID, b.ID) })
	return list, errors.Join(errs...)
}

var errNoEnding = errors.New("not what Postern puts there; set aside as .bad")

func (s *Spool) load(id string) (Ending, error) {
	f, err := os.Open(s.path(id))
	if err != nil {
		return Ending{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEnding+1))
	if err != nil {
		return Ending{}, err
	}
	e := Ending{ID: id}
	if len(b) > maxEnding || json.Unmarshal(b, &e) != nil || e.Account == "" || e.Since.IsZero() {
		return Ending{}, errors.Join(errNoEnding, os.Rename(s.path(id), s.path(id)+".bad"))
	}
	return e, nil
}
