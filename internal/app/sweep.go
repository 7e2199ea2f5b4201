package app

import (
	"errors"
	"time"

	"postern/internal/desk"
	"postern/internal/login"
)

// Sweep configures the passes over all accounts.
type Sweep struct {
	Every Duration `toml:"every" doc:"How often policyserver and webhook look through all accounts: what is older than privacy.retention is deleted, owners are told of app passwords that have expired, and live sessions end that policy does not allow any more. \"0s\": never; then run posternctl sweep yourself."`
}

func defaultSweep() Sweep { return Sweep{Every: Duration(time.Hour)} }

// The bounds of privacy.retention, in days. What is grave stands on the Security page for
// seven, so nothing is forgotten before.
const (
	minRetention     = 7
	maxRetention     = 3650
	defaultRetention = 180
)

func (c *Config) sweepProblems(ps *problemList) {
	if every := c.Sweep.Every; every != 0 {
		ps.between("sweep.every", every, time.Second, 7*24*time.Hour)
	}
	if n := c.Privacy.Retention; n != 0 && (n < minRetention || n > maxRetention) {
		ps.add("privacy.retention: must be 0, for no limit, or from %d to %d days, not %d", minRetention, maxRetention, n)
	}
}

// Keep is how long it is remembered what users did; 0: as long as there is room.
func (p *Privacy) Keep() time.Duration { return time.Duration(p.Retention) * 24 * time.Hour }

// PurgeSpools removes from the spools what was set aside before the time that
// privacy.retention says, and returns how many files.
func (c *Config) PurgeSpools(now time.Time) (int, error) {
	if c.Privacy.Retention == 0 {
		return 0, nil
	}
	before := now.Add(-c.Privacy.Keep())
	n := 0
	var errs []error
	if c.Mail.On() {
		s, err := c.OpenMailSpool()
		if err == nil {
			n, err = s.Purge(before)
		}
		errs = append(errs, err)
	}
	if c.Sessions.On() {
		s, err := c.OpenSpool()
		if err == nil {
			var more int
			more, err = s.Purge(before)
			n += more
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// maxEndings is how many duties to end live sessions wait in the spool at most, as far as
// sweeps go: a whole domain must not lose its sessions, and come back, in the same second.
const maxEndings = 1000

// SweepOf is what a pass over all accounts does at this site.
func (c *Config) SweepOf() (desk.Sweep, error) {
	s := desk.Sweep{Keep: c.Privacy.Keep()}
	spool, err := c.OpenSpool()
	if spool == nil || err != nil {
		return s, err
	}
	waiting, err := spool.List()
	settings := login.Settings{Observe: c.observed()}
	s.Observed, s.MostEndings = settings.Observed, max(0, maxEndings-len(waiting))
	return s, err
}
