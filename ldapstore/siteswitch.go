package ldapstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-ldap/ldap/v3"

	"postern/internal/account"
	"postern/internal/siteswitch"
)

// siteSwitch is the latest position of the site's switch that was ever seen here.
type siteSwitch struct {
	mu   sync.Mutex
	seen siteswitch.State
}

// note takes the position in a site's values. One that was thrown before the one that
// is known is somebody's copy.
func (s *siteSwitch) note(latest siteswitch.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if latest.At.After(s.seen.At) {
		s.seen = latest
	}
}

func (s *siteSwitch) at() siteswitch.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// Switch is the position of the site's switch, read now. Errors: account.ErrUnavailable.
func (s *Store) Switch(ctx context.Context) (siteswitch.State, error) {
	values, err := s.KeyChecks(ctx)
	if err != nil {
		return siteswitch.State{}, err
	}
	s.siteSwitch.note(siteswitch.Latest(s.ring, values, s.now()))
	return s.siteSwitch.at(), nil
}

// Throw puts the switch into another position, in place of what is there. Errors:
// account.ErrConflict when somebody was faster; a *SetupError; account.ErrUnavailable.
func (s *Store) Throw(ctx context.Context, to siteswitch.State) error {
	value, err := to.Seal(s.ring)
	if err != nil {
		return err
	}
	var known []string
	err = s.readWriter(ctx, func(c *conn) (err error) {
		known, err = s.keyChecks(c)
		return err
	})
	if err != nil {
		return err
	}
	req := ldap.NewModifyRequest(s.siteDN(), nil)
	if old := siteswitch.Values(known); len(old) > 0 {
		req.Delete(keyCheck, old)
	}
	req.Add(keyCheck, []string{value})
	err = s.write(ctx, func(c *conn) error { return c.Modify(req) })
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchAttribute):
		return fmt.Errorf("%w: %w", account.ErrConflict, err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return &SetupError{"the directory knows no keys of this site yet: posternctl keys register", err}
	case err == nil:
		s.siteSwitch.note(to)
		s.policies.forget()
	}
	return s.changeError(s.siteDN(), err)
}

// switchedOff is read with the policies of the site, and is as old as they are.
func (s *Store) switchedOff() bool { return s.siteSwitch.at().IsOff(s.now()) }

// noteSwitch reads the switch from the site's entry, which is searched with the
// policies.
func (s *Store) noteSwitch(e *ldap.Entry) {
	var list []string
	for _, v := range values(e, keyCheck) {
		list = append(list, string(v))
	}
	s.siteSwitch.note(siteswitch.Latest(s.ring, list, s.now()))
}
